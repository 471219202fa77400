"""The order of rows: by place, as the files had them, and as a part keeps them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from recbole_apa.data.index.rows import IndexRows
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
