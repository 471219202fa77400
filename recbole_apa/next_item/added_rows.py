"""Rows that joined a run after its training: kept in its state, beside the dataset's files.

Pure numpy, independent of RecBole. Shapes: n rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recbole_apa.core.errors import RunError
from recbole_apa.data.data_options import LabelRule
from recbole_apa.data.samples import Interactions
from recbole_apa.data.tokens import Tokens


@dataclass(frozen=True)
class AddedRows:
    """In the order in which they were added, (n,) each."""

    users: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    times: tuple[float, ...] | None = None
    """None if the dataset has no times."""
    values: tuple[float, ...] = ()
    """What labels are made of."""

    def __len__(self) -> int:
        return len(self.users)

    def take(self, rows: np.ndarray) -> "AddedRows":
        """Some of the rows."""
        chosen: list[int] = rows.tolist()

        def of(column: Sequence[Any]) -> tuple[Any, ...]:
            return tuple(column[row] for row in chosen)

        return AddedRows(
            of(self.users), of(self.items), None if self.times is None else of(self.times), of(self.values)
        )

    def plus(self, other: "AddedRows") -> "AddedRows":
        """Those of ``other`` after these."""
        if not len(self):
            return other
        times = None if self.times is None or other.times is None else self.times + other.times
        return AddedRows(self.users + other.users, self.items + other.items, times, self.values + other.values)

    def interactions(self, label: LabelRule) -> Interactions:
        """As rows of a dataset."""
        values = np.array(self.values, dtype=np.float64)
        times = None if self.times is None else np.array(self.times, dtype=np.float64)
        users, items = Tokens.of(self.users), Tokens.of(self.items)
        return Interactions(users, items, label.labels(values), times, values)

    def plain(self) -> dict[str, object]:
        """As JSON holds it: floats are read again as they were."""
        columns = {"users": self.users, "items": self.items, "values": self.values}
        times = None if self.times is None else list(self.times)
        return {**{name: list(column) for name, column in columns.items()}, "times": times}

    @classmethod
    def from_plain(cls, told: object) -> "AddedRows":
        """Parse what :meth:`plain` returned.

        Raises:
            RunError: it is something else.
        """
        try:
            return _parsed(told)
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"the rows that joined the run are damaged ({error}); restore it from a copy") from None


NONE = AddedRows()
"""No rows."""


def _parsed(told: Any) -> AddedRows:
    columns: Mapping[str, Any] = dict(told)
    users, items = (tuple(map(str, columns[name])) for name in ("users", "items"))
    values = tuple(map(float, columns["values"]))
    times = None if columns["times"] is None else tuple(map(float, columns["times"]))
    if len({len(column) for column in (users, items, values, values if times is None else times)}) != 1:
        raise ValueError("its columns are of different lengths")
    return AddedRows(users, items, times, values)


def joined(first: Interactions, more: Interactions) -> Interactions:
    """The rows of both, those of ``more`` last."""
    times = None if first.times is None or more.times is None else np.concatenate([first.times, more.times])
    values = None if first.values is None or more.values is None else np.concatenate([first.values, more.values])
    users, items = (Tokens.joined([getattr(rows, name) for rows in (first, more)]) for name in ("users", "items"))
    return Interactions(users, items, np.concatenate([first.labels, more.labels]), times, values, first.plain_ids)


def without(rows: Interactions, others: Interactions) -> Interactions:
    """The rows that are not also among others (:func:`are_in`)."""
    users = set(others.users.names)
    codes = [code for code, name in enumerate(rows.users.names) if name in users]
    near = np.flatnonzero(np.isin(rows.users.codes, codes))
    kept = np.ones(len(rows), dtype=bool)
    kept[near[are_in(rows.take(near), others)]] = False
    return rows.take(np.flatnonzero(kept))


def are_in(rows: Interactions, known: Interactions) -> np.ndarray:
    """Which rows are also among others, (n,), bool: same user, item, time and value."""
    users = set(rows.users.texts())
    codes = [code for code, name in enumerate(known.users.names) if name in users]
    there = set(_keys(known.take(np.flatnonzero(np.isin(known.users.codes, codes)))))
    return np.array([key in there for key in _keys(rows)], dtype=bool)


def _keys(rows: Interactions) -> list[tuple[object, ...]]:
    zeros = np.zeros(len(rows))
    times, values = (zeros if column is None else column for column in (rows.times, rows.values))
    return list(zip(rows.users.texts(), rows.items.texts(), times.tolist(), values.tolist(), strict=True))
