"""The best items by title: exactly, or by beams. Scores are log chances, added up in float64 along the path."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from recbole_apa.next_item.generation.drafts import Draft
from recbole_apa.next_item.generation.node_chances import NodeChances, start_of


@dataclass(frozen=True, order=True)
class Found:
    """A node that a search has reached; sorts from the best: by score, then by the smallest item below it."""

    loss: float
    """Minus its log chance."""
    first_item: int
    node: int

    @property
    def score(self) -> float:
        """The log chance."""
        return -self.loss


def rank_all(chances: NodeChances) -> Tensor:
    """The log chance of every item, (m,), float64: their exponentials sum to 1. One pass."""
    trie = chances.trie
    chances.fetch(trie.branching)
    out = torch.full((max(trie.item_of) + 1,), float("-inf"), dtype=torch.float64)
    open_ = [(0.0, start_of(trie))]
    while open_:
        score, node = open_.pop()
        if trie.item_of[node] >= 0:
            out[trie.item_of[node]] = score
        else:
            open_ += [(score + chance, landing) for chance, landing in chances.steps(node)]
    return out


def best_first(chances: NodeChances, k: int, allowed: Sequence[bool]) -> list[Found]:
    """The true best items, without reading what cannot be among them: no step raises a score.

    Args:
        allowed: which items may be returned, (m,).
    """
    trie, out = chances.trie, list[Found]()
    heap = [_start(chances)] if _may(chances, allowed)[start_of(trie)] else []
    may = _may(chances, allowed)
    while heap and len(out) < k:
        best = heapq.heappop(heap)
        if trie.item_of[best.node] >= 0:
            out.append(best)
            continue
        chances.fetch([best.node])
        for step in _steps(chances, best):
            if may[step.node]:
                heapq.heappush(heap, step)
    return out


def beam_search(
    chances: NodeChances, width: int, k: int, allowed: Sequence[bool], draft: Draft | None = None
) -> list[Found]:
    """The best items that ``width`` beams find; one step a decision, forced tokens are skipped.

    With a draft, a pass that is needed also reads what the draft expects to be needed next. A step whose nodes were all
    read ahead needs no pass; the first one that needs another begins the next round. The list is the same.

    Args:
        width: how many nodes go on after each step; at least ``k``.
        allowed: as in :func:`best_first`.
    """
    trie, may = chances.trie, _may(chances, allowed)
    beams = [_start(chances)] if may[start_of(trie)] else []
    while any(trie.item_of[beam.node] < 0 for beam in beams):
        branching = [beam for beam in beams if trie.item_of[beam.node] < 0]
        if chances.missing([beam.node for beam in branching]):
            ahead = [] if draft is None else draft.nodes([(b.score, b.node) for b in beams], may)
            chances.fetch([*(beam.node for beam in branching), *ahead])
        found = [beam for beam in beams if trie.item_of[beam.node] >= 0]
        found += [step for beam in branching for step in _steps(chances, beam) if may[step.node]]
        beams = heapq.nsmallest(width, found)
    return beams[:k]


def _start(chances: NodeChances) -> Found:
    node = start_of(chances.trie)
    return Found(-0.0, chances.trie.first_item[node], node)


def _steps(chances: NodeChances, beam: Found) -> list[Found]:
    first = chances.trie.first_item
    return [Found(beam.loss - chance, first[node], node) for chance, node in chances.steps(beam.node)]


def _may(chances: NodeChances, allowed: Sequence[bool]) -> list[bool]:
    """Whether an item below each node may be returned."""
    return [n > 0 for n in chances.trie.sums_below([float(a) for a in allowed])]
