"""What the language model says at the nodes of a trie: chances of the children, which sum to 1.

Only tokens that lead to an item share the chance, so that forced tokens cost nothing and no score is lost on titles
that do not exist; long titles need no normalisation by length.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from recbole_apa.next_item.generation.trie import ROOT, Trie


class NodeReader(Protocol):
    """The language model after one prompt. What it says of a node depends on the prompt and the node's path alone."""

    def read(self, nodes: Sequence[int]) -> None:
        """One pass over nodes that were not read before, parents before children."""
        ...

    def has(self, node: int) -> bool:
        """Whether a node was read, or is the root."""
        ...

    def logits(self, node: int, tokens: Sequence[int]) -> Tensor:
        """The logits of some tokens after a node that was read, float32, (len(tokens),)."""
        ...

    def fresh(self) -> "NodeReader":
        """After the same prompt, with no node read."""
        ...


class NodeChances:
    """Reads nodes when they are asked for, and counts passes and rows."""

    def __init__(self, trie: Trie, reader: NodeReader) -> None:
        self.trie, self._reader = trie, reader
        self._known: dict[int, Tensor] = {}
        self.n_passes = 0
        self.n_rows = 0
        """Nodes that were read."""

    def fresh(self) -> "NodeChances":
        """After the same prompt, which is not read again, with no node read."""
        return NodeChances(self.trie, self._reader.fresh())

    def missing(self, nodes: Sequence[int]) -> list[int]:
        """Those of the nodes that were not read."""
        return [node for node in nodes if not self._reader.has(node)]

    def fetch(self, nodes: Sequence[int]) -> None:
        """Read nodes and what leads to them, in one pass; nothing if all are known."""
        rows = sorted({row for node in nodes for row in self.trie.path(node) if not self._reader.has(row)})
        if rows:
            self._reader.read(rows)  # a parent's number is smaller than its children's
            self.n_passes += 1
            self.n_rows += len(rows)

    def log_chances(self, node: int) -> list[float]:
        """Of the children of a node that was read, in their order."""
        if node not in self._known:
            tokens = [self.trie.tokens[child] for child in self.trie.children[node]]
            logits = self._reader.logits(node, tokens).double()
            self._known[node] = torch.log_softmax(logits, 0)
        out: list[float] = self._known[node].tolist()
        return out

    def steps(self, node: int) -> list[tuple[float, int]]:
        """What follows a branching node that was read: log chance of each child, and where its forced tokens lead."""
        chances = self.log_chances(node)
        return [(chance, self.trie.landing(c)) for chance, c in zip(chances, self.trie.children[node], strict=True)]


def start_of(trie: Trie) -> int:
    """Where a search begins: the root, or where its forced tokens lead."""
    return trie.landing(ROOT)
