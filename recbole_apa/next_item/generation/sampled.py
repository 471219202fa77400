"""Beams that are drawn instead of the best: each step draws from all ways on, and a draft may look ahead.

A round begins with one pass of the target over the beams and everything that the draft has drawn ahead of them. Steps
are then verified one after another: while all that a rule takes was drafted, the next step needs no pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp
from random import Random

from recbole_apa.next_item.generation.drafts import Guess
from recbole_apa.next_item.generation.node_chances import NodeChances, start_of
from recbole_apa.next_item.generation.trie import Trie
from recbole_apa.next_item.generation.verification import Rule, draws, exact_rejection

Beam = tuple[float, int]
"""Log chance and node."""


@dataclass(frozen=True)
class DraftedStep:
    """What a draft drew for one step."""

    drawn: tuple[int, ...]
    """Nodes in the order of their draws."""
    chances: dict[int, float]
    """q of every candidate node, those that were drawn and the others."""


@dataclass(frozen=True)
class SampledDraft:
    """Draws by a guess, from the scores of the search itself."""

    trie: Trie
    guess: Guess
    width: int
    """N: how many nodes are drawn in each step."""
    depth: int
    """gamma: how many steps are drafted."""

    def steps(self, beams: Sequence[Beam], may: Sequence[bool], draw: Random) -> list[DraftedStep]:
        """The next steps of a search.

        Args:
            may: whether an item below each node may be returned.
        """
        out: list[DraftedStep] = []
        at = list(beams)
        while len(out) < self.depth and any(self.trie.item_of[node] < 0 for _, node in at):
            self.guess.fetch([node for _, node in at if self.trie.item_of[node] < 0])
            ways = ways_on(self.trie, self.guess, at, may)
            chances = _chances(ways)
            at = [ways[i] for i in draws(chances, self.width, draw)]
            nodes = (node for _, node in ways)
            out.append(DraftedStep(tuple(node for _, node in at), dict(zip(nodes, chances, strict=True))))
        return out


def sampled_beams(
    chances: NodeChances,
    k: int,
    allowed: Sequence[bool],
    draw: Random,
    draft: SampledDraft | None = None,
    rule: Rule = exact_rejection,
) -> list[Beam]:
    """k items drawn by beams, the best score first; fewer where fewer are allowed.

    Args:
        k: beams drawn in each step.
        allowed: which items may be returned, (m,).
        draft: None is plain sampling.
        rule: how drafts are verified. With :func:`exact_rejection` the draft changes no distribution.
    """
    trie = chances.trie
    may = [n > 0 for n in trie.sums_below([float(a) for a in allowed])]
    beams: list[Beam] = [(0.0, start_of(trie))] if may[start_of(trie)] else []
    how = _Drawing(may, k, draw, rule)
    while _branching(trie, beams):
        ahead = [] if draft is None else draft.steps(beams, may, draw)
        nodes = [node for step in ahead for node in step.drawn if trie.item_of[node] < 0]
        chances.fetch([*_branching(trie, beams), *nodes])
        beams = _round(chances, beams, ahead, how)
    return sorted(beams, key=lambda beam: (-beam[0], trie.first_item[beam[1]]))


def ways_on(trie: Trie, guess: Guess, beams: Sequence[Beam], may: Sequence[bool]) -> list[Beam]:
    """All candidates of the next step; an item that was reached stays one."""
    out = []
    for score, node in beams:
        steps = [(0.0, node)] if trie.item_of[node] >= 0 else guess.steps(node)
        out += [(score + chance, way) for chance, way in steps if may[way]]
    return out


@dataclass(frozen=True)
class _Drawing:
    """How a search draws."""

    may: Sequence[bool]
    k: int
    draw: Random
    rule: Rule


def _round(chances: NodeChances, beams: list[Beam], ahead: Sequence[DraftedStep], how: _Drawing) -> list[Beam]:
    """All steps that one pass of the target allows: those whose draft was taken, and the one after."""
    trie = chances.trie
    for step in ahead:
        ways = ways_on(trie, chances, beams, how.may)
        place = {node: i for i, (_, node) in enumerate(ways)}
        q = [step.chances.get(node, 0.0) for _, node in ways]
        drafted = [place[node] for node in step.drawn if node in place]
        beams = [ways[i] for i in how.rule(_chances(ways), q, drafted, how.k, how.draw)]
        if not _branching(trie, beams) or chances.missing(_branching(trie, beams)):
            return beams
    ways = ways_on(trie, chances, beams, how.may)
    return [ways[i] for i in draws(_chances(ways), how.k, how.draw)]


def _branching(trie: Trie, beams: Sequence[Beam]) -> list[int]:
    return [node for _, node in beams if trie.item_of[node] < 0]


def _chances(ways: Sequence[Beam]) -> list[float]:
    """Of the candidates of a step, by their scores; they sum to 1."""
    best = max(score for score, _ in ways)
    weights = [exp(score - best) for score, _ in ways]
    whole = sum(weights)
    return [weight / whole for weight in weights]
