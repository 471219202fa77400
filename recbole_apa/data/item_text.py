"""Item texts: columns of the ``.item`` file filled into ``item_text``."""

import re
import string
from collections.abc import Mapping, Sequence

import numpy as np

from recbole_apa.core.errors import DataError
from recbole_apa.data.data_options import FileOptions
from recbole_apa.data.prompts import placeholders
from recbole_apa.data.reader import Table

_EMPTY_BRACKETS = re.compile(r"\s*\(\s*\)")
_ONLY_PUNCTUATION = re.compile(r"\W*")


class ItemTexts:
    """The text of each item that is asked for.

    Args:
        table: the ``.item`` file, each item once; None if there is none.
        item_text: how an item is written.

    Raises:
        DataError: ``item_text`` names a column that the file does not have, or no column at all.
    """

    def __init__(self, table: Table | None, item_text: str, files: FileOptions) -> None:
        self._table, self.item_text, self._files = table, item_text, files
        self.columns = item_columns(item_text, self.available)
        self._row_of: dict[str, int] = {}
        if table is not None:
            codes, names = table.texts(files.item).codes.tolist(), table.texts(files.item).names
            self._row_of = {names[code]: row for row, code in enumerate(codes)}

    @property
    def available(self) -> list[str]:
        """The columns of the file, with the id last."""
        columns = [] if self._table is None else list(self._table.columns)
        return sorted(columns, key=lambda name: name == self._files.item)

    @property
    def items(self) -> list[str]:
        """Items with a line in the file, in its order."""
        return list(self._row_of)

    def text_of(self, item: str) -> str:
        """An item's text; ``item NAME`` for one that has no line in the file."""
        row = self._row_of.get(item)
        if row is None:
            return f"item {item}"
        return write_item(self.item_text, {name: self.cell(name, row) for name in self.columns}, item)

    def cell(self, column: str, row: int) -> object:
        """One cell as written into texts; a missing one is an empty text."""
        assert self._table is not None
        cells = self._table.columns[column]
        if isinstance(cells, np.ndarray):
            value = float(cells[row])
            return "" if np.isnan(value) else value
        if not self._table.field(column).type.endswith("_seq"):
            return cells[row]
        words = [word for word in cells[row].split(self._files.seq_separator) if word]
        return " ".join(words[: self._files.seq_len.get(column)])


def item_columns(item_text: str, available: Sequence[str]) -> list[str]:
    """The columns that ``item_text`` names.

    Raises:
        DataError: it names a column that the dataset does not have, or no column at all.
    """
    names = [name for _, name, _, _ in string.Formatter().parse(item_text) if name is not None]
    missing = sorted(set(names) - set(available))
    if missing or not names:
        raise DataError(
            f"item_text is {item_text!r} and the items have no column {', '.join(missing) or 'named in it'}; "
            f"expected columns among {', '.join(available) or '(none: no .item file, or load_col omits it)'}"
        )
    placeholders("item_text", item_text, available)
    return names


def write_item(item_text: str, values: Mapping[str, object], token: str) -> str:
    """The text of one item; empty brackets and trailing separators are removed, and an item without any text is
    written as ``item <token>``."""
    text = item_text.format(**{name: _plain(value) for name, value in values.items()})
    text = " ".join(_EMPTY_BRACKETS.sub("", text).split()).rstrip(" ,;:-/")
    return f"item {token}" if _ONLY_PUNCTUATION.fullmatch(text) else text


def _plain(value: object) -> str:
    """A cell as text. Years come as floats: 1995.0 is written 1995."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
