"""Interactions with what was settled about each row when the run was trained; pure numpy."""

from dataclasses import dataclass

import numpy as np

from recbole_apa.data.index.facts import Addition
from recbole_apa.data.index.source import DataFile
from recbole_apa.data.tokens import Tokens

TRAIN, VALID, TEST, NO_ROLE = 0, 1, 2, 3
"""Which split a row belongs to, in the order of ``SPLITS``; rows that a filter drops have none."""
ALLOWED, KEPT, DRAWN = 1, 2, 4
"""Flags of a row: its own values pass the filters (``val_interval``, known users and items); it passes all filters
now; it is the target of a sample."""


@dataclass(frozen=True)
class IndexRows:
    """Visible rows before any filter; n rows."""

    users: Tokens
    """User names, (n,)."""
    items: Tokens
    """Item names, (n,)."""
    times: np.ndarray | None
    """Seconds, float64, (n,); None without timestamps."""
    values: np.ndarray
    """What the labels are derived from, float64, (n,)."""
    places: np.ndarray
    """Each row's position in the data file (or files, one after another) at the first training, int64, (n,); rows that
    were added later go on counting."""
    roles: np.ndarray
    """``TRAIN``, ``VALID``, ``TEST`` or ``NO_ROLE``, int8, (n,)."""
    flags: np.ndarray
    """Sums of ``ALLOWED``, ``KEPT`` and ``DRAWN``, uint8, (n,)."""
    since: np.ndarray
    """0, or the number of the addition that brought the row, int32, (n,)."""

    def __len__(self) -> int:
        return len(self.places)

    def take(self, rows: np.ndarray) -> "IndexRows":
        """Some of the rows: numbers or a mask."""
        columns = (self.values, self.places, self.roles, self.flags, self.since)
        times = None if self.times is None else self.times[rows]
        values, places, roles, flags, since = (column[rows] for column in columns)
        return IndexRows(self.users.take(rows), self.items.take(rows), times, values, places, roles, flags, since)


@dataclass(frozen=True)
class IndexedRows:
    """The interactions of a run's index, instead of those of its data files."""

    rows: IndexRows
    files: tuple[DataFile, ...] = ()
    """The data files that have these rows, as they were when that was found out."""
    additions: tuple[Addition, ...] = ()
    """What ``IndexRows.since`` counts."""
    filtered: bool = False
    """Take the rows that the flag ``KEPT`` names, instead of applying the filters that count rows or compare them;
    needed if these are only some of a run's rows."""
