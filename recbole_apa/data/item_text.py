"""Item texts: columns of the ``.item`` file filled into ``item_text``."""

import re
import string
from collections.abc import Mapping, Sequence
from typing import overload

import numpy as np

from recbole_apa.core.errors import DataError
from recbole_apa.core.seeding import digest_over
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
        option: that says so, for messages.

    Raises:
        DataError: ``item_text`` names a column that the file does not have, or no column at all.
    """

    def __init__(self, table: Table | None, item_text: str, files: FileOptions, option: str = "item_text") -> None:
        self._table, self.item_text, self._files = table, item_text, files
        self.columns = item_columns(item_text, self.available, option)
        self._row_of: dict[str, int] = {}
        self._written: dict[str, str] = {}
        if table is not None:
            codes, names = table.texts(files.item).codes.tolist(), table.texts(files.item).names
            self._row_of = {names[code]: row for row, code in enumerate(codes)}

    def written_as(self, item_text: str | None) -> "ItemTexts":
        """The same items, written as ``evidence_text`` says; None changes nothing.

        Raises:
            DataError, PromptError: as the class.
        """
        return self if item_text is None else ItemTexts(self._table, item_text, self._files, "evidence_text")

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
        text = self._written.get(item)
        if text is None:
            row = self._row_of.get(item)
            cells = {} if row is None else {name: self.cell(name, row) for name in self.columns}
            text = self._written[item] = f"item {item}" if row is None else self.write(cells, item)
        return text

    def write(self, cells: Mapping[str, object], item: str) -> str:
        """The text of an item with these cells."""
        return write_item(self.item_text, cells, item)

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


class NumberedTexts(Sequence[str]):
    """Item texts by RecBole's number, each written when it is asked for.

    Args:
        tokens: the item of each number; number 0 is padding.
        padding: the text of number 0.
    """

    def __init__(self, texts: ItemTexts, tokens: Sequence[str], padding: str) -> None:
        self._texts, self._tokens, self._padding = texts, tokens, padding

    @overload
    def __getitem__(self, number: int) -> str: ...
    @overload
    def __getitem__(self, number: slice) -> list[str]: ...
    def __getitem__(self, number: int | slice) -> str | list[str]:
        if isinstance(number, slice):
            return [self[i] for i in range(len(self))[number]]
        place = range(len(self))[number]
        return self._padding if place == 0 else self._texts.text_of(self._tokens[place])

    def __len__(self) -> int:
        return len(self._tokens)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


def columns_digest(texts: ItemTexts) -> str:
    """SHA-256 over all columns of the items that are read, hexadecimal; it does not depend on the order of lines."""
    columns = sorted(texts.available)
    lines = sorted((item, row) for row, item in enumerate(texts.items))
    cells = (str(texts.cell(column, row)) for _, row in lines for column in columns)
    return digest_over(("item columns", *columns, *cells)).hex()


def item_columns(item_text: str, available: Sequence[str], option: str = "item_text") -> list[str]:
    """The columns that ``item_text`` names.

    Args:
        option: that it is the value of.

    Raises:
        DataError: it names a column that the dataset does not have, or no column at all, or has unbalanced braces.
    """
    try:
        names = [name for _, name, _, _ in string.Formatter().parse(item_text) if name is not None]
    except ValueError as error:
        raise DataError(f"{option} is {item_text!r}: {error}; double literal braces") from None
    missing = sorted(set(names) - set(available))
    if missing or not names:
        raise DataError(
            f"{option} is {item_text!r} and the items have no column {', '.join(missing) or 'named in it'}; "
            f"expected columns among {', '.join(available) or '(none: no .item file, or load_col omits it)'}"
        )
    placeholders(option, item_text, available)
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
