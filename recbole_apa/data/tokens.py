"""A column of texts, encoded: each distinct text once, and a number for each row; pure numpy."""

from collections.abc import Iterable, Sequence
from typing import overload

import numpy as np

from recbole_apa.data.row_blocks import BLOCK

_FEW = 1000
"""Up to this many rows are looked up one by one: making an array of all names would cost more."""


class Tokens(Sequence[str]):
    """Texts of n rows as codes and names.

    Args:
        codes: the index of each row's text in ``names``, (n,), integers.
        names: each distinct text once.
    """

    def __init__(self, codes: np.ndarray, names: Sequence[str]) -> None:
        self.codes, self.names = codes, names

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Tokens":
        """Encode texts, names in order of first appearance; ``Tokens`` are returned unchanged."""
        if isinstance(texts, cls):
            return texts
        place: dict[str, int] = {}
        codes = np.fromiter((place.setdefault(text, len(place)) for text in texts), dtype=np.int32)
        return cls(codes, list(place))

    @classmethod
    def joined(cls, columns: Sequence["Tokens"]) -> "Tokens":
        """The rows of several columns, one after another."""
        place: dict[str, int] = {}
        parts = []
        for column in columns:
            renumbered = [place.setdefault(name, len(place)) for name in column.names]
            parts.append(np.array(renumbered, dtype=np.int32)[column.codes])
        return cls(np.concatenate(parts), list(place))

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> "Tokens": ...
    def __getitem__(self, row: int | slice) -> "str | Tokens":
        if isinstance(row, slice):
            return self.take(row)
        return self.names[self.codes[row]]

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, rows: np.ndarray | slice) -> "Tokens":
        """Some of the rows; names are shared, even those that no row uses any more."""
        return Tokens(self.codes[rows], self.names)

    def texts(self, rows: np.ndarray | slice = slice(None)) -> list[str]:
        """The texts of some rows; equal texts are one object in memory."""
        codes = self.codes[rows]
        if len(codes) < _FEW:
            return [self.names[code] for code in codes.tolist()]
        out: list[str] = self.objects()[codes].tolist()
        return out

    def objects(self) -> np.ndarray:
        """``names`` as an array of objects."""
        out = np.empty(len(self.names), dtype=object)
        out[:] = self.names
        return out

    def compact(self) -> "Tokens":
        """The same texts, with names in order of first appearance and none that no row uses."""
        codes, n = self.ranked()
        used = np.empty(n, dtype=np.int64)
        used[codes] = self.codes
        return Tokens(codes, [self.names[code] for code in used.tolist()])

    def where(self, text: str) -> np.ndarray:
        """Which rows have a given text, (n,), bool."""
        codes = [code for code, name in enumerate(self.names) if name == text]
        return np.isin(self.codes, codes) if codes else np.zeros(len(self), dtype=bool)

    def firsts(self) -> np.ndarray:
        """The first row of each name that a row uses, in the order of the names."""
        first = self._first()
        return first[first < len(self.codes)]

    def ranked(self) -> tuple[np.ndarray, int]:
        """Codes renumbered in order of first appearance among these rows, (n,), and the number of distinct ones."""
        first = self._first()
        order = np.argsort(first, kind="stable")
        rank = np.empty(len(order), dtype=np.int32)
        rank[order] = np.arange(len(order), dtype=np.int32)
        return rank[self.codes], int((first < len(self.codes)).sum())

    def _first(self) -> np.ndarray:
        """The first row of each name; n for names that no row uses."""
        n = len(self.codes)
        first = np.full(len(self.names), n, dtype=np.int64)
        # from the last block to the first, so that the first row is written last; numpy copies the codes of each
        for start in reversed(range(0, n, BLOCK)):
            codes = self.codes[start : start + BLOCK]
            first[codes[::-1]] = np.arange(start + len(codes) - 1, start - 1, -1)
        return first
