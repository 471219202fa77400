"""Drawn beams: an exact rule keeps the target's distribution whatever the draft; AtSpeed's relaxed one does not."""

import math
from collections import Counter
from itertools import permutations
from random import Random

import pytest
import torch
from scipy import stats

from recbole_apa.next_item.generation import (
    BeamDraft,
    HeadGuess,
    NodeChances,
    SampledDraft,
    Trie,
    beam_search,
    draws,
    exact_rejection,
    relaxed,
    sampled_beams,
)

P, Q = (0.4, 0.3, 0.15, 0.1, 0.05), (0.05, 0.2, 0.05, 0.3, 0.4)
N_DRAWS = 6000


def successive(p, k: int) -> dict[tuple[int, ...], float]:
    """The chance of every ordered draw without replacement."""
    out = {}
    for order in permutations(range(len(p)), k):
        left, chance = 1.0, 1.0
        for i in order:
            chance, left = chance * p[i] / left, left - p[i]
        out[order] = chance
    return out


def p_value(found: Counter, expected: dict) -> float:
    """Of a chi-square test that what was drawn has a distribution."""
    n = sum(found.values())
    assert set(found) <= set(expected)
    return float(stats.chisquare([found[key] for key in expected], [n * chance for chance in expected.values()]).pvalue)


def verified(rule, n_drafted: int, k: int, seed: int) -> Counter:
    """Outcomes of a rule on draws of Q."""
    draw = Random(seed)
    return Counter(tuple(rule(P, Q, draws(Q, n_drafted, draw), k, draw)) for _ in range(N_DRAWS))


def test_plain_draws_have_the_chances_of_draws_without_replacement():
    draw = Random(1)
    found = Counter(tuple(draws(P, 2, draw)) for _ in range(N_DRAWS))
    assert p_value(found, successive(P, 2)) > 0.01
    assert p_value(found, successive(Q, 2)) < 1e-9


@pytest.mark.parametrize("n_drafted", [1, 3, 5])
@pytest.mark.parametrize("k", [1, 2])
def test_exact_rejection_has_the_distribution_of_plain_sampling(n_drafted, k):
    assert p_value(verified(exact_rejection, n_drafted, k, 2), successive(P, k)) > 0.01


def test_relaxed_verification_has_another_distribution():
    """Else the chi-square above would tell nothing; with one draft for one beam it is exact rejection."""
    assert p_value(verified(relaxed, 3, 2, 2), successive(P, 2)) < 1e-9
    assert p_value(verified(relaxed, 1, 1, 2), successive(P, 1)) > 0.01


def test_a_draft_that_is_the_target_is_always_accepted():
    """Acceptance with chance 1: what comes out is the draft's own plain sample."""
    for seed in range(200):
        drafted = draws(P, 3, Random(seed))
        assert exact_rejection(P, P, drafted, 2, Random(seed)) == drafted[:2]
        assert set(relaxed(P, P, drafted, 3, Random(seed))) == set(drafted)


def test_candidates_that_the_draft_lacks_and_too_few_candidates():
    p = (0.5, 0.0, 0.5)
    for rule in (exact_rejection, relaxed):
        assert sorted(rule(p, (0.0, 0.6, 0.0), [1], 3, Random(0))) == [0, 2]
        assert sorted(rule(p, (0.3, 0.0, 0.0), [0], 2, Random(0))) == [0, 2]
        assert rule((0.0, 0.0), (0.5, 0.5), [0, 1], 1, Random(0)) == []


TITLES = [(1, 1, 9), (1, 2, 9), (2, 1, 9), (2, 2, 9), (2, 3, 1, 9), (2, 3, 2, 9), (3, 9)]


class Fixed:
    """A target whose logits depend on the node and the token alone."""

    def __init__(self, slope: float = 0.7) -> None:
        self.slope, self.seen = slope, set[int]()

    def has(self, node):
        return node == 0 or node in self.seen

    def read(self, nodes):
        assert self.seen.isdisjoint(nodes)
        self.seen |= set(nodes)

    def fresh(self):
        return Fixed(self.slope)

    def logits(self, node, tokens):
        return torch.tensor([math.sin(self.slope * (3 * node + token)) for token in tokens])


@pytest.fixture(scope="module")
def trie() -> Trie:
    return Trie.of(TITLES)


def lists(trie, n: int, seed: int, draft=None, rule=exact_rejection) -> tuple[Counter, float]:
    """Lists of 2 that were drawn, and the mean number of passes."""
    draw, found, passes = Random(seed), Counter[tuple[int, ...]](), 0
    for _ in range(n):
        chances = NodeChances(trie, Fixed())
        beams = sampled_beams(chances, 2, [True] * 7, draw, draft, rule)
        found[tuple(trie.item_of[node] for _, node in beams)] += 1
        passes += chances.n_passes
    return found, passes / n


def two_samples(one: Counter, other: Counter) -> float:
    """The p-value that both come from one distribution; rare lists are put together."""
    keys = sorted(set(one) | set(other))
    often = [key for key in keys if one[key] + other[key] >= 20]
    rest = [key for key in keys if key not in often]
    rows = [[c[key] for key in often] + [sum(c[key] for key in rest)] * bool(rest) for c in (one, other)]
    return float(stats.chi2_contingency(rows).pvalue)


@pytest.mark.slow
def test_a_search_with_a_wrong_draft_draws_the_lists_of_the_search_without(trie):
    wild = HeadGuess(trie, trie.sums_below([0.3, 0.05, 0.05, 0.2, 0.05, 0.3, 0.05]))
    draft = SampledDraft(trie, wild, 3, 3)
    plain, plain_passes = lists(trie, 1500, 1)
    exact, passes = lists(trie, 1500, 2, draft)
    loose, _ = lists(trie, 1500, 3, draft, relaxed)
    assert two_samples(plain, exact) > 0.01
    assert two_samples(plain, loose) < 1e-4
    assert passes < plain_passes


def test_a_draft_that_is_the_target_needs_one_round(trie):
    """With another reader as guess: what the frozen model, or an early exit, is."""
    guess = NodeChances(trie, Fixed())
    draft = SampledDraft(trie, guess, 2, 5)
    found, passes = lists(trie, 200, 4, draft)
    assert passes == 1 and len(found) > 5
    chances = NodeChances(trie, Fixed())
    assert beam_search(chances, 3, 3, [True] * 7, BeamDraft(trie, NodeChances(trie, Fixed()), 3, 5)) == beam_search(
        NodeChances(trie, Fixed()), 3, 3, [True] * 7
    )
    assert chances.n_passes == 1


def test_nothing_is_drawn_that_is_not_allowed(trie):
    allowed = [column in (1, 4, 6) for column in range(7)]
    for seed in range(50):
        beams = sampled_beams(NodeChances(trie, Fixed()), 5, allowed, Random(seed))
        assert sorted(trie.item_of[node] for _, node in beams) == [1, 4, 6]
        assert [score for score, _ in beams] == sorted((score for score, _ in beams), reverse=True)
    assert sampled_beams(NodeChances(trie, Fixed()), 5, [False] * 7, Random(0)) == []
