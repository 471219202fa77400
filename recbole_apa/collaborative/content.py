"""How alike two items are by what is public about them: sets of words such as genres, and a year."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_CHUNK = 1 << 16
"""Pairs that are compared at a time."""


@dataclass(frozen=True)
class ItemContent:
    """What is public about each of m items."""

    words: np.ndarray
    """Which of g words an item has, bool, (m, g)."""
    years: np.ndarray
    """float64, (m,); NaN where unknown."""

    @classmethod
    def of(cls, words: Sequence[Sequence[str]], years: Sequence[float]) -> "ItemContent":
        """From the words of each item, e.g. genres, and its year."""
        known = sorted({word for some in words for word in some})
        code_of = {word: code for code, word in enumerate(known)}
        table = np.zeros((len(words), len(known)), dtype=bool)
        for item, some in enumerate(words):
            table[item, [code_of[word] for word in some]] = True
        return cls(table, np.array(years, dtype=np.float64).reshape(len(words)))

    def closeness(self, firsts: np.ndarray, seconds: np.ndarray, years: float) -> np.ndarray:
        """Closeness of pairs of items, from 0 to 1, (p,): the share of words in common, times exp(-d / ``years``) where
        the years are d apart; an unknown year leaves the factor out, and two items without words have none in common.

        Args:
            firsts: item codes, (p,).
            seconds: item codes, (p,).
        """
        common = np.zeros(len(firsts), dtype=np.int64)
        for begin in range(0, len(firsts), _CHUNK):
            some = slice(begin, begin + _CHUNK)
            common[some] = (self.words[firsts[some]] & self.words[seconds[some]]).sum(1)
        sizes = self.words.sum(1)
        union = sizes[firsts] + sizes[seconds] - common
        apart = np.abs(self.years[firsts] - self.years[seconds])
        return common / np.maximum(union, 1) * np.where(np.isnan(apart), 1.0, np.exp(-apart / years))
