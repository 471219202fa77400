"""Drafts: which nodes a search will need next, guessed without the language model."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Protocol

from recbole_apa.next_item.generation.trie import Trie

_LEAST = 1e-30
"""A chance of 0 would make a log of it infinite."""


class Draft(Protocol):
    """A guess at a search."""

    def nodes(self, beams: Sequence[tuple[float, int]], may: Sequence[bool]) -> list[int]:
        """Branching nodes that the next steps will need.

        Args:
            beams: score and node of each of the search's beams.
            may: whether an item below each node may be returned.
        """
        ...


@dataclass(frozen=True)
class HeadDraft:
    """A beam search over chances of items that are known already, such as the head's: the chance of a node is the sum
    over the items below it. It needs no pass and has nothing of its own to be forgotten.
    """

    trie: Trie
    chances: Sequence[float]
    """Of each node: sums over the items below, at least 0 (:meth:`Trie.sums_below`)."""
    width: int
    """N: how many nodes go on after each drafted step."""
    depth: int
    """gamma: how many steps are drafted."""

    def nodes(self, beams: Sequence[tuple[float, int]], may: Sequence[bool]) -> list[int]:
        """See :class:`Draft`; starts from the scores of the search itself."""
        out: list[int] = []
        at = list(beams)
        for _ in range(self.depth):
            steps = [beam for beam in at if self.trie.item_of[beam[1]] >= 0]
            for score, node in at:
                if self.trie.item_of[node] < 0:
                    steps += self._steps(score, node, may)
            at = heapq.nsmallest(self.width, steps, key=lambda step: (-step[0], self.trie.first_item[step[1]]))
            out += [node for _, node in at if self.trie.item_of[node] < 0]
        return out

    def _steps(self, score: float, node: int, may: Sequence[bool]) -> list[tuple[float, int]]:
        whole = max(self.chances[node], _LEAST)
        return [
            (score + log(max(self.chances[child], _LEAST) / whole), self.trie.landing(child))
            for child in self.trie.children[node]
            if may[child]
        ]
