"""The slow, exact way to read a file: cell by cell. It defines what is valid, and reports what is not."""

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

_WORDS = {"True": 1.0, "TRUE": 1.0, "true": 1.0, "False": 0.0, "FALSE": 0.0, "false": 0.0}
"""Read as numbers by pandas, and so by RecBole, in a column that contains nothing else."""

Record = tuple[int, list[str]]
"""Physical line number, and cells."""


def split_lines(path: Path, data: bytes, separator: str, problems: Problems) -> Iterator[Record]:
    """The records of a file without quoting: one per line including the header, without empty lines.

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
            says = f"byte 0x{raw[error.start]:02x} is not UTF-8; set the file's encoding, e.g. --encoding=latin-1"
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
    of_words: dict[str, bool] = {}
    for line, values in records:
        if len(values) != len(header):
            problems.add(line, _width(values, header, quoted))
            continue
        lines.append(line)
        for place, field, rule in wanted:
            text = values[place]
            says = _wrong_feature(text, field.name, of_words) if rule is Rule.RECBOLE_NUMBER else _wrong(text, rule)
            if says:
                problems.add(line, f"column {field.name}: {says}{_hint(field, rule)}")
            cells[field.name].append(text)
    problems.refuse()
    columns = {field.name: _column(cells.pop(field.name), rule) for _, field, rule in wanted}
    where = np.array(lines, dtype=np.int64)
    regular = not len(where) or (where[-1] == len(where) + 1 and not quoted)
    return Table(path, header, columns, dict(rules), len(lines), None if regular else where, quoted)


def _wrong(text: str, rule: Rule) -> str:
    """What is wrong with a cell; empty if it is valid."""
    if rule is Rule.NUMBER and text:
        if not _NUMBER.fullmatch(text):
            return f"found {clip(text)}, expected a number"
        if not math.isfinite(float(text)):
            return f"found {clip(text)}, expected a finite number"
    return ""


def _wrong_feature(text: str, name: str, of_words: dict[str, bool]) -> str:
    """What is wrong with a number as RecBole reads it.

    Args:
        of_words: whether a column's first cell is True or False, by column name; the other cells must be alike.
    """
    if text in RECBOLE_MISSING:
        return ""
    if of_words.setdefault(name, text in _WORDS):
        return "" if text in _WORDS else f"found {clip(text)}, expected True or False as in the rows above"
    try:
        float(text)
    except ValueError:
        return f"found {clip(text)}, expected a number"
    return ""


def _column(texts: list[str], rule: Rule) -> Tokens | np.ndarray:
    if not rule.is_number:
        return Tokens.of(texts)
    empty = frozenset({""}) if rule is Rule.NUMBER else RECBOLE_MISSING
    known = dict.fromkeys(empty, math.nan) | (_WORDS if rule is Rule.RECBOLE_NUMBER else {})
    return np.array([known[text] if text in known else float(text) for text in texts], dtype=np.float64)


def _width(values: list[str], header: tuple[Field, ...], quoted: bool) -> str:
    says = f"found {len(values)} values, expected {len(header)} ({', '.join(field.name for field in header)})"
    if len(values) == 1 and len(header) > 1:
        says += "; check field_separator"
    if any('"' in value for value in values) and not quoted:
        says += (
            "; the line has a quotation mark, which is text in this file (not all of its quotation marks enclose whole "
            "cells): a text that contains the separator or a line break cannot be read this way"
        )
    return says


def _hint(field: Field, rule: Rule) -> str:
    if rule is Rule.NUMBER and field.type == "token":
        return (
            f"; the header declares {field.name}:{field.type}, and labels and times are numbers (seconds): write "
            f"numbers, and {field.name}:float"
        )
    return ""
