"""Titles as a tree of tokens.

Node 0 is the root, where the prompt ends. A node with one child is forced: given the prefix there is nothing to choose.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from recbole_apa.core.errors import DataError

ROOT = 0
_LENGTHS = (40, 20, 10, 5, 0)
"""So many characters of a title stand before an id: fewer where the id would be cut off, as of letters that take
several tokens."""


@dataclass(frozen=True)
class Trie:
    """Nodes are numbered in order of the items that made them; children stand in that order."""

    tokens: tuple[int, ...]
    """The token that leads to each node; -1 for the root."""
    parents: tuple[int, ...]
    """-1 for the root."""
    children: tuple[tuple[int, ...], ...]
    item_of: tuple[int, ...]
    """The column of the item that ends at a node, -1 for others."""

    @classmethod
    def of(cls, titles: Sequence[Sequence[int]]) -> "Trie":
        """
        Args:
            titles: the tokens of each item; all different, none the beginning of another.

        Raises:
            ValueError: an empty title, two that are equal, or one that is the beginning of another.
        """
        tokens, parents, children, item_of = [-1], [-1], [dict[int, int]()], [-1]
        for column, title in enumerate(titles):
            if not title:
                raise ValueError(f"title {column} has no tokens")
            node = ROOT
            for token in title:
                if item_of[node] >= 0:
                    raise ValueError(f"title {item_of[node]} is the beginning of title {column}")
                if token not in children[node]:
                    children[node][token] = len(tokens)
                    tokens.append(token)
                    parents.append(node)
                    children.append({})
                    item_of.append(-1)
                node = children[node][token]
            if item_of[node] >= 0 or children[node]:
                raise ValueError(f"title {column} is another one's, or the beginning of it")
            item_of[node] = column
        return cls(tuple(tokens), tuple(parents), tuple(tuple(c.values()) for c in children), tuple(item_of))

    def __len__(self) -> int:
        return len(self.tokens)

    def path(self, node: int) -> list[int]:
        """The nodes from below the root to a node, (depth,)."""
        out = []
        while node != ROOT:
            out.append(node)
            node = self.parents[node]
        return out[::-1]

    def landing(self, node: int) -> int:
        """The first node from here on that branches or ends an item: where forced tokens lead to."""
        return self._landing[node]

    @property
    def branching(self) -> list[int]:
        """Nodes with more than one child, in their order."""
        return [node for node, below in enumerate(self.children) if len(below) > 1]

    @property
    def depth(self) -> int:
        """Tokens of the longest title."""
        return max(self._depth)

    @cached_property
    def first_item(self) -> tuple[int, ...]:
        """The smallest column below each node: ties in score are broken by it."""
        out = [-1] * len(self)
        for node in range(len(self) - 1, -1, -1):  # children have larger numbers than their parents
            own = self.item_of[node]
            out[node] = own if own >= 0 else min(out[child] for child in self.children[node])
        return tuple(out)

    def sums_below(self, of_items: Sequence[float]) -> list[float]:
        """The sum over the items below each node."""
        out = [0.0] * len(self)
        for node in range(len(self) - 1, -1, -1):
            own = self.item_of[node]
            out[node] = float(of_items[own]) if own >= 0 else sum(out[child] for child in self.children[node])
        return out

    @cached_property
    def _landing(self) -> tuple[int, ...]:
        out = list(range(len(self)))
        for node in range(len(self) - 1, -1, -1):
            if len(self.children[node]) == 1:
                out[node] = out[self.children[node][0]]
        return tuple(out)

    @cached_property
    def _depth(self) -> tuple[int, ...]:
        out = [0] * len(self)
        for node in range(1, len(self)):
            out[node] = out[self.parents[node]] + 1
        return tuple(out)


def title_tokens(
    texts: Sequence[str], items: Sequence[str], line: Callable[[str], Sequence[int]]
) -> list[tuple[int, ...]]:
    """The tokens of each item's title. A title that several items have gets the item's id behind it, and is shortened
    until the id is not cut off.

    Args:
        texts: the items' texts, (m,).
        items: their ids, all different, (m,).
        line: the tokens of a text with its line break, which no text contains.

    Raises:
        DataError: ids are too long to be told apart.
    """
    out = [tuple(line(text)) for text in texts]
    for length in _LENGTHS:
        seen = Counter(out)
        if len(seen) == len(out):
            return out
        out = [
            title if seen[title] == 1 else tuple(line(f"{text[:length]} ({item})"))
            for title, text, item in zip(out, texts, items, strict=True)
        ]
    seen = Counter(out)
    twice = [item for item, title in zip(items, out, strict=True) if seen[title] > 1]
    if twice:
        raise DataError(
            f"the titles of {len(twice)} items, e.g. {', '.join(map(repr, twice[:2]))}, begin with the same tokens, "
            "and so do their ids, of which no more are read; expected shorter ids, or texts that differ earlier "
            "(item_text), or adapters: codes"
        )
    return out
