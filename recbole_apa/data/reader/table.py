"""What the reader returns: the columns of one file, and the line of each row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np

from recbole_apa.core.errors import DataError
from recbole_apa.data.reader.header import Field
from recbole_apa.data.tokens import Tokens

RECBOLE_MISSING = frozenset(
    {"", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA"}
    | {"NULL", "NaN", "None", "n/a", "nan", "null"}
)
"""What ``pandas.read_csv``, which RecBole uses, treats as a missing value (its ``na_values``)."""


class Rule(Enum):
    """How the cells of a column are read."""

    TEXT = "text"
    """Any text; only an empty cell is missing."""
    NUMBER = "number"
    """Finite decimal numbers; only an empty cell is missing."""
    RECBOLE_TEXT = "recbole text"
    """As RecBole reads a column that is a feature: words such as NA are missing too."""
    RECBOLE_NUMBER = "recbole number"
    """Likewise; ``nan`` and ``inf`` are accepted."""

    @property
    def is_number(self) -> bool:
        """Whether the column holds numbers."""
        return self in (Rule.NUMBER, Rule.RECBOLE_NUMBER)


@dataclass(frozen=True)
class Table:
    """The columns of an atomic file; n rows."""

    path: Path
    header: tuple[Field, ...]
    """All columns of the file, read or not."""
    columns: Mapping[str, Tokens | np.ndarray]
    """Columns by name, in the file's order: :class:`Tokens` (n,) where ``""`` is a missing text, or float64 (n,) where
    NaN is a missing number."""
    rules: Mapping[str, Rule]
    """How each column was read."""
    n_rows: int
    lines: np.ndarray | None = None
    """Physical line of each row, (n,); None where row 0 is line 2 and every line is a row."""
    quoted: bool = False
    """Whether the file was recognised as a CSV file with quoted cells."""

    def __len__(self) -> int:
        return self.n_rows

    def line(self, row: int) -> int:
        """Physical line of a row in the file, from 1."""
        return row + 2 if self.lines is None else int(self.lines[row])

    def field(self, name: str) -> Field:
        """A column as the header declares it."""
        return next(field for field in self.header if field.name == name)

    def texts(self, name: str) -> Tokens:
        """A column of texts."""
        column = self.columns[name]
        assert isinstance(column, Tokens)
        return column

    def numbers(self, name: str) -> np.ndarray:
        """A column of numbers, (n,), float64."""
        column = self.columns[name]
        assert isinstance(column, np.ndarray)
        return column

    def missing(self, name: str) -> np.ndarray:
        """Which cells of a column are missing, (n,), bool."""
        column = self.columns[name]
        if isinstance(column, np.ndarray):
            return np.isnan(column)
        if self.rules[name] is Rule.TEXT:
            return column.where("")
        codes = [code for code, text in enumerate(column.names) if text in RECBOLE_MISSING]
        return np.isin(column.codes, codes)

    def take(self, rows: np.ndarray) -> "Table":
        """Some of the rows.

        Args:
            rows: row numbers, or (n,) bool.
        """
        if rows.dtype == bool and rows.all():
            return self
        where = np.flatnonzero(rows) if rows.dtype == bool else rows
        columns = {n: c.take(where) if isinstance(c, Tokens) else c[where] for n, c in self.columns.items()}
        lines = where + 2 if self.lines is None else self.lines[where]
        return Table(self.path, self.header, columns, self.rules, len(where), lines, self.quoted)


def concat(path: Path, tables: Sequence[Table]) -> Table:
    """The rows of several tables, one after another.

    Args:
        path: the name of the result in messages.

    Raises:
        DataError: their columns differ.
    """
    first = tables[0]
    for other in tables[1:]:
        if set(other.columns) != set(first.columns):
            differing = ", ".join(sorted(set(other.columns) ^ set(first.columns)))
            raise DataError(f"{first.path} and {other.path} do not have the same columns: {differing} is in only one")
        for name, rule in first.rules.items():
            if other.rules[name].is_number != rule.is_number:
                raise DataError(
                    f"{first.path} and {other.path}: column {name} is {first.field(name).type} in one and "
                    f"{other.field(name).type} in the other; expected one type"
                )
    columns: dict[str, Tokens | np.ndarray] = {}
    for name, column in first.columns.items():
        if isinstance(column, np.ndarray):
            columns[name] = np.concatenate([table.numbers(name) for table in tables])
        else:
            columns[name] = Tokens.joined([table.texts(name) for table in tables])
    lines = np.concatenate([np.arange(len(t)) + 2 if t.lines is None else t.lines for t in tables])
    return Table(path, first.header, columns, first.rules, sum(map(len, tables)), lines)
