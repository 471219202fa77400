"""Drafts: which nodes a search will need next, guessed without the target.

A guess says what the children of a node are worth: the head's chances of items, which cost nothing, or another language
model's (:class:`~recbole_apa.next_item.generation.node_chances.NodeChances` is a guess as it stands: of the frozen
model, say).
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Protocol

from recbole_apa.next_item.generation.trie import Trie

_LEAST = 1e-30
"""A chance of 0 would make a log of it infinite."""


class Guess(Protocol):
    """What is thought of the children of nodes."""

    def fetch(self, nodes: Sequence[int]) -> None:
        """Find out whatever is needed to guess at some nodes, in one pass."""
        ...

    def steps(self, node: int) -> list[tuple[float, int]]:
        """Of a branching node that was fetched: log chance of each child, and where its forced tokens lead."""
        ...


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
class HeadGuess:
    """By chances of items that are known already, such as the head's: the chance of a node is the sum over the items
    below it. It needs no pass and has nothing of its own to be forgotten.
    """

    trie: Trie
    chances: Sequence[float]
    """Of each node: sums over the items below, at least 0 (:meth:`Trie.sums_below`)."""

    def fetch(self, nodes: Sequence[int]) -> None:
        """Nothing is needed."""

    def steps(self, node: int) -> list[tuple[float, int]]:
        """See :class:`Guess`."""
        whole = max(self.chances[node], _LEAST)
        return [
            (log(max(self.chances[child], _LEAST) / whole), self.trie.landing(child))
            for child in self.trie.children[node]
        ]


@dataclass(frozen=True)
class BeamDraft:
    """A beam search over a guess, from the scores of the search itself."""

    trie: Trie
    guess: Guess
    width: int
    """N: how many nodes go on after each drafted step."""
    depth: int
    """gamma: how many steps are drafted."""

    def nodes(self, beams: Sequence[tuple[float, int]], may: Sequence[bool]) -> list[int]:
        """See :class:`Draft`."""
        out: list[int] = []
        at = list(beams)
        for _ in range(self.depth):
            branching = [node for _, node in at if self.trie.item_of[node] < 0]
            if not branching:
                break
            self.guess.fetch(branching)
            steps = [beam for beam in at if self.trie.item_of[beam[1]] >= 0]
            for score, node in at:
                if self.trie.item_of[node] < 0:
                    steps += [(score + chance, child) for chance, child in self.guess.steps(node) if may[child]]
            at = heapq.nsmallest(self.width, steps, key=lambda step: (-step[0], self.trie.first_item[step[1]]))
            out += [node for _, node in at if self.trie.item_of[node] < 0]
        return out
