"""Rows of the data by user, by item and by both, indexed only for the names in a request, however large the data is.

Shapes: n rows, m different names asked for.
"""

from collections.abc import Sequence

import numpy as np

from recbole_apa.data.samples import Interactions
from recbole_apa.unlearning.requests.demands import Demand


class RequestIndex:
    """Finds the rows of each demand.

    Args:
        rows: of the data; its ``users`` and ``items`` may be lists, or have ``codes`` (n,) into ``names``.
    """

    def __init__(self, rows: Interactions, demands: Sequence[Demand]) -> None:
        self._users, user_of_row = _numbered(rows.users, [d.user for d in demands])
        self._items, item_of_row = _numbered(rows.items, [d.item for d in demands])
        self._there = [
            {name for name, n in numbers.items() if n in found}
            for numbers, found in (
                (self._users, set(np.unique(user_of_row).tolist())),
                (self._items, set(np.unique(item_of_row).tolist())),
            )
        ]
        """Names that were asked for and have rows: of users, and of items."""
        self._by_user = _Groups(user_of_row, len(self._users))
        self._by_item = _Groups(item_of_row, len(self._items))
        # a pair is encoded as one number: user times the number of items, plus item
        pairs = {
            self._pair(d.user, d.item)
            for d in demands
            # the others have no rows
            if d.user in self._there[0] and d.item in self._there[1]
        }
        asked = np.array(sorted(pairs), dtype=np.int64)
        both = np.where((user_of_row < 0) | (item_of_row < 0), -1, user_of_row * len(self._items) + item_of_row)
        self._pairs = {int(pair): place for place, pair in enumerate(asked)}
        self._by_pair = _Groups(_places(both, asked), len(asked))

    def knows(self, demand: Demand) -> bool:
        """Whether a demand has rows."""
        if demand.user is not None and demand.user not in self._there[0]:
            return False
        if demand.item is not None and demand.item not in self._there[1]:
            return False
        return bool(len(self.rows(demand)))

    def rows(self, demand: Demand) -> np.ndarray:
        """Row numbers of a user, an item or a pair, in order, whatever time and rating the demand names."""
        if demand.user is None:
            return self._by_item.rows(self._items[demand.item or ""])
        if demand.item is None:
            return self._by_user.rows(self._users[demand.user])
        place = self._pairs.get(self._pair(demand.user, demand.item))
        return self._by_pair.rows(place) if place is not None else np.empty(0, dtype=np.int64)

    def _pair(self, user: str, item: str) -> int:
        return self._users[user] * len(self._items) + self._items[item]


class _Groups:
    """Row numbers by group.

    Args:
        group_of_row: (n,), -1 for rows without a group.
    """

    def __init__(self, group_of_row: np.ndarray, n_groups: int) -> None:
        wanted = np.flatnonzero(group_of_row >= 0)
        groups = group_of_row[wanted]
        order = np.argsort(groups, kind="stable")
        self._rows = wanted[order]
        self._starts = np.searchsorted(groups[order], np.arange(n_groups + 1))

    def rows(self, group: int) -> np.ndarray:
        """Row numbers of one group, in order."""
        return self._rows[self._starts[group] : self._starts[group + 1]]


def _numbered(column: Sequence[str], asked: Sequence[str | None]) -> tuple[dict[str, int], np.ndarray]:
    """The names asked for, numbered, (m,); and each row's number, (n,), -1 if its name is not asked for."""
    numbers = {name: i for i, name in enumerate(dict.fromkeys(name for name in asked if name is not None))}
    codes, names = getattr(column, "codes", None), getattr(column, "names", None)
    if codes is None or names is None:
        return numbers, np.fromiter((numbers.get(name, -1) for name in column), dtype=np.int64, count=len(column))
    number_of_code = np.fromiter((numbers.get(name, -1) for name in names), dtype=np.int64, count=len(names))
    return numbers, number_of_code[np.asarray(codes)]


def _places(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The position of each value among sorted known ones, (n,), -1 if it is not there."""
    if not len(known):
        return np.full(len(values), -1, dtype=np.int64)
    place = np.minimum(np.searchsorted(known, values), len(known) - 1)
    return np.where(known[place] == values, place, -1)
