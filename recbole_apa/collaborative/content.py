"""How alike two items are by what is public about them: sets of words such as genres, and a year."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recbole_apa.core.errors import DataError
from recbole_apa.core.seeding import digest_of
from recbole_apa.data.item_text import ItemTexts

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

    @classmethod
    def of_columns(cls, texts: ItemTexts, items: Sequence[str], words: str, year: str | None = None) -> "ItemContent":
        """From columns of the ``.item`` file.

        Args:
            items: item names; one without a line in the file has neither words nor a year.
            words: a column of words separated by spaces.
            year: a column of numbers; None takes none. Cells that are no numbers are unknown.

        Raises:
            DataError: the file has no such column.
        """
        missing = [name for name in (words, year) if name is not None and name not in texts.available]
        if missing:
            raise DataError(
                f"the items have no column {', '.join(missing)}; expected columns among "
                f"{', '.join(texts.available) or '(none: no .item file, or load_col omits it)'}"
            )
        row_of = {item: row for row, item in enumerate(texts.items)}
        rows = [row_of.get(item) for item in items]
        words_of = ["" if row is None else str(texts.cell(words, row)) for row in rows]
        years = ["" if row is None or year is None else texts.cell(year, row) for row in rows]
        return cls.of([text.split() for text in words_of], list(map(_number, years)))

    def digest(self) -> str:
        """SHA-256 over all that closeness follows from, hexadecimal."""
        years = np.where(np.isnan(self.years), np.inf, self.years)  # one of the many forms of NaN
        cells = np.packbits(self.words).tobytes(), years.tobytes()
        return digest_of("content", self.words.shape, *(data.hex() for data in cells)).hex()

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


def _number(cell: object) -> float:
    try:
        return float(str(cell))
    except ValueError:
        return float("nan")
