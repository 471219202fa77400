"""The first line of an atomic file: ``name:type`` for each column."""

from dataclasses import dataclass
from pathlib import Path

from recbole_apa.core.errors import DataError

TYPES = ("token", "token_seq", "float", "float_seq")


@dataclass(frozen=True)
class Field:
    """One column as the header declares it."""

    name: str
    type: str
    """One of :data:`TYPES`."""


def parse_header(path: Path, names: list[str], separator: str) -> tuple[Field, ...]:
    """
    Args:
        names: the header's cells.

    Raises:
        DataError: a cell is not ``name:type``, a type is unknown, or a name occurs twice.
    """
    out: list[Field] = []
    for cell in names:
        name, colon, kind = cell.rpartition(":")
        if not colon or not name:
            raise DataError(
                f"{path}, line 1: the header needs name:type for each column, e.g. user_id:token; found {cell[:80]!r}"
                f"{_separator_hint(names, separator)}"
            )
        if kind not in TYPES:
            raise DataError(
                f"{path}, line 1: column {name!r} has the type {kind[:80]!r}, expected one of {', '.join(TYPES)}"
                f"{_separator_hint(names, separator)}"
            )
        if name != name.strip() or ":" in name or "\r" in name:
            raise DataError(
                f"{path}, line 1: found the column name {name!r}, expected one without blanks around it, colons or "
                f"carriage returns{_separator_hint(names, separator)}"
            )
        if any(name == field.name for field in out):
            raise DataError(f"{path}, line 1: column {name!r} occurs twice; expected each name once")
        out.append(Field(name, kind))
    return tuple(out)


def _separator_hint(names: list[str], separator: str) -> str:
    """A hint if the line was probably split at the wrong character."""
    whole = separator.join(names)
    if "\r" in whole:
        return "; the lines end in a carriage return alone, expected a line feed"
    others = [shown for mark, shown in (("\t", "tab"), (",", "','"), (";", "';'"), ("|", "'|'"), (" ", "blank"))]
    marks = {"tab": "\t", "','": ",", "';'": ";", "'|'": "|", "blank": " "}
    found = [shown for shown in others if marks[shown] != separator and whole.count(marks[shown]) >= len(names)]
    shown = next((shown for shown, mark in marks.items() if mark == separator), repr(separator))
    if not found:
        return ""
    return f"; columns are separated by {shown} here and the line has {' and '.join(found)}: check field_separator"
