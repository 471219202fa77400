"""The bytes of the index's Arrow files: IPC files, uncompressed, one record batch, without metadata.

Written by pyarrow and never parsed by it: where each column lies follows from its sizes in ``index.json``. What was
read is written again in memory and has to give the same bytes, so a file can hold nothing else, and a hostile one
reaches no parser.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from recbole_apa.core.errors import DataError, RunError
from recbole_apa.data.index.facts import ItemsSize, PartSize
from recbole_apa.data.index.rows import IndexRows
from recbole_apa.data.tokens import Tokens

_MAGIC, _PREFIX, _ALIGNED = 8, 8, 8
"""Bytes before the first message; before each message's description; what buffers are padded to."""
_MOST_BYTES = 2**31 - 1
"""Names in one file, as Arrow's offsets are of 32 bits."""


@dataclass(frozen=True)
class Items:
    """The item names of an index, by code."""

    names: Sequence[str]
    """``""`` for a code without rows."""
    n_rows: np.ndarray
    """Rows of each item, int64; 0 if its code is no longer used, and its name gone."""

    def size(self) -> ItemsSize:
        """For ``index.json``."""
        return ItemsSize(len(self.names), int((self.n_rows == 0).sum()), _n_bytes(self.names, "items"))


def part_size(rows: IndexRows) -> PartSize:
    """For ``index.json``.

    Raises:
        DataError: names of users are empty, no valid Unicode, or together too long for one file.
    """
    if not all(rows.users.names):
        raise DataError("found a user whose name is empty; expected a name for each")
    return PartSize(len(rows), len(rows.users.names), _n_bytes(rows.users.names, "users"))


def part_bytes(rows: IndexRows) -> pa.Buffer:
    """A part's file.

    Args:
        rows: in the part's order; the user names are exactly those of the part.
    """
    users = pa.DictionaryArray.from_arrays(
        _numbers(rows.users.codes.astype(np.int32, copy=False)), _texts(rows.users.names)
    )
    columns = {"user": users, "item": rows.items.codes.astype(np.int32, copy=False)}
    if rows.times is not None:
        columns["time"] = rows.times
    columns |= {"value": rows.values, "place": rows.places.astype(np.int64, copy=False)}
    columns |= {"role": rows.roles, "flags": rows.flags, "since": rows.since}
    return _file(columns, nullable=False)


def items_bytes(items: Items) -> pa.Buffer:
    """``items.arrow``."""
    names = [name if n else None for name, n in zip(items.names, items.n_rows.tolist(), strict=True)]
    return _file({"name": _texts(names), "rows": items.n_rows}, nullable=True)


def parse_part(data: pa.Buffer, size: PartSize, items: Items, has_times: bool, file: str) -> IndexRows:
    """The rows of a part, as views of the file's bytes.

    Args:
        file: its name, for messages.

    Raises:
        RunError: the bytes are not those that :func:`part_bytes` writes for these sizes, or codes are out of range.
    """
    cursor = _Cursor(data, file, size)
    cursor.message()
    cursor.message()
    names = cursor.names(size.n_users, size.name_bytes)
    cursor.message()
    n = size.n_rows
    users, codes = (cursor.numbers(np.int32, n) for _ in range(2))
    times = cursor.numbers(np.float64, n) if has_times else None
    values, places = cursor.numbers(np.float64, n), cursor.numbers(np.int64, n)
    roles, flags = cursor.numbers(np.int8, n), cursor.numbers(np.uint8, n)
    since = cursor.numbers(np.int32, n)
    _refuse_codes(users, len(names), "user", file)
    _refuse_codes(codes, len(items.names), "item", file)
    if n and not items.n_rows[codes].all():
        raise _damaged(file, "an item code that is not in use")
    rows = IndexRows(Tokens(users, names), Tokens(codes, items.names), times, values, places, roles, flags, since)
    _refuse_other_bytes(part_bytes(rows), data, file)
    return rows


def parse_items(data: pa.Buffer, size: ItemsSize, file: str) -> Items:
    """The item names.

    Raises:
        RunError: the bytes are not those that :func:`items_bytes` writes for these sizes.
    """
    cursor = _Cursor(data, file, size)
    cursor.message()
    cursor.message()
    n = size.n_codes
    if size.n_unused:
        cursor.numbers(np.uint8, -(-n // 8))
    names = cursor.names(n, size.name_bytes)
    n_rows = cursor.numbers(np.int64, n).copy()
    items = Items(names, n_rows)
    if (n and n_rows.min() < 0) or int((n_rows == 0).sum()) != size.n_unused:
        raise _damaged(file, "numbers of rows that cannot be")
    _refuse_other_bytes(items_bytes(items), data, file)
    return items


def copied(rows: IndexRows) -> IndexRows:
    """The same rows, independent of the file that they were read from."""
    users, items = (Tokens(column.codes.copy(), column.names) for column in (rows.users, rows.items))
    columns = (rows.values, rows.places, rows.roles, rows.flags, rows.since)
    times = None if rows.times is None else rows.times.copy()
    return IndexRows(users, items, times, *(column.copy() for column in columns))


class _Cursor:
    """Walks through the bytes of an Arrow file whose sizes are known."""

    def __init__(self, data: pa.Buffer, file: str, size: tuple[int, ...]) -> None:
        self.data, self.file, self.place = data, file, _MAGIC
        if max(size) > data.size:
            raise _damaged(file, f"{data.size} bytes")

    def message(self) -> None:
        """Pass over the description of a message."""
        length = int(np.frombuffer(self._bytes(_PREFIX), dtype="<i4")[1])
        if length < 0:
            raise _damaged(self.file, "a message of negative length")
        self._bytes(length)

    def numbers(self, dtype: type[np.number], n: int) -> np.ndarray:
        """A column of ``n`` numbers, (n,)."""
        return np.frombuffer(self._bytes(n * np.dtype(dtype).itemsize), dtype=np.dtype(dtype).newbyteorder("<"))

    def names(self, n: int, n_bytes: int) -> list[str]:
        """A column of ``n`` texts."""
        offsets = self.numbers(np.int32, n + 1)
        if offsets[0] != 0 or offsets[-1] != n_bytes or (offsets[1:] < offsets[:-1]).any():
            raise _damaged(self.file, "texts that overlap or lie outside the file")
        texts, places = bytes(self._bytes(n_bytes)), offsets.tolist()
        try:
            return [texts[start:end].decode() for start, end in pairwise(places)]
        except UnicodeDecodeError:
            raise _damaged(self.file, "texts that are not UTF-8") from None

    def _bytes(self, n: int) -> memoryview:
        padded = -(-n // _ALIGNED) * _ALIGNED
        if self.place + padded > self.data.size:
            raise _damaged(self.file, f"{self.data.size} bytes")
        out = memoryview(self.data)[self.place : self.place + n]
        self.place += padded
        return out


def _file(columns: dict[str, pa.Array | np.ndarray], nullable: bool) -> pa.Buffer:
    arrays = [column if isinstance(column, pa.Array) else _numbers(column) for column in columns.values()]
    fields = [pa.field(name, array.type, nullable) for name, array in zip(columns, arrays, strict=True)]
    schema = pa.schema(fields)
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(metadata_version=pa.ipc.MetadataVersion.V5, compression=None)
    with pa.ipc.new_file(sink, schema, options=options) as writer:
        writer.write_batch(pa.record_batch(arrays, schema=schema))
    return sink.getvalue()


def _n_bytes(names: Sequence[str], what: str) -> int:
    try:
        n_bytes = sum(len(name.encode()) for name in names)
    except UnicodeEncodeError as error:
        raise DataError(f"found a name of {what} that holds half of a surrogate pair: {error.object!r}") from None
    if n_bytes > _MOST_BYTES:
        raise DataError(f"the names of {what} have {n_bytes} bytes in one file, expected less than 2**31")
    return n_bytes


def _refuse_codes(codes: np.ndarray, n: int, what: str, file: str) -> None:
    if len(codes) and not (codes.min() >= 0 and codes.max() < n):
        raise _damaged(file, f"a code of a {what} that it has not")


def _refuse_other_bytes(expected: pa.Buffer, data: pa.Buffer, file: str) -> None:
    if not expected.equals(data):
        raise _damaged(file, "bytes that this program does not write")


def _damaged(file: str, found: str) -> RunError:
    return RunError(f"{file} is damaged (found {found}); restore the run folder from a copy")


# pa.array() and to_numpy() would load pandas, which takes longer than a request


def _numbers(column: np.ndarray) -> pa.Array:
    column = np.ascontiguousarray(column)
    return pa.Array.from_buffers(pa.from_numpy_dtype(column.dtype), len(column), [None, pa.py_buffer(column)])


def _texts(names: Sequence[str | None]) -> pa.Array:
    texts = [(name or "").encode() for name in names]
    ends = np.zeros(len(texts) + 1, dtype=np.int32)
    np.cumsum([len(text) for text in texts], out=ends[1:])
    n_null = sum(name is None for name in names)
    valid = np.packbits([name is not None for name in names], bitorder="little") if n_null else None
    buffers = [None if valid is None else pa.py_buffer(valid), pa.py_buffer(ends), pa.py_buffer(b"".join(texts))]
    return pa.Array.from_buffers(pa.string(), len(texts), buffers, n_null)
