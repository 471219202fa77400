"""The rows of a run's index, read here without the code that writes, rewrites and opens it."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recbole_apa.core.errors import CertificateError
from recbole_apa.evidence.search.raw_rows import RawRows

if TYPE_CHECKING:
    import pyarrow as pa


def scan_index(folder: Path) -> RawRows:
    """Every row of an index (``items.arrow`` and ``parts/*.arrow``).

    Raises:
        CertificateError: a file is missing or is not what an index consists of.
    """
    import pyarrow as pa

    try:
        return _scan(folder)
    except (OSError, ValueError, LookupError, pa.ArrowException) as error:
        raise CertificateError(f"the check before a certificate cannot scan {folder}: {error}") from error


def _scan(folder: Path) -> RawRows:
    item_names = tuple("" if name is None else name for name in _table(folder / "items.arrow")["name"].to_pylist())
    place: dict[str, int] = {}
    users, items, times = [], [], []
    for path in sorted((folder / "parts").glob("*.arrow")):
        table = _table(path)
        column = table["user"].combine_chunks()
        numbers = np.array([place.setdefault(n, len(place)) for n in column.dictionary.to_pylist()], dtype=np.int64)
        codes = column.indices.to_numpy()
        users.append(numbers[codes] if len(codes) else np.zeros(0, dtype=np.int64))
        items.append(table["item"].to_numpy())
        if "time" in table.column_names:
            times.append(table["time"].to_numpy())
    found = np.concatenate([np.zeros(0, dtype=np.int32), *items])
    if len(found) and not (found.min() >= 0 and found.max() < len(item_names)):
        raise ValueError(f"an item has a number outside 0 to {len(item_names) - 1}")
    if times and len(times) != len(users):
        raise ValueError("some parts have times and some have none")
    stamps = np.concatenate([np.zeros(0), *times]) if times else None
    return RawRows(np.concatenate([np.zeros(0, dtype=np.int64), *users]), tuple(place), found, item_names, stamps)


def _table(path: Path) -> "pa.Table":
    import pyarrow as pa

    # not kept mapped: the file may be replaced while the rows are searched
    with pa.memory_map(str(path)) as file, pa.ipc.open_file(file) as reader:
        return reader.read_all()
