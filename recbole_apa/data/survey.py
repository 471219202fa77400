"""What is made of all rows of an index, found in one pass over its parts: never more than one of them is in memory."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np

from recbole_apa.data.data_options import DataOptions
from recbole_apa.data.dataset_digest import DatasetDigest, named_items, no_digest, users_digest
from recbole_apa.data.index.order import is_arranged
from recbole_apa.data.index.read import Index
from recbole_apa.data.index.rows import DRAWN, KEPT, TRAIN, IndexedRows, IndexRows
from recbole_apa.data.loaded_rows import Sides
from recbole_apa.data.reader import Table
from recbole_apa.data.run_data import RunData
from recbole_apa.data.samples import Interactions, Sample
from recbole_apa.data.splits import SPLITS
from recbole_apa.data.tallies import Tallies

_Ordered = tuple[float, int, int, Sample]
"""Time, if it decides, and place of the first row of a sample's user; the sample's own place; the sample."""


class Visitor(Protocol):
    """Is shown the users of an index, some at a time."""

    def __call__(self, data: RunData, named: np.ndarray | None) -> None:
        """
        Args:
            data: users, each with all rows; items have the index's numbers.
            named: the digests of the names of all items; None where no secret is given.
        """
        ...


class Survey:
    """What :class:`RunData` of all rows has, without the rows. Users are added, and taken away again.

    Args:
        items: the names of all items.
        options: of the run.
        secret: for the digest of all users; None leaves it out.
    """

    def __init__(self, items: Sequence[str], options: DataOptions, secret: bytes | None = None) -> None:
        self.items, self.options, self.secret = items, options, secret
        self.users_digest = None if secret is None else no_digest(secret)
        self.named = None if secret is None else named_items(items, secret)
        """The digests of the items' names; None without a secret."""
        self._n_rows, self._n_trained, self._n_liked = (np.zeros(len(items), dtype=np.int64) for _ in range(3))
        self._samples: dict[str, dict[str, _Ordered]] = {name: {} for name in SPLITS}
        self.pieces: dict[str, int] = {}
        """As :attr:`RunData.pieces`."""

    def add(self, data: RunData, named: np.ndarray | None = None) -> None:
        """Add users, each with all rows.

        Args:
            named: the digests of the names of the data's items, if they are those of all items.
        """
        self._count(data, 1)
        if self.users_digest is not None:
            self.users_digest = self.users_digest.plus(self._digest_of(data, named))
        self.add_samples(data)

    def add_samples(self, data: RunData) -> None:
        """Add the samples of users whose rows are counted by themselves."""
        for name, entries in _ordered(data).items():
            self._samples[name] |= {entry[-1].sample_id: entry for entry in entries}
        self.pieces |= data.pieces

    def count_arranged(self, rows: IndexRows) -> None:
        """Count the rows of a part of the index in its order: where nothing was added, a row's history is what passes
        the filters before it among its user's."""
        kept = np.flatnonzero(rows.flags & KEPT)
        users, items, size = rows.users.codes[kept], rows.items.codes[kept], len(self.items)
        n_of_users = np.bincount(users, minlength=len(rows.users.names))
        n_before = np.arange(len(kept)) - (np.cumsum(n_of_users) - n_of_users)[users]
        trained = np.flatnonzero((rows.roles[kept] == TRAIN) & (n_before >= self.options.samples.min_history))
        liked = trained[self.options.label.labels(rows.values[kept[trained]]) == 1]
        for sums, counted in ((self._n_rows, items), (self._n_trained, items[trained]), (self._n_liked, items[liked])):
            sums += np.bincount(counted, minlength=size)

    def take_away(self, data: RunData) -> None:
        """Take away users that were added, with the same rows."""
        self._count(data, -1)
        if self.users_digest is not None:
            self.users_digest = self.users_digest.minus(self._digest_of(data, None))
        for name, samples in data.samples.items():
            for sample in samples:
                del self._samples[name][sample.sample_id]
                self.pieces.pop(sample.sample_id, None)

    def add_part(self, data: RunData) -> None:
        """Add the users of one part of the index, whose items have the index's numbers."""
        self.add(data, self.named)

    def forget_digest(self) -> None:
        """Count from now on without the digest of all users."""
        self.users_digest = self.secret = self.named = None

    def samples(self, split: str) -> list[Sample]:
        """The samples of a split, users in order of their first row that passes the filters."""
        return [entry[-1] for entry in sorted(self._samples[split].values(), key=lambda entry: entry[:-1])]

    def train_rows(self) -> Tallies:
        """Item and label of every training target, drawn or not, counted."""
        return Tallies(self.items, self._n_trained, self._n_liked)

    def is_seen(self, item: str) -> bool:
        """Whether an item has a row that passes the filters."""
        return bool(self._n_rows[self._code_of[item]])

    def items_seen(self) -> Iterator[str]:
        """Items with a row that passes the filters."""
        return (self.items[code] for code in np.flatnonzero(self._n_rows).tolist())

    def _digest_of(self, data: RunData, named: np.ndarray | None) -> DatasetDigest:
        assert self.secret is not None
        return users_digest(data.rows, data.windows, self.secret, named)

    def _count(self, data: RunData, sign: int) -> None:
        codes = self._codes(data.rows)
        told = Tallies.of(data.train_rows)
        np.add.at(self._n_rows, codes, sign * np.bincount(data.rows.items.codes, minlength=len(codes)))
        np.add.at(self._n_trained, codes, sign * told.n)
        np.add.at(self._n_liked, codes, sign * told.likes)

    def _codes(self, rows: Interactions) -> np.ndarray:
        """The number of each of the data's item names, (m,)."""
        if rows.items.names is self.items:
            return np.arange(len(self.items))
        return np.array([self._code_of[name] for name in rows.items.names], dtype=np.int64)

    @cached_property
    def _code_of(self) -> dict[str, int]:
        return {name: code for code, name in enumerate(self.items)}


@dataclass(frozen=True)
class Noted:
    """What is noted of a run's rows outside its index."""

    cutoffs: Mapping[str, str | None] = field(default_factory=dict)
    """As :attr:`RunData.cutoffs`."""
    plain_ids: bool = False
    """As :attr:`~recbole_apa.data.samples.Interactions.plain_ids`."""


NOTHING_NOTED = Noted()


def survey_of(
    index: Index,
    options: DataOptions,
    sides: Sides,
    noted: Noted = NOTHING_NOTED,
    secret: bytes | None = None,
    visitors: Sequence[Visitor] = (),
) -> Survey:
    """Look through all parts of an index; the filters are taken as noted there.

    Args:
        sides: the tables that describe users and items.
        noted: of the run.
        secret: for the digest of all users; None leaves it out.
        visitors: are shown each part, too.
    """
    out, additions = Survey(index.items.names, options, secret), index.facts.about.additions
    bare = _bare(sides)

    def data_of(rows: IndexRows) -> RunData:
        indexed = IndexedRows(rows, (), additions, filtered=True)
        return RunData.of_index(indexed, options, bare, noted.cutoffs, noted.plain_ids)

    for rows in index.parts():
        if not (rows.flags & KEPT).any():
            continue
        if visitors or additions or secret is not None or not is_arranged(rows):
            part = data_of(rows)
            out.add_part(part)
            for visit in visitors:
                visit(part, out.named)
            continue
        out.count_arranged(rows)
        drawn = _rows_of_drawn(rows)
        if len(drawn):
            out.add_samples(data_of(rows.take(drawn)))
    return out


def _rows_of_drawn(rows: IndexRows) -> np.ndarray:
    """All rows of the users with a row that passes the filters and may be a sample."""
    is_drawn = np.zeros(len(rows.users.names), dtype=bool)
    is_drawn[rows.users.codes[(rows.flags & DRAWN != 0) & (rows.flags & KEPT != 0)]] = True
    return np.flatnonzero(is_drawn[rows.users.codes])


def starts_of_users(data: RunData) -> dict[str, tuple[float, int]]:
    """User -> time, if it decides, and place of the first row, which order the samples of all users; of users with
    samples."""
    return {entry[-1].user_id: entry[:2] for entries in _ordered(data).values() for entry in entries}


def _ordered(data: RunData) -> dict[str, list[_Ordered]]:
    """The samples by split, each with what orders it among those of all users."""
    if not any(map(len, data.targets.values())):
        return {}
    options, times = data.options, data.rows.times
    users, first = np.unique(data.rows.users.codes, return_index=True)
    first_of = dict(zip(users.tolist(), first.tolist(), strict=True))
    by_time = options.filters.keep_duplicate is not None and not options.files.presplit
    out: dict[str, list[_Ordered]] = {}
    for name, targets in data.targets.items():
        starts = [first_of[user] for user in data.rows.users.codes[targets].tolist()]
        places = data.notes.places[data.kept[starts]].tolist()
        begun = times[starts].tolist() if by_time and times is not None else [0.0] * len(starts)
        own = data.windows.place[targets].tolist()
        out[name] = list(zip(begun, places, own, data.samples[name], strict=True))
    return out


def _bare(sides: Sides) -> Sides:
    """The tables without their rows: what describes users and items is not asked for here."""

    def bare(table: Table | None) -> Table | None:
        return None if table is None else table.take(np.zeros(0, dtype=np.int64))

    return bare(sides[0]), bare(sides[1])
