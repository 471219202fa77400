"""Item texts: columns of the ``.item`` file filled into ``item_text``."""

import re
import string
from collections.abc import Mapping, Sequence

from recbole_apa.core.errors import DataError
from recbole_apa.data.prompts import placeholders

_EMPTY_BRACKETS = re.compile(r"\s*\(\s*\)")
_ONLY_PUNCTUATION = re.compile(r"\W*")


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
