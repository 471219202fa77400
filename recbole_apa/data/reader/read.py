"""Read one atomic file strictly: the fast way if it is valid, the slow way to report what is not."""

import codecs
import mmap
from collections.abc import Callable
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path

import pyarrow as pa

from recbole_apa.core.errors import DataError
from recbole_apa.data.reader.fast import read_fast
from recbole_apa.data.reader.header import Field, parse_header
from recbole_apa.data.reader.plain import collect, split_lines
from recbole_apa.data.reader.problems import Problems
from recbole_apa.data.reader.quoted import quoted_records
from recbole_apa.data.reader.scan import BOM, Scan, row_lines, scan
from recbole_apa.data.reader.table import Rule, Table

_UNIT = "\x1f"
"""Replaces a separator of several characters: pyarrow accepts only one."""

Choose = Callable[[Field], Rule | None]
"""How a column is read; None omits it."""


@dataclass(frozen=True)
class FileForm:
    """How atomic files are written (RecBole's ``field_separator`` and ``encoding``)."""

    separator: str = "\t"
    encoding: str | None = None
    """None means UTF-8."""

    def __post_init__(self) -> None:
        if not self.separator or not isinstance(self.separator, str) or any(mark in self.separator for mark in '"\r\n'):
            raise DataError(f"field_separator: found {self.separator!r}, expected e.g. a tab or ','")
        try:
            "".encode(self.encoding or "utf-8")
        except (LookupError, TypeError, UnicodeError):
            raise DataError(
                f"encoding: found {self.encoding!r}, expected one that Python knows, e.g. latin-1"
            ) from None


def strict(field: Field) -> Rule:
    """Read every column strictly, by its declared type."""
    return Rule.NUMBER if field.type == "float" else Rule.TEXT


def read_table(path: Path, form: FileForm | None = None, choose: Choose = strict) -> Table:
    """Read an atomic file.

    Args:
        choose: how each column is read.

    Raises:
        DataError: the file is invalid; lists the first ten problems with file, physical line, column and value.
    """
    form = form or FileForm()
    visible_data, separator = _without_mark(_utf8(path, form.encoding)), form.separator
    whole = visible_data
    if len(separator) > 1:
        if _UNIT.encode() in bytes(visible_data):
            raise DataError(
                f"{path}: found the control character 0x1f, which is not allowed when the separator is {separator!r}"
            )
        visible_data, separator = memoryview(bytes(visible_data).replace(separator.encode(), _UNIT.encode())), _UNIT
    found = scan(visible_data, separator.encode())
    plainly: Table | DataError
    try:
        plainly = _plainly(path, visible_data, (separator, form.separator), choose, found)
    except DataError as error:
        plainly = error
    # if all lines are valid, only doubled quotation marks can come from a CSV writer
    if found.has_quotes and (isinstance(plainly, DataError) or b'""' in bytes(whole)):
        reads_plainly = not isinstance(plainly, DataError)
        table = _quoted(path, whole, form.separator, choose, reads_plainly)
        if table is not None:
            return table
    if isinstance(plainly, DataError):
        raise plainly
    return plainly


def read_header(path: Path, form: FileForm | None = None) -> tuple[Field, ...]:
    """The columns that the header of an atomic file names; rows are looked at only if it has quotation marks.

    Raises:
        DataError: the header is invalid, or the file cannot be read.
    """
    form = form or FileForm()
    visible_data = _without_mark(_utf8(path, form.encoding))
    if b'"' in _first_line(visible_data):
        return read_table(path, form, choose=lambda field: None).header
    return _header(path, visible_data, form.separator, form.separator)


def _plainly(path: Path, visible_data: memoryview, separators: tuple[str, str], choose: Choose, found: Scan) -> Table:
    """Read with each line as a row and quotation marks as text.

    Args:
        separators: the separator used here, and the one to show to the user.
    """
    separator, _ = separators
    header = _header(path, visible_data, *separators)
    rules = _rules(header, choose)
    columns = None
    # Arrow marks "no quotation mark" by a NUL, and takes a NUL in the data for one
    is_fast = found.is_utf8 and not found.has_lone_returns and not found.has_nuls
    if b'"' not in _first_line(visible_data) and is_fast:
        columns = _fast(visible_data, header, rules, separator, found.has_blanks_at_edges)
    if columns:
        lines = row_lines(visible_data) if found.has_empty_lines else None
        return Table(path, header, columns, rules, len(next(iter(columns.values()))), lines)
    problems = Problems(path)
    records = (r for r in split_lines(path, bytes(visible_data), separator, problems) if r[0] > 1)
    return collect(path, header, rules, records, problems)


def _first_line(visible_data: memoryview) -> bytes:
    return bytes(visible_data[: 1 << 20]).partition(b"\n")[0].removesuffix(b"\r")


def _fast(
    visible_data: memoryview, header: tuple[Field, ...], rules: dict[str, Rule], separator: str, blanks: bool
) -> dict | None:
    if not rules or len(separator.encode()) > 1:
        return None
    return read_fast(pa.py_buffer(visible_data), header, rules, separator, blanks)


def _rules(header: tuple[Field, ...], choose: Choose) -> dict[str, Rule]:
    return {field.name: rule for field in header if (rule := choose(field)) is not None}


def _utf8(path: Path, encoding: str | None) -> bytes | mmap.mmap:
    """The file's bytes, in UTF-8."""
    try:
        with open(path, "rb") as file:
            if not path.stat().st_size:
                raise DataError(f"{path} is empty: expected a header such as user_id:token")
            if codecs.lookup(encoding or "utf-8").name in ("utf-8", "utf-8-sig"):
                return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            raw = file.read()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error}") from error
    try:
        return raw.decode(encoding or "utf-8").encode()
    except UnicodeError as error:
        before = raw[: getattr(error, "start", 0)].decode(encoding or "utf-8", "ignore")
        line = before.count("\n") + 1
        raise DataError(f"{path}, line {line}: not {encoding} ({error}); set encoding to the file's encoding") from None


def _without_mark(data: bytes | mmap.mmap) -> memoryview:
    """The bytes after a byte order mark."""
    visible_data = memoryview(data)
    return visible_data[len(BOM) :] if bytes(visible_data[: len(BOM)]) == BOM else visible_data


def _header(path: Path, visible_data: memoryview, separator: str, shown: str) -> tuple[Field, ...]:
    head = _first_line(visible_data)
    try:
        cells = head.decode().split(separator)
    except UnicodeDecodeError:
        raise DataError(f"{path}, line 1: not UTF-8; set the file's encoding, e.g. --encoding=latin-1") from None
    return parse_header(path, cells, shown)


def _quoted(path: Path, visible_data: memoryview, separator: str, choose: Choose, reads_plainly: bool) -> Table | None:
    """The table of a quoted file; None if its quotation marks are text."""
    try:
        records = quoted_records(path, bytes(visible_data).decode(), separator, reads_plainly)
    except UnicodeDecodeError:
        return None
    if not records:
        return None
    first, cells = records[0]
    header = parse_header(path, cells if first == 1 else [""], separator)
    getLogger().info(f"{path}: read as a CSV file with quoted cells")
    return collect(path, header, _rules(header, choose), records[1:], Problems(path), quoted=True)
