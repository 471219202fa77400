"""Atomic files read in the plainest way, to hold the package's reader against; shares no code with it.

Speed is no concern: one character after another, one cell after another.
"""

import re
from dataclasses import dataclass, field

Problem = tuple[int | None, str | None]
"""Physical line and column of what is wrong, as far as it has them."""

_DECIMAL = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_TYPES = ("token", "token_seq", "float", "float_seq")


@dataclass
class Reading:
    """What a file says: columns, or what is wrong with it."""

    problems: list[Problem] = field(default_factory=list)
    columns: dict[str, list] = field(default_factory=dict)
    """Texts, or numbers with None where one is missing."""
    lines: list[int] = field(default_factory=list)
    quoted: bool = False


def read(raw: bytes, separator: str = "\t", encoding: str = "utf-8", unread: tuple[str, ...] = ()) -> Reading:
    """Every column strictly by its declared type, but for those not asked for."""
    if not raw:
        return Reading([(None, None)])
    if encoding != "utf-8":
        try:
            raw = raw.decode(encoding).encode()
        except UnicodeDecodeError as error:
            return Reading([(raw[: error.start].decode(encoding, "ignore").count("\n") + 1, None)])
    if len(separator) > 1 and b"\x1f" in raw:
        return Reading([(None, None)])
    if raw.startswith(b"\xef\xbb\xbf"):
        raw = raw[3:]
    found, broken = _quoted_file(raw, separator), []
    if found is None or found.joins_only_in_rows:
        plainly, broken = _plain_file(raw, separator)
        if found is not None:
            # quotation marks that join rows which make sense without them are two stray ones
            makes_sense = not broken and _is_header(plainly[0][1]) and not _rows(plainly, [], unread, False).problems
            if makes_sense and found.doubled:
                return Reading([(None, None)])
            found, broken = (None, broken) if makes_sense else (found, [])
    quoted = found is not None
    records = found.records if found else plainly
    if not records or records[0][0] != 1 or (1, None) in broken or not _is_header(records[0][1]):
        return Reading([(1, None)])
    return _rows(records, broken, unread, quoted)


def _rows(records: list, broken: list[Problem], unread: tuple[str, ...], quoted: bool) -> Reading:
    header = [cell.rsplit(":", 1) for cell in records[0][1]]
    out = Reading(list(broken), {name: [] for name, _ in header if name not in unread}, quoted=quoted)
    for line, cells in records[1:]:
        if len(cells) != len(header):
            out.problems.append((line, None))
            continue
        out.lines.append(line)
        for (name, kind), cell in zip(header, cells, strict=True):
            if name in unread:
                continue
            value = cell
            if kind == "float":
                value = _number(cell)
                if value == "wrong":
                    out.problems.append((line, name))
            out.columns[name].append(value)
    # a line's own problem is one, those of its cells come from left to right: sorting by line alone keeps that order
    out.problems.sort(key=lambda problem: problem[0])
    return out


def _number(cell: str) -> float | str | None:
    if cell == "":
        return None
    if not _DECIMAL.fullmatch(cell) or float(cell) in (float("inf"), float("-inf")):
        return "wrong"
    return float(cell)


def _is_header(cells: list[str]) -> bool:
    names = []
    for cell in cells:
        if ":" not in cell:
            return False
        name, kind = cell.rsplit(":", 1)
        if kind not in _TYPES or not name or name != name.strip() or ":" in name or "\r" in name:
            return False
        names.append(name)
    return len(set(names)) == len(names)


def _plain_file(raw: bytes, separator: str) -> tuple[list[tuple[int, list[str]]], list[Problem]]:
    """A line is a record, quotation marks are text."""
    records, broken = [], []
    for number, line in enumerate(raw.split(b"\n"), start=1):
        if line.endswith(b"\r"):
            line = line[:-1]
        if line == b"":
            continue
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError:
            broken.append((number, None))
            continue
        if "\r" in text:
            broken.append((number, None))
            continue
        records.append((number, text.split(separator)))
    return records, broken


@dataclass
class _Quoted:
    records: list[tuple[int, list[str]]]
    doubled: bool
    joins_only_in_rows: bool
    """A quoted cell holds a separator or a line break, and the header has no quotation mark."""


def _quoted_file(raw: bytes, separator: str) -> _Quoted | None:
    """The records if every quotation mark encloses a cell or is doubled inside one, and one of them is needed."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return None
    records: list[tuple[int, list[str]]] = []
    cells: list[str] = []
    i, line, began, in_header, doubled, joining = 0, 1, 1, False, False, False
    while i < len(text):
        cell = ""
        if text[i] == '"':
            i += 1
            while True:
                if i >= len(text):
                    return None  # never closed
                if text[i] == '"' and text[i + 1 : i + 2] == '"':
                    cell += '"'
                    i += 2
                elif text[i] == '"':
                    i += 1
                    break
                else:
                    line += text[i] == "\n"
                    cell += text[i]
                    i += 1
            in_header, doubled = in_header or not records, doubled or '"' in cell
            joining = joining or any(mark in cell for mark in ("\n", "\r", separator))
        else:
            while i < len(text) and not text.startswith((separator, "\n", "\r\n"), i):
                if text[i] in '"\r':
                    return None
                cell += text[i]
                i += 1
        cells.append(cell)
        if text.startswith(separator, i):
            i += len(separator)
            if i < len(text):
                continue
            cells.append("")  # the file ends behind a separator
        elif text.startswith("\n", i):
            i += 1
        elif text.startswith("\r\n", i):
            i += 2
        elif i < len(text):
            return None  # something behind a closing quotation mark
        if cells != [""]:
            records.append((began, cells))
        line += 1
        began, cells = line, []
    needed = in_header or doubled or joining
    return _Quoted(records, doubled, joining and not in_header) if needed else None
