"""Whether a data file that has changed still has the rows that the index has."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recbole_apa.data.index.places import rows_of_parts
from recbole_apa.data.index.read import Index
from recbole_apa.data.index.rows import IndexRows
from recbole_apa.data.samples import Interactions


@dataclass(frozen=True)
class _Rows:
    """Rows of one part's users: by user, those of a user by time, those of equal times as they follow each other; n
    rows."""

    users: np.ndarray
    """Codes of the index's part, (n,)."""
    items: np.ndarray
    """Codes of the index, (n,)."""
    times: np.ndarray
    """(n,); zeros without timestamps."""
    values: np.ndarray
    """(n,)."""

    def columns(self) -> tuple[np.ndarray, ...]:
        return self.users, self.items, self.times, self.values

    def take(self, rows: np.ndarray) -> "_Rows":
        return _Rows(*(column[rows] for column in self.columns()))


def differing_rows(index: Index, rows: Interactions) -> str | None:
    """How the visible rows of a data file differ from those of the index; None if every user has the same rows in the
    same order of time, those of equal times in the same order of the file.

    The rows of different users may be mixed in another way. A row that an addition brought may be missing from the
    file, or be there once.

    Args:
        rows: all that the file has and the run may see, before any filter, with their values; in the file's order.

    Raises:
        RunError: a file of the index is missing or damaged.
    """
    assert rows.values is not None
    if (rows.times is None) == index.facts.has_times:
        return "it has times, and the run was made without" if rows.times is not None else "it has no times"
    items = _codes(rows.items.names, index.items.names)[rows.items.codes]
    n_strange_items = int((items < 0).sum())
    part_of_user = index.parts_of(rows.users.names)
    part_of_row = part_of_user.astype(np.uint16)[rows.users.codes]
    n_strange_users = n_differing = 0
    for number, here in enumerate(rows_of_parts(part_of_row, index.n_parts)):
        part, own = index.part(number), np.unique(rows.users.codes[here])
        code_of_user = np.full(len(rows.users.names), -1, dtype=np.int64)
        code_of_user[own] = _codes([rows.users.names[user] for user in own.tolist()], part.users.names)
        users = code_of_user[rows.users.codes[here]]
        n_strange_users += int((users < 0).sum())
        times = np.zeros(len(here)) if rows.times is None else rows.times[here]
        found = _Rows(users, items[here], times, rows.values[here]).take(np.lexsort((times, users)))
        n_differing += _n_differing(part, found)
    if n_strange_users:
        return f"{n_strange_users} of its rows are of users that the run does not have"
    if n_strange_items:
        return f"{n_strange_items} of its rows are of items that the run does not have"
    if n_differing:
        whose = "1 user has" if n_differing == 1 else f"{n_differing} users have"
        return f"{whose} other rows than in the run, or rows of one time in another order"
    return None


def _codes(names: Sequence[str], known: Sequence[str]) -> np.ndarray:
    """The position of each name in ``known``, (n,), int64; -1 for those that are not in it."""
    place = {name: code for code, name in enumerate(known) if name}
    return np.fromiter((place.get(name, -1) for name in names), dtype=np.int64, count=len(names))


def _n_differing(part: IndexRows, found: _Rows) -> int:
    """How many users of a part do not have the same rows in the file."""
    times = np.zeros(len(part)) if part.times is None else part.times
    whole = _Rows(part.users.codes, part.items.codes, times, part.values)
    if (part.since > 0).any():
        first = whole.take(np.flatnonzero(part.since == 0))
        found = _without_added(found, first, whole.take(np.flatnonzero(part.since > 0)))
        whole = first
    n_users = len(part.users.names)
    counts, expected = (np.bincount(r.users[r.users >= 0], minlength=n_users) for r in (found, whole))
    differing = counts != expected
    a, b = (r.take(np.flatnonzero((r.users >= 0) & ~differing[r.users])) for r in (found, whole))
    for left, right in zip(a.columns(), b.columns(), strict=True):
        differing[a.users[(left != right) & ~((left != left) & (right != right))]] = True  # NaN equals NaN here
    return int(differing.sum())


def _without_added(found: _Rows, first: _Rows, added: _Rows) -> _Rows:
    """What the file has besides added rows: of equal rows more than the run began with, so many of the last ones go as
    additions brought."""
    columns = [np.concatenate(column) for column in zip(*(r.columns() for r in (first, added, found)), strict=True)]
    group = _groups(columns)
    n, m = len(first.users), len(added.users)
    of_first, of_added, of_found = group[:n], group[n : n + m], group[n + m :]
    n_groups = int(group.max(initial=-1)) + 1
    n_first, n_added, n_found = (np.bincount(g, minlength=n_groups) for g in (of_first, of_added, of_found))
    stay = n_found - np.clip(n_found - n_first, 0, n_added)
    order = np.argsort(of_found, kind="stable")
    nth = np.empty(len(order), dtype=np.int64)
    nth[order] = np.arange(len(order)) - (np.cumsum(n_found) - n_found)[of_found[order]]
    return found.take(np.flatnonzero(nth < stay[of_found]))


def _groups(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Numbers of rows, the same for rows that are equal in every column, (n,), int64."""
    order = np.lexsort(columns)
    starts = np.zeros(len(order), dtype=bool)
    for column in columns:
        starts[1:] |= column[order][1:] != column[order][:-1]
    group = np.empty(len(order), dtype=np.int64)
    group[order] = np.cumsum(starts)
    return group
