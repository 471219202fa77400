"""Codes by residual k-means: what they divide, in which bits, and how they are written."""

from collections import Counter
from dataclasses import replace
from random import Random

import pytest
import torch

from recbole_apa.next_item.generation import ItemCodes, Trie, code_tokens, coded, residual_codes
from recbole_apa.next_item.generation.objective import TitleDecisions
from recbole_apa.next_item.generation.residual_kmeans import nearest, whole_kmeans

M, D = 300, 24


@pytest.fixture(scope="module")
def vectors() -> torch.Tensor:
    """Eight groups, each of four tight ones."""
    make = torch.Generator().manual_seed(4)
    groups = torch.randint(-3000, 3000, (8, D), generator=make)
    within = torch.randint(-300, 300, (4, D), generator=make)
    rows = torch.arange(M)
    noise = torch.randint(-20, 20, (M, D), generator=make)
    return (groups[rows % 8] + within[rows // 8 % 4] + noise).to(torch.int16)


def test_levels_find_the_groups_and_what_is_within_them(vectors):
    codes = residual_codes(vectors, 2, 32, seed=1)
    rows = torch.arange(M)
    whole = {(int(g), int(w)): set() for g, w in zip(rows % 8, rows // 8 % 4, strict=True)}
    for row in range(M):
        whole[row % 8, row // 8 % 4].add(tuple(codes[row].tolist()))
    owners = Counter(code for found in whole.values() for code in found)
    assert max(owners.values()) == 1  # no code is of two groups
    assert codes.dtype == torch.int64 and codes.shape == (M, 2)


def test_a_level_leaves_less_over_than_the_one_before(vectors):
    left, sizes = vectors.double(), [float((vectors.double() ** 2).sum())]
    codes = residual_codes(vectors, 3, 8, seed=3)
    for level in range(3):
        own = codes[:, level]
        for cluster in own.unique():  # what a level takes away is the rounded mean of its cluster
            left[own == cluster] -= left[own == cluster].mean(0).round()
        sizes.append(float((left**2).sum()))
    assert sizes[0] > 3 * sizes[1] > 6 * sizes[2] > 6 * sizes[3]


def test_arithmetic_is_exact_in_any_order_and_on_any_number_of_threads():
    make = torch.Generator().manual_seed(6)
    vectors = torch.randint(-4096, 4097, (400, 200), generator=make).to(torch.int16)  # no groups: many near ties
    expected, n_threads = residual_codes(vectors, 3, 16, seed=1), torch.get_num_threads()
    try:
        for n in (1, 3):
            torch.set_num_threads(n)
            for order in (torch.arange(200), torch.randperm(200, generator=make)):
                assert torch.equal(residual_codes(vectors[:, order], 3, 16, seed=1), expected)
    finally:
        torch.set_num_threads(n_threads)
    assert not torch.equal(residual_codes(vectors, 3, 16, seed=2), expected)


def test_the_nearest_centre_is_that_of_whole_numbers_and_the_first_of_equals():
    draw = Random(2)
    points = [[draw.randint(-4096, 4096) for _ in range(5)] for _ in range(60)]
    centres = [*points[:7], points[3], [0] * 5, [0] * 5]
    expected = [
        min(range(10), key=lambda c: (sum((a - b) ** 2 for a, b in zip(p, centres[c], strict=True)), c)) for p in points
    ]
    found = nearest(torch.tensor(points, dtype=torch.float64), torch.tensor(centres, dtype=torch.float64)).tolist()
    assert found == expected and found[3] == 3 and 9 not in found


def test_centres_are_rounded_means_and_none_is_lost_to_equal_points():
    points = torch.tensor([[0.0], [1.0], [1.0], [100.0], [103.0], [103.0]], dtype=torch.float64)
    centres = whole_kmeans(points, 2, Random(0))
    assert sorted(centres.flatten().tolist()) == [1.0, 102.0]
    same = torch.full((5, 3), 7, dtype=torch.int16)
    assert residual_codes(same, 2, 4, seed=0).tolist() == [[0, 0]] * 5


def test_items_that_share_a_code_get_one_level_more_in_order_of_their_tokens():
    alphabet = list(range(100, 109))  # two levels and the last, three tokens each
    written = code_tokens([(0, 1), (2, 1), (0, 1), (2, 2), (0, 1)], 3, alphabet)
    assert written == [(100, 104, 106), (102, 104), (100, 104, 107), (102, 105), (100, 104, 108)]
    many = code_tokens([(0, 1)] * 10, 3, alphabet)  # more than there are tokens
    assert len(set(many)) == 10 and {len(code) for code in many} == {5} and many[5][2:] == (106, 107, 108)
    assert Trie.of(many).depth == 5 and Trie.of(written).depth == 3


def test_planted_equal_texts_are_told_apart(vectors):
    planted = torch.cat([vectors, vectors[:1], vectors[17:18]])
    codes = residual_codes(planted, 2, 8, seed=1)
    assert torch.equal(codes[0], codes[M]) and torch.equal(codes[17], codes[M + 1])
    written = code_tokens(codes.tolist(), 8, range(24))
    assert len(set(written)) == M + 2 and len(Trie.of(written)) > M
    assert written[0][:2] == written[M][:2] and written[0][2:] < written[M][2:]


def test_a_history_shows_every_decision_of_a_code_the_last_level_too():
    written, lines = [(1, 5, 8), (1, 5, 9), (1, 6), (2, 5)], [(50, 10), (50, 10), (51, 10), (52, 10)]
    items = coded(written, lines)
    assert items.name == "codes" and items.lines_of([3, 1]) == [(2, 5, 52, 10), (1, 5, 9, 50, 10)]
    ids = [token for line in items.lines_of([3, 1]) for token in line]
    sample = TitleDecisions(items.trie, items.lines).sample(ids, [3, 8], [1])
    told = [(step.place, items.trie.tokens[items.trie.children[step.node][step.child]]) for step in sample.decisions]
    assert told == [(3, 1), (4, 5), (5, 9)] and sample.ids == tuple(ids[:6])


def test_codes_are_identified_by_every_number(vectors):
    codes = ItemCodes(residual_codes(vectors, 2, 8, seed=1), 8)
    other = codes.numbers.clone()
    other[5, 1] = (other[5, 1] + 1) % 8
    digests = {codes.digest, replace(codes, numbers=other).digest, replace(codes, size=9).digest}
    assert len(digests) == 3
