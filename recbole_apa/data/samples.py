"""Samples: (user, history, target item, label), made from interactions; pure numpy, independent of RecBole."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from recbole_apa.core.ids import id_word
from recbole_apa.core.seeding import digest_of
from recbole_apa.data.row_blocks import counts, row_blocks, row_type
from recbole_apa.data.tokens import Tokens

_FEW = 1000
"""Up to this many rows' names are written one by one, instead of all names once."""
CHUNK = 1 << 18
"""How many rows' ids are built at a time."""


@dataclass(frozen=True)
class Interactions:
    """The rows of the ``.inter`` file, in the file's order; n rows."""

    users: Tokens
    """User tokens, (n,); any other sequence of texts is encoded."""
    items: Tokens
    """Item tokens, (n,); likewise."""
    labels: np.ndarray
    """0 or 1, of any integer type, (n,)."""
    times: np.ndarray | None
    """Seconds, float64, (n,); None if the dataset has no timestamps: the order of rows is used instead."""
    values: np.ndarray | None = None
    """What the labels are derived from, e.g. ratings, (n,)."""
    plain_ids: bool = False
    """Write tokens into ids unencoded, as in runs before format 3: two rows may then have the same id if tokens contain
    colons."""

    def __post_init__(self) -> None:
        for name in ("users", "items"):
            object.__setattr__(self, name, Tokens.of(getattr(self, name)))

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray) -> "Interactions":
        """Some of the rows."""
        times, values = (None if column is None else column[rows] for column in (self.times, self.values))
        users, items = self.users.take(rows), self.items.take(rows)
        return Interactions(users, items, self.labels[rows], times, values, self.plain_ids)

    def row_key(self, row: int) -> str:
        """``user:item:time`` of one interaction, or ``user:item`` without timestamps; repeats have the same key."""
        return self.row_keys(np.array([row]))[0]

    def row_keys(self, rows: np.ndarray) -> list[str]:
        """:meth:`row_key` of some rows."""
        users, items = (self._words_of(column, rows) for column in (self.users, self.items))
        if self.times is None:
            return [f"{user}:{item}" for user, item in zip(users, items, strict=True)]
        times = time_texts(self.times[rows])
        return [f"{user}:{item}:{time}" for user, item, time in zip(users, items, times, strict=True)]

    def row_id(self, row: int) -> str:
        """:meth:`row_key`, with ``#2``, ``#3``, ... for repeats. Never a position in a list, so that removing other
        rows does not change it."""
        return self.row_ids(np.array([row]))[0]

    def row_ids(self, rows: np.ndarray) -> list[str]:
        """:meth:`row_id` of some rows."""
        out, nth = self.row_keys(rows), self._n_equal_before[rows] + 1
        for place in np.flatnonzero(nth > 1):
            out[place] += f"#{nth[place]}"
        return out

    def key_chunks(self, rows: np.ndarray) -> Iterator[tuple[np.ndarray, list[str]]]:
        """:meth:`row_keys` of many rows, in chunks, each with its rows."""
        for part in _parts(rows):
            yield part, self.row_keys(part)

    def id_chunks(self, rows: np.ndarray) -> Iterator[tuple[np.ndarray, list[str]]]:
        """:meth:`row_ids` of many rows, in chunks, each with its rows."""
        for part in _parts(rows):
            yield part, self.row_ids(part)

    def _words_of(self, column: Tokens, rows: np.ndarray) -> Sequence[str]:
        """The names of some rows as ids contain them."""
        if len(rows) > _FEW:
            words = next(words for words, known in self._words if known is column)
            return words[column.codes[rows]].tolist()
        names = column.texts(rows)
        return names if self.plain_ids else list(map(id_word, names))

    @cached_property
    def _words(self) -> list[tuple[np.ndarray, Tokens]]:
        """The names of users and of items as ids contain them, each with its column."""
        out = []
        for column in (self.users, self.items):
            words = Tokens(column.codes, column.names if self.plain_ids else list(map(id_word, column.names)))
            out.append((words.objects(), column))
        return out

    @cached_property
    def _n_equal_before(self) -> np.ndarray:
        """For each row, how many rows before it have the same user, item and time, (n,)."""
        out = np.zeros(len(self), dtype=np.int32)  # pages that stay zero take no memory
        for rows in row_blocks(self.users.codes, len(self.users.names)):
            pairs = self.users.codes[rows].astype(np.int64) * len(self.items.names) + self.items.codes[rows]
            ordered = np.sort(pairs)
            repeated = ordered[1:][ordered[1:] == ordered[:-1]]
            if len(repeated):
                which = np.isin(pairs, repeated)
                pairs, rows = pairs[which], rows[which]
                times = np.zeros(len(rows)) if self.times is None else self.times[rows]
                order = np.lexsort((times, pairs))
                out[rows[order]] = _n_equal_before(pairs[order], times[order])
        return out


def _n_equal_before(pairs: np.ndarray, times: np.ndarray) -> np.ndarray:
    """How many equal rows stand before each one, (n,); rows in order."""
    starts = np.concatenate(([True], (pairs[1:] != pairs[:-1]) | (times[1:] != times[:-1])))
    places = np.arange(len(pairs))
    out: np.ndarray = places - np.maximum.accumulate(np.where(starts, places, 0))
    return out


def _parts(rows: np.ndarray) -> Iterator[np.ndarray]:
    return (rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK))


def time_texts(times: np.ndarray) -> list[str]:
    """Times as ids contain them: whole seconds without a decimal point."""
    if len(times) and (np.abs(times) < 2**53).all() and (times == np.floor(times)).all():
        return [str(time) for time in times.astype(np.int64).tolist()]
    return [str(int(time)) if time.is_integer() else repr(time) for time in times.tolist()]


class LabelledItems(Sequence[tuple[str, int]]):
    """Item and label of each of many rows."""

    def __init__(self, items: Tokens, labels: np.ndarray) -> None:
        self.items, self.labels = items, labels

    def __getitem__(self, row: Any) -> Any:
        return self.items[row], int(self.labels[row])

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return zip(self.items.texts(), self.labels.tolist(), strict=True)


@dataclass(frozen=True)
class Windows:
    """Each user's rows in order of time; rows with equal times keep the file's order."""

    order: np.ndarray
    """Row numbers grouped by user, users in order of first appearance, (n,)."""
    place: np.ndarray
    """Each row's position in ``order``, (n,)."""
    n_before: np.ndarray
    """Number of earlier interactions of the same user, by row, (n,)."""

    @property
    def n_history(self) -> np.ndarray:
        """Number of those that a history may show, by row, (n,)."""
        return self.n_before

    def history(self, row: int, length: int) -> np.ndarray:
        """The rows of the last ``length`` interactions before ``row``, oldest first."""
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
        """Every interaction in the sample, target first: a request for any of them affects it."""
        return (self.sample_id, *(entry.interaction_id for entry in self.history))

    def digest(self) -> str:
        """SHA-256 over the whole content of the sample; changes when its history is rewritten."""
        entries = [part for e in self.history for part in (e.interaction_id, e.label)]
        return digest_of(self.sample_id, self.label, *entries).hex()


def order_windows(users: Sequence[str], times: np.ndarray | None) -> Windows:
    """Sort each user's rows by time, once for all samples.

    Args:
        users: user tokens, (n,).
        times: (n,), or None to use the order of rows.
    """
    codes, n_users = Tokens.of(users).ranked()
    n_rows = counts(codes, n_users)
    starts = np.cumsum(n_rows) - n_rows
    order, place, n_before = (np.empty(len(codes), dtype=row_type(len(codes))) for _ in range(3))
    end = 0
    for rows in row_blocks(codes, n_users):
        own, begin, end = codes[rows], end, end + len(rows)
        sort = np.argsort(own, kind="stable") if times is None else np.lexsort((times[rows], own))
        rows, own, places = rows[sort], own[sort], np.arange(begin, end)
        order[begin:end] = rows
        place[rows], n_before[rows] = places, places - starts[own]
    return Windows(order, place, n_before)


def make_sample(rows: Interactions, windows: Windows, row: int, history_length: int) -> Sample:
    """The sample whose target is interaction ``row``."""
    shown = windows.history(row, history_length)
    target, *ids = rows.row_ids(np.concatenate(([row], shown)))
    told = zip(rows.items.texts(shown), rows.labels[shown].tolist(), ids, strict=True)
    history = tuple(HistoryEntry(item, label, name) for item, label, name in told)
    return Sample(target, rows.users[row], rows.items[row], int(rows.labels[row]), history)
