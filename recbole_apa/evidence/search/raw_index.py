"""The rows of a run's index, read here without the code that writes, rewrites and opens it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recbole_apa.core.errors import CertificateError
from recbole_apa.evidence.search.raw_rows import RawRows

if TYPE_CHECKING:
    import pyarrow as pa


def scan_index(folder: Path, base: Path | None = None) -> RawRows:
    """Every row of an index (``items.arrow`` and the parts that ``index.json`` counts).

    Args:
        base: holds the parts that are not in ``folder``.

    Raises:
        CertificateError: a file is missing or is not what an index consists of.
    """
    import pyarrow as pa

    try:
        return _scan(folder, base or folder)
    except (OSError, ValueError, LookupError, TypeError, pa.ArrowException) as error:
        raise CertificateError(f"the check before a certificate cannot scan {folder}: {error}") from error


def _scan(folder: Path, base: Path) -> RawRows:
    n_parts = len(json.loads((folder / "index.json").read_bytes())["parts"])
    paths = [folder / "parts" / f"{number:04d}.arrow" for number in range(n_parts)]
    item_names = tuple("" if name is None else name for name in _batch(folder / "items.arrow")["name"].to_pylist())
    place: dict[str, int] = {}
    users, items, times = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int32)], [np.zeros(0)]
    for path in paths:
        batch = _batch(path if path.is_file() else base / "parts" / path.name)
        column = batch["user"]
        numbers = np.array([place.setdefault(n, len(place)) for n in column.dictionary.to_pylist()], dtype=np.int64)
        users.append(numbers[_values(column.indices, np.int32)])
        items.append(_values(batch["item"], np.int32))
        if "time" in batch.schema.names:
            times.append(_values(batch["time"], np.float64))
    found = np.concatenate(items)
    if len(found) and not (found.min() >= 0 and found.max() < len(item_names)):
        raise ValueError(f"an item has a number outside 0 to {len(item_names) - 1}")
    if len(times) not in (1, len(users)):
        raise ValueError("some parts have times and some have none")
    stamps = np.concatenate(times) if len(times) == len(users) else None
    return RawRows(np.concatenate(users), tuple(place), found, item_names, stamps)


def _batch(path: Path) -> "pa.RecordBatch":
    import pyarrow as pa

    with pa.memory_map(str(path)) as file, pa.ipc.open_file(file) as reader:
        if reader.num_record_batches != 1:
            raise ValueError(f"{path.name} has {reader.num_record_batches} record batches, expected one")
        return reader.get_batch(0)


def _values(column: "pa.Array", kind: type) -> np.ndarray:
    # not to_numpy(), which loads pandas; copied, so that no file stays mapped
    return np.frombuffer(column.buffers()[-1], dtype=kind, count=len(column), offset=0).copy()
