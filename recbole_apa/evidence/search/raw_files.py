"""The raw files of interactions, scanned once per process into a table separate from the dataset's.

A file with quotation marks can be read in two ways, as plain lines or as CSV; here it is read in both: looking for a
row too many does no harm.
"""

import csv
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from recbole_apa.core.errors import CertificateError


@dataclass(frozen=True)
class RawFiles:
    """The files of interactions, and the names of their columns."""

    paths: tuple[Path, ...]
    user: str
    item: str
    time: str | None
    separator: str = "\t"
    encoding: str = "utf-8"


@dataclass(frozen=True)
class RawRows:
    """Every row of the files, without any filter; n rows."""

    users: np.ndarray
    """Indices into ``user_names``, (n,)."""
    user_names: tuple[str, ...]
    items: np.ndarray
    """Indices into ``item_names``, (n,)."""
    item_names: tuple[str, ...]
    times: np.ndarray | None
    """Float64, (n,), NaN if a cell is not a number; None if there is no such column."""
    added: np.ndarray | None = None
    """Position in the ledger of the addition that brought each row, (n,), 0 for rows of the files; None if all are."""

    def __len__(self) -> int:
        return len(self.users)

    def row(self, row: int) -> tuple[str, str, float | None]:
        """The user, item and time of one row."""
        time = None if self.times is None else float(self.times[row])
        return self.user_names[self.users[row]], self.item_names[self.items[row]], time


def scan(files: RawFiles) -> RawRows:
    """
    Raises:
        CertificateError: a file cannot be scanned.
    """
    try:
        stamps = tuple((s.st_ino, s.st_size, s.st_mtime_ns) for s in (path.stat() for path in files.paths))
        return _scan(files, stamps)
    except (OSError, ValueError, LookupError) as error:
        raise CertificateError(
            f"the check before a certificate cannot scan {', '.join(map(str, files.paths))}: {error}"
        ) from error


@lru_cache(maxsize=1)
def _scan(files: RawFiles, stamps: tuple[tuple[int, int, int], ...]) -> RawRows:
    """Scan the files, once as long as their inode, size and time do not change."""
    del stamps
    tables = [table for path in files.paths for table in _both_ways(files, path)]
    users, user_names = _joined([table[files.user] for table in tables])
    items, item_names = _joined([table[files.item] for table in tables])
    times = None
    if files.time is not None:
        times = np.concatenate([_numbers(table[files.time]) for table in tables])
    return RawRows(users, user_names, items, item_names, times)


def _both_ways(files: RawFiles, path: Path) -> list[pd.DataFrame]:
    with open(path, "rb") as file:
        quoted = any(b'"' in chunk for chunk in iter(lambda: file.read(1 << 24), b""))
    ways = (csv.QUOTE_NONE, csv.QUOTE_MINIMAL) if quoted else (csv.QUOTE_NONE,)
    return [_read(files, path, quoting) for quoting in ways]


def _read(files: RawFiles, path: Path, quoting: int) -> pd.DataFrame:
    encoding = "utf-8-sig" if files.encoding.lower().replace("_", "-") in ("utf-8", "utf8") else files.encoding
    many = len(files.separator) > 1
    with open(path, encoding=encoding, errors="replace", newline="\n") as file:
        cells = file.readline().rstrip("\r\n").split(files.separator)
    names = [cell.strip('"').rpartition(":")[0] for cell in cells]
    wanted = [name for name in (files.user, files.item, files.time) if name is not None]
    return pd.read_csv(
        path,
        sep=re.escape(files.separator) if many else files.separator,
        engine="python" if many else "c",
        header=None,
        skiprows=1,
        names=names,
        usecols=wanted,
        dtype="category",
        quoting=quoting,
        na_filter=False,
        encoding=encoding,
        encoding_errors="replace",
        on_bad_lines="skip",
        index_col=False,
    )


def _joined(columns: list[pd.Series]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Indices and names for several columns, concatenated."""
    place: dict[str, int] = {}
    parts = []
    for column in columns:
        names = [str(name) for name in column.cat.categories]
        numbers = np.array([place.setdefault(name, len(place)) for name in names], dtype=np.int64)
        parts.append(numbers[column.cat.codes.to_numpy()] if len(names) else np.zeros(0, dtype=np.int64))
    return np.concatenate(parts), tuple(place)


def _numbers(column: pd.Series) -> np.ndarray:
    found = [_number(str(text)) for text in column.cat.categories]
    codes = column.cat.codes.to_numpy()
    return np.array(found, dtype=np.float64)[codes] if found else np.zeros(0)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
