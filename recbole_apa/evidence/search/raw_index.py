"""The rows of a run's index, read here without the code that writes, rewrites and opens it."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from recbole_apa.core.errors import CertificateError
from recbole_apa.evidence.search.raw_rows import RawRows

if TYPE_CHECKING:
    import pyarrow as pa


Found = TypeVar("Found")


class _Part(NamedTuple):
    """Some rows."""

    users: np.ndarray
    items: np.ndarray
    times: np.ndarray | None
    since: np.ndarray
    """The number of the addition that brought each row, 0 for rows of the files."""


def scan_names(folder: Path, base: Path | None = None) -> RawRows:
    """The names of all users and items of an index (``items.arrow`` and the parts that ``index.json`` counts), without
    a row: whether those that requests named have rows that were added later, and may remain, is not told.

    Args:
        base: holds the parts that are not in ``folder``.

    Raises:
        CertificateError: a file is missing or is not what an index consists of.
    """

    def read() -> RawRows:
        users = (name for batch in batches(folder, base) for name in batch["user"].dictionary.to_pylist())
        return _joined(folder, [], dict.fromkeys(users, 0))

    return guarded(folder, read)


def scan_index(folder: Path, users: Set[str] | None = None, base: Path | None = None) -> RawRows:
    """The rows of an index.

    Args:
        users: leave out parts without any of these users, and names of items that have no row in the others; None
            reads all parts.
        base: as for :func:`scan_names`.

    Raises:
        CertificateError: as :func:`scan_names`.
    """
    return guarded(folder, lambda: _scan(folder, users, base))


def guarded(folder: Path, read: Callable[[], Found]) -> Found:
    """What ``read`` returns.

    Raises:
        CertificateError: the files of an index are missing, or not what they consist of.
    """
    import pyarrow as pa

    try:
        return read()
    except (OSError, ValueError, LookupError, TypeError, pa.ArrowException) as error:
        raise CertificateError(f"the check before a certificate cannot scan {folder}: {error}") from error


def _scan(folder: Path, users: Set[str] | None, base: Path | None) -> RawRows:
    place: dict[str, int] = {}
    parts = []
    for batch in batches(folder, base):
        names = batch["user"].dictionary.to_pylist()
        if users is None or not users.isdisjoint(names):
            numbers = np.array([place.setdefault(name, len(place)) for name in names], dtype=np.int64)
            times = column_values(batch["time"], np.float64) if "time" in batch.schema.names else None
            codes = column_values(batch["user"].indices, np.int32)
            items, since = (column_values(batch[name], np.int32) for name in ("item", "since"))
            parts.append(_Part(numbers[codes] if len(codes) else codes, items, times, since))
    rows = _joined(folder, parts, place)
    if users is None:
        return rows
    there, items = np.unique(rows.items, return_inverse=True)
    return replace(rows, items=items, item_names=tuple(rows.item_names[code] for code in there.tolist()))


def _joined(folder: Path, parts: Sequence[_Part], users: Mapping[str, int]) -> RawRows:
    item_names = read_item_names(folder)
    items = np.concatenate([np.zeros(0, dtype=np.int32), *(part.items for part in parts)])
    if len(items) and not (items.min() >= 0 and items.max() < len(item_names)):
        raise ValueError(f"an item has a number outside 0 to {len(item_names) - 1}")
    told = [part.times for part in parts if part.times is not None]
    if told and len(told) != len(parts):
        raise ValueError("some parts have times and some have none")
    of_rows = np.concatenate([np.zeros(0, dtype=np.int64), *(part.users for part in parts)])
    added = _added(folder, np.concatenate([np.zeros(0, dtype=np.int32), *(part.since for part in parts)]))
    return RawRows(of_rows, tuple(users), items, item_names, np.concatenate(told) if told else None, added)


def _added(folder: Path, since: np.ndarray) -> np.ndarray | None:
    """:attr:`RawRows.added`, as ``index.json`` says when each addition came."""
    positions = np.array([0, *(addition["position"] for addition in index_facts(folder)["additions"])], dtype=np.int64)
    if len(since) and not (since.min() >= 0 and since.max() < len(positions)):
        raise ValueError(f"a row belongs to an addition outside 1 to {len(positions) - 1}")
    return positions[since] if len(positions) > 1 else None


def read_item_names(folder: Path) -> tuple[str, ...]:
    return tuple("" if name is None else name for name in _batch(folder / "items.arrow")["name"].to_pylist())


def batches(folder: Path, base: Path | None) -> "Iterator[pa.RecordBatch]":
    for name in (f"{number:04d}.arrow" for number in range(len(index_facts(folder)["parts"]))):
        path = folder / "parts" / name
        yield _batch(path if base is None or path.is_file() else base / "parts" / name)


def index_facts(folder: Path) -> dict[str, Any]:
    """``index.json``."""
    return dict(json.loads((folder / "index.json").read_bytes()))


def _batch(path: Path) -> "pa.RecordBatch":
    import pyarrow as pa

    with pa.memory_map(str(path)) as file, pa.ipc.open_file(file) as reader:
        if reader.num_record_batches != 1:
            raise ValueError(f"{path.name} has {reader.num_record_batches} record batches, expected one")
        return reader.get_batch(0)


def column_values(column: "pa.Array", kind: type) -> np.ndarray:
    # not to_numpy(), which loads pandas; copied, so that no file stays mapped
    return np.frombuffer(column.buffers()[-1], dtype=kind, count=len(column), offset=0).copy()
