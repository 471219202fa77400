"""The slow, exact way to read a file: one cell after another. It defines what is right, and finds what is wrong."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from recbole_apa.data.reader.header import Field
from recbole_apa.data.reader.problems import Problems, clip
from recbole_apa.data.reader.table import RECBOLE_MISSING, Rule, Table
from recbole_apa.data.tokens import Tokens

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")

Record = tuple[int, list[str]]
"""Physical line, and cells."""


def split_lines(path: Path, data: bytes, separator: str, problems: Problems) -> Iterator[Record]:
    """The records of a file without quoting: a line each, empty ones left out, the header among them.

    Args:
        data: the file in UTF-8, without a byte order mark.
    """
    for number, raw in enumerate(data.split(b"\n"), start=1):
        raw = raw.removesuffix(b"\r")
        if not raw:
            continue
        if b"\r" in raw and number > 1:
            problems.add(number, "a carriage return within the line; expected line ends of one kind, LF or CR LF")
            continue
        try:
            yield number, raw.decode().split(separator)
        except UnicodeDecodeError as error:
            says = f"byte 0x{raw[error.start]:02x} is not UTF-8; name the file's encoding, e.g. --encoding=latin-1"
            problems.add(number, says)


def collect(
    path: Path,
    header: tuple[Field, ...],
    rules: Mapping[str, Rule],
    records: Iterable[Record],
    problems: Problems,
    quoted: bool = False,
) -> Table:
    """A table of the records after the header.

    Raises:
        DataError: lists the first problems by line, column and value.
    """
    wanted = [(place, field, rules[field.name]) for place, field in enumerate(header) if field.name in rules]
    cells: dict[str, list[str]] = {field.name: [] for _, field, _ in wanted}
    lines: list[int] = []
    for line, values in records:
        if len(values) != len(header):
            problems.add(line, _width(values, header, quoted))
            continue
        lines.append(line)
        for place, field, rule in wanted:
            says = _wrong(values[place], rule)
            if says:
                problems.add(line, f"column {field.name}: {says}{_hint(field, rule)}")
            cells[field.name].append(values[place])
    problems.refuse()
    columns = {field.name: _column(cells.pop(field.name), rule) for _, field, rule in wanted}
    where = np.array(lines, dtype=np.int64)
    regular = not len(where) or (where[-1] == len(where) + 1 and not quoted)
    return Table(path, header, columns, dict(rules), len(lines), None if regular else where, quoted)


def _wrong(text: str, rule: Rule) -> str:
    """What is wrong with a cell; nothing if it is right."""
    if rule is Rule.NUMBER and text:
        if not _NUMBER.fullmatch(text):
            return f"found {clip(text)}, expected a number"
        if not math.isfinite(float(text)):
            return f"found {clip(text)}, expected a finite number"
    if rule is Rule.RECBOLE_NUMBER and text not in RECBOLE_MISSING:
        try:
            float(text)
        except ValueError:
            return f"found {clip(text)}, expected a number"
    return ""


def _column(texts: list[str], rule: Rule) -> Tokens | np.ndarray:
    if not rule.is_number:
        return Tokens.of(texts)
    empty = frozenset({""}) if rule is Rule.NUMBER else RECBOLE_MISSING
    return np.array([math.nan if text in empty else float(text) for text in texts], dtype=np.float64)


def _width(values: list[str], header: tuple[Field, ...], quoted: bool) -> str:
    says = f"found {len(values)} values, expected {len(header)} ({', '.join(field.name for field in header)})"
    if len(values) == 1 and len(header) > 1:
        says += "; check field_separator"
    if any('"' in value for value in values) and not quoted:
        says += (
            "; the line has a quotation mark, which is text in this file (not all of its quotation marks enclose whole "
            "cells): a text that holds the separator or a line break cannot be read so"
        )
    return says


def _hint(field: Field, rule: Rule) -> str:
    if rule is Rule.NUMBER and field.type == "token":
        return (
            f"; the header declares {field.name}:{field.type}, and labels and times are numbers (seconds): write "
            f"{field.name}:float"
        )
    return ""
