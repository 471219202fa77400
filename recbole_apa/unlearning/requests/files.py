"""Request files: ``.csv``, ``.jsonl`` and RecBole's ``.inter``, line by line; additions are read by the same means."""

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from recbole_apa.core.errors import RequestError
from recbole_apa.core.files.plain import RepeatedKeyError, each_once
from recbole_apa.unlearning.requests.columns import RequestColumns, plain_names
from recbole_apa.unlearning.requests.demands import PASSED, UNREAD, Demand, make_demand

Lines = Iterator[tuple[int, dict[str, Any]]]
"""Line number, and the line's values by our names."""


def read_demands(path: Path, columns: Mapping[str, object] | None = None) -> list[Demand]:
    """Read a request file: ``.csv``, ``.jsonl`` / ``.json`` (one object per line) or RecBole's ``.inter``.

    Columns: ``user_id``, ``item_id``, ``timestamp``, ``rating``. A line with only a user asks to forget the whole user,
    one with only an item the whole item.

    Args:
        columns: their names in this file, and what to ignore: ``{"user_id": "uid", "ignore": ["tag"]}``.

    Raises:
        RequestError: missing, empty or malformed, with the line.
        SettingsError: ``columns`` is malformed.
    """
    names = RequestColumns.of(columns)
    readers: dict[str, Callable[[Path, RequestColumns], Lines]] = {
        ".csv": read_csv,
        ".jsonl": read_json_lines,
        ".json": read_json_lines,
        ".inter": _read_atomic,
    }
    if path.suffix not in readers:
        raise RequestError(f"{path}: found the ending {path.suffix!r}, expected {', '.join(readers)}")
    try:
        name = path.name
        demands = [make_demand(f"{name}, line {n}", values) for n, values in readers[path.suffix](path, names)]
    except (OSError, UnicodeError) as error:
        raise RequestError(f"cannot read the request {path}: {error}; nothing was changed") from error
    if not demands:
        raise RequestError(f"{path} is empty: expected a line for each interaction, user or item")
    return demands


def read_csv(path: Path, names: RequestColumns) -> Lines:
    """The lines of a CSV file with a header.

    Raises:
        RequestError: not CSV, or columns or a line's width that do not fit.
    """
    with open(path, newline="", encoding="utf-8-sig") as file:
        # strict: an unclosed quotation mark would swallow the lines after it
        reader = csv.reader(file, strict=True)
        try:
            # a row is named by the line that it begins in
            begins = (reader.line_num + 1 for _ in count())
            yield from _table(path, zip(begins, reader, strict=False), names)
        except csv.Error as error:
            raise RequestError(f"{path.name}, line {reader.line_num}: not CSV ({error})") from None


def _read_atomic(path: Path, names: RequestColumns) -> Lines:
    with open(path, encoding="utf-8-sig") as file:
        lines = ((n, line.rstrip("\r\n").split("\t")) for n, line in enumerate(file, start=1))
        yield from _table(path, lines, names)


def _table(path: Path, lines: Iterator[tuple[int, list[str]]], names: RequestColumns) -> Lines:
    """Lines with a header -> values by our names; empty lines are skipped, and a request's without any value."""
    _, header = next(lines, (1, []))
    said = names.read_header(f"{path.name}, line 1", header)
    others = [name for name, ours in zip(plain_names(header), said, strict=True) if name and not ours]
    told = {UNREAD: names.unread(others), PASSED: tuple(others)}
    named = [(place, name) for place, name in enumerate(said) if name]
    for number, row in lines:
        if not "".join(row).strip() and not (names.is_addition and len(row) > 1):
            continue
        if len(row) != len(said):
            raise RequestError(f"{path.name}, line {number}: found {len(row)} values, expected {len(said)}")
        yield number, {**told, **{name: row[place] for place, name in named}}


def read_json_lines(path: Path, names: RequestColumns) -> Lines:
    """The lines of a file with one JSON object each; empty lines are skipped.

    Raises:
        RequestError: not JSON, or columns that do not fit.
    """
    seen: set[str] = set()
    with open(path, encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            where = f"{path.name}, line {number}"
            values = _parse_object(where, line)
            for name in values:
                names.refuse_unknown(where, name)
            seen |= set(values)
            told = {names.meaning[name]: value for name, value in values.items() if name in names.meaning}
            others = tuple(name for name in values if name not in names.meaning)
            yield number, {**told, UNREAD: names.unread(others), PASSED: others}
    missing = sorted(set(names.given.values()) - seen)
    if missing and seen:
        raise RequestError(f"{path.name}: no line has the {missing[0]!r} of --{names.option}")


def _parse_object(where: str, line: str) -> dict[str, Any]:
    try:
        values = json.loads(line, object_pairs_hook=each_once, parse_int=_as_it_stands)
    except RepeatedKeyError as error:
        raise RequestError(f"{where}: {error.key!r} appears twice; expected each once") from None
    except RecursionError:
        raise RequestError(f"{where}: brackets nested too deeply; expected a flat object") from None
    except ValueError as error:  # also a number with thousands of digits
        raise RequestError(f"{where}: not JSON ({str(error)[:120]})") from None
    if not isinstance(values, dict):
        raise RequestError(
            f'{where}: expected an object such as {{"user_id": "1", "item_id": "2"}}, found {line.strip()[:60]}'
        )
    return values


def _as_it_stands(text: str) -> int | float:
    """A whole number; -0 becomes a float, as it is not the id 0."""
    number = int(text)
    return number if str(number) == text else float(text)
