"""The order of rows: by place, as the files had them, and as a part keeps them."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from recbole_apa.data.index.rows import IndexRows
from recbole_apa.data.row_blocks import row_type
from recbole_apa.data.tokens import Tokens

_COLUMNS = ("values", "places", "roles", "flags", "since")


def by_place(rows: IndexRows) -> IndexRows:
    """The rows in order of place; returned as they are if they are in it."""
    if (rows.places[1:] > rows.places[:-1]).all():
        return rows
    return rows.take(np.argsort(rows.places, kind="stable"))


def arranged(rows: IndexRows) -> IndexRows:
    """The rows of one part in its order: users by first place, each one's rows by time, those of equal times by place.

    Names of users without rows are omitted.
    """
    rows = by_place(rows)
    users = rows.users.compact()
    order = np.argsort(users.codes, kind="stable") if rows.times is None else np.lexsort((rows.times, users.codes))
    return replace(rows, users=users).take(order)


def is_arranged(rows: IndexRows) -> bool:
    """Whether the rows of a part are in its order, and each of its names is used."""
    n, users, places = len(rows), rows.users.codes, rows.places
    if not n:
        return not rows.users.names
    same = users[1:] == users[:-1]
    later = places[1:] > places[:-1]
    if rows.times is not None:
        later = (rows.times[1:] > rows.times[:-1]) | ((rows.times[1:] == rows.times[:-1]) & later)
    starts = np.concatenate(([True], ~same))
    first = np.minimum.reduceat(places, np.flatnonzero(starts))
    return bool(
        users[0] == 0
        and len(first) == len(rows.users.names) == len(set(rows.users.names))
        and (users[1:][~same] == users[:-1][~same] + 1).all()
        and later[same].all()
        and (first[1:] > first[:-1]).all()
    )


def joined(first: IndexRows, more: IndexRows) -> IndexRows:
    """The rows of both, one after another; either both have times or none has."""
    users, items = (Tokens.joined([getattr(first, name), getattr(more, name)]) for name in ("users", "items"))
    times = None if first.times is None or more.times is None else np.concatenate((first.times, more.times))
    columns = [np.concatenate((getattr(first, name), getattr(more, name))) for name in _COLUMNS]
    return IndexRows(users, items, times, *columns)


def join_by_place(parts: Sequence[IndexRows]) -> IndexRows:
    """:func:`by_place` of :func:`join_parts`: each part's rows are put straight where they belong, so that no column is
    there twice."""
    n, ranks = sum(map(len, parts)), _ranks([part.places for part in parts])
    if ranks is None:
        return by_place(join_parts(parts))
    first, names = parts[0], [name for part in parts for name in part.users.names]

    def joined(columns: Iterable[np.ndarray]) -> np.ndarray:
        out: np.ndarray | None = None
        for part, column in zip(parts, columns, strict=True):
            out = np.empty(n, dtype=column.dtype.newbyteorder("=")) if out is None else out
            out[ranks[part.places]] = column
        assert out is not None
        return out

    begins = np.cumsum([0, *(len(part.users.names) for part in parts)]).astype(np.int32)
    users = joined(part.users.codes + begin for part, begin in zip(parts, begins[:-1], strict=True))
    items = Tokens(joined(part.items.codes for part in parts), first.items.names)
    times = None if first.times is None else joined(part.times for part in parts if part.times is not None)
    columns = (joined(getattr(part, name) for part in parts) for name in _COLUMNS)
    return IndexRows(Tokens(users, names), items, times, *columns)


def _ranks(places: Sequence[np.ndarray]) -> np.ndarray | None:
    """The rank of each place among all places, by place; None if places repeat or most numbers are no place."""
    n = sum(map(len, places))
    low, high = (f(edge(p) for p in places if len(p)) if n else 0 for f, edge in ((min, np.min), (max, np.max)))
    if not n or low < 0 or high >= 2 * n:
        return None
    is_place = np.zeros(int(high) + 1, dtype=bool)
    for part in places:
        is_place[part] = True
    ranks = np.cumsum(is_place, dtype=row_type(n))
    return ranks - 1 if ranks[-1] == n else None


def join_parts(parts: Sequence[IndexRows]) -> IndexRows:
    """The rows of several parts of one index, at least one, after another: users differ, item codes are the same."""
    names: list[str] = []
    codes = []
    for part in parts:
        codes.append(part.users.codes + np.int32(len(names)))
        names += part.users.names
    users = Tokens(np.concatenate(codes), names)
    items = Tokens(np.concatenate([part.items.codes for part in parts]), parts[0].items.names)
    times = [part.times for part in parts if part.times is not None]
    columns = [np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS]
    return IndexRows(users, items, np.concatenate(times) if times else None, *columns)
