"""How alike two items are by a language model's states of their public texts.

Shapes: n items, d hidden size, p pairs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

EmbedTexts = Callable[[Sequence[str]], np.ndarray]
"""Texts -> a frozen model's last-layer state at the end of each, float32, (n, d)."""

_CHUNK = 1 << 12
"""Pairs that are compared at a time."""


@dataclass(frozen=True)
class ItemStates:
    """States of some items' texts. Nobody's interactions are in them."""

    items: np.ndarray
    """Item codes in ascending order, each once, int64, (n,)."""
    values: np.ndarray
    """Float32, (n, d)."""

    @classmethod
    def of(cls, items: np.ndarray, texts: Sequence[str], embed: EmbedTexts) -> "ItemStates":
        """From the texts of some items, (n,); the items as :attr:`items`."""
        return cls(items.astype(np.int64), embed(texts))

    def only(self, items: np.ndarray) -> "ItemStates":
        """Of some of the items.

        Args:
            items: as :attr:`items`.

        Raises:
            KeyError: an item without a state.
        """
        return ItemStates(items.astype(np.int64), self.values[self._places(items)])

    def closeness(self, firsts: np.ndarray, seconds: np.ndarray, width: float) -> np.ndarray:
        """Closeness of pairs of items, (p,), float64: exp((cosine of the two states - 1) / ``width``), so 1 for equal
        directions. A pair's value does not depend on the other pairs, in any bit.

        Args:
            firsts: item codes, (p,).
            seconds: item codes, (p,).
            width: more than 0.

        Raises:
            KeyError: an item without a state.
        """
        values = self.values.astype(np.float64)
        lengths = np.sqrt((values * values).sum(1))
        directions = values / np.where(lengths > 0, lengths, 1.0)[:, None]
        one, other = self._places(firsts), self._places(seconds)
        cosines = np.empty(len(firsts))
        for begin in range(0, len(firsts), _CHUNK):
            some = slice(begin, begin + _CHUNK)
            cosines[some] = (directions[one[some]] * directions[other[some]]).sum(1)
        out: np.ndarray = np.exp((cosines - 1.0) / width)
        return out

    def _places(self, items: np.ndarray) -> np.ndarray:
        places = np.minimum(np.searchsorted(self.items, items), max(len(self.items) - 1, 0))
        if len(items) and (not len(self.items) or (self.items[places] != items).any()):
            raise KeyError("found an item without a state; expected states of all items of these targets")
        return places
