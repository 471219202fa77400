"""Samples: (user, history, target item, label) made of interactions; pure numpy, knows no RecBole."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from recbole_apa.seeding import digest_of


@dataclass(frozen=True)
class Interactions:
    """The rows of the ``.inter`` file, in the file's order; n rows."""

    users: Sequence[str]
    """User tokens, (n,)."""
    items: Sequence[str]
    """Item tokens, (n,)."""
    labels: np.ndarray
    """0 or 1, (n,)."""
    times: np.ndarray | None
    """Seconds, float64, (n,); None where the dataset has no timestamps: the order of rows stands in."""

    def __len__(self) -> int:
        return len(self.labels)

    def row_key(self, row: int) -> str:
        """``user:item:time`` of one interaction, or ``user:item`` without timestamps; repeats share it."""
        parts = [self.users[row], self.items[row]]
        if self.times is not None:
            time = float(self.times[row])
            parts.append(str(int(time)) if time.is_integer() else repr(time))
        return ":".join(parts)

    def row_id(self, row: int) -> str:
        """:meth:`row_key`, and ``#2``, ``#3``, ... for repeats. Never a position in a list, so that removing other
        rows leaves it as it is."""
        nth = self._occurrence[row]
        return self.row_key(row) + (f"#{nth}" if nth > 1 else "")

    @cached_property
    def _occurrence(self) -> np.ndarray:
        """The how-manieth row with the same user, item and time this is, (n,)."""
        seen: dict[tuple[str, str, float], int] = {}
        out = np.empty(len(self), dtype=np.int64)
        times = np.zeros(len(self)) if self.times is None else self.times
        for row, key in enumerate(zip(self.users, self.items, times.tolist(), strict=True)):
            seen[key] = out[row] = seen.get(key, 0) + 1
        return out


@dataclass(frozen=True)
class Windows:
    """Each user's rows in order of time; equal times keep the file's order."""

    order: np.ndarray
    """Row numbers, users one after another in order of first appearance, (n,)."""
    place: np.ndarray
    """Where a row stands in ``order``, (n,)."""
    n_before: np.ndarray
    """Earlier interactions of the same user, by row, (n,)."""

    def history(self, row: int, length: int) -> np.ndarray:
        """Rows of the last ``length`` interactions before ``row``, oldest first."""
        end = self.place[row]
        return self.order[end - min(length, int(self.n_before[row])) : end]


@dataclass(frozen=True)
class HistoryEntry:
    """One earlier interaction as a prompt shows it."""

    item_id: str
    label: int
    interaction_id: str


@dataclass(frozen=True)
class Sample:
    """One prompt and one Yes/No answer. ``sample_id`` is the target interaction's id."""

    sample_id: str
    user_id: str
    item_id: str
    label: int
    history: tuple[HistoryEntry, ...]

    def interaction_ids(self) -> tuple[str, ...]:
        """Every interaction the sample holds, target first: what makes it affected by a request."""
        return (self.sample_id, *(entry.interaction_id for entry in self.history))

    def digest(self) -> str:
        """SHA-256 over all that the sample says; changes when its history is rewritten."""
        entries = [part for e in self.history for part in (e.interaction_id, e.label)]
        return digest_of(self.sample_id, self.label, *entries).hex()


def order_windows(users: Sequence[str], times: np.ndarray | None) -> Windows:
    """Sort each user's rows by time, once for all samples.

    Args:
        users: user tokens, (n,).
        times: (n,), or None to take the order of rows.
    """
    n = len(users)
    first_seen: dict[str, int] = {}
    codes = np.fromiter((first_seen.setdefault(u, len(first_seen)) for u in users), dtype=np.int64, count=n)
    order = np.lexsort((np.arange(n), codes) if times is None else (np.arange(n), times, codes))
    place = np.empty(n, dtype=np.int64)
    place[order] = np.arange(n)
    counts = np.bincount(codes, minlength=len(first_seen))
    starts = np.concatenate(([0], np.cumsum(counts)[:-1])) if n else np.zeros(0, dtype=np.int64)
    return Windows(order, place, place - starts[codes] if n else place)


def make_sample(rows: Interactions, windows: Windows, row: int, history_length: int) -> Sample:
    """The sample whose target is interaction ``row``."""
    history = tuple(
        HistoryEntry(rows.items[h], int(rows.labels[h]), rows.row_id(h)) for h in windows.history(row, history_length)
    )
    return Sample(rows.row_id(row), rows.users[row], rows.items[row], int(rows.labels[row]), history)
