"""What is made of all rows of an index, found in one pass over its parts: never more than one of them is in memory."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from recbole_apa.data.data_options import DataOptions
from recbole_apa.data.dataset_digest import DatasetDigest, named_items, users_digest
from recbole_apa.data.index.read import Index
from recbole_apa.data.index.rows import KEPT
from recbole_apa.data.reader import Table
from recbole_apa.data.run_data import RunData, Sides
from recbole_apa.data.samples import LabelledItems, Sample
from recbole_apa.data.splits import SPLITS
from recbole_apa.data.tokens import Tokens

_Keyed = dict[str, list[tuple[tuple[float, int], int, Sample]]]
"""Split -> where a sample's user comes first, the sample's place among the user's rows, and the sample."""


@dataclass(frozen=True)
class Survey:
    """What :class:`RunData` of all rows has, without the rows."""

    samples: Mapping[str, list[Sample]]
    """By split, users in order of their first row that passes the filters."""
    train_rows: LabelledItems
    items: frozenset[str]
    """Items with a row that passes the filters."""
    users_digest: DatasetDigest | None
    """Of all users; None if it was not asked for."""


def survey_of(
    index: Index, options: DataOptions, sides: Sides, plain_ids: bool = False, secret: bytes | None = None
) -> Survey:
    """Look through all parts of an index; the filters are taken as noted there.

    Args:
        sides: the tables that describe users and items.
        plain_ids: :attr:`~recbole_apa.data.samples.Interactions.plain_ids`.
        secret: for the digest of all users; None leaves it out.
    """
    names = index.items.names
    named = None if secret is None else named_items(names, secret)
    seen, codes, labels = np.zeros(len(names), dtype=bool), [], []
    digest = None if secret is None else DatasetDigest(np.zeros(1024, dtype=np.uint16), secret)
    keyed: _Keyed = {name: [] for name in SPLITS}
    for rows in index.parts():
        if not (rows.flags & KEPT).any():
            continue
        data = RunData.of_index(rows, options, _bare(sides), {}, plain_ids, filtered=True)
        seen[np.unique(data.rows.items.codes)] = True
        codes.append(data.train_rows.items.codes)
        labels.append(data.train_rows.labels)
        if digest is not None and secret is not None:
            digest = digest.plus(users_digest(data.rows, data.windows, secret, named))
        _collect(data, options, keyed)
    samples = {name: [s for *_, s in sorted(found, key=lambda entry: entry[:2])] for name, found in keyed.items()}
    told = LabelledItems(Tokens(_joined(codes, np.int32), names), _joined(labels, np.int64))
    return Survey(samples, told, frozenset(names[code] for code in np.flatnonzero(seen).tolist()), digest)


def _collect(data: RunData, options: DataOptions, keyed: _Keyed) -> None:
    """Add a part's samples, each with where its user comes first and its own place among the user's."""
    if not any(map(len, data.targets.values())):
        return
    users, first = np.unique(data.rows.users.codes, return_index=True)
    place_of = dict(zip(users.tolist(), first.tolist(), strict=True))
    by_time = options.filters.keep_duplicate is not None and data.rows.times is not None and not options.files.presplit
    for name, targets in data.targets.items():
        for row, sample in zip(targets.tolist(), data.samples[name], strict=True):
            start = place_of[int(data.rows.users.codes[row])]
            place = int(data.notes.places[data.kept[start]])
            time = float(data.rows.times[start]) if by_time and data.rows.times is not None else 0.0
            keyed[name].append(((time, place), int(data.windows.place[row]), sample))


def _bare(sides: Sides) -> Sides:
    """The tables without their rows: what describes users and items is not asked for here."""

    def bare(table: Table | None) -> Table | None:
        return None if table is None else table.take(np.zeros(0, dtype=np.int64))

    return bare(sides[0]), bare(sides[1])


def _joined(columns: list[np.ndarray], kind: type) -> np.ndarray:
    return np.concatenate([np.zeros(0, dtype=kind), *columns]).astype(kind, copy=False)
