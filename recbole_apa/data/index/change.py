"""Change the index of a run: rows go, come, or get other roles and flags. Only the parts that hold them are written."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from recbole_apa.core.errors import DataError
from recbole_apa.data.index.arrow import Items
from recbole_apa.data.index.facts import About, Facts
from recbole_apa.data.index.order import arranged, by_place
from recbole_apa.data.index.places import part_file
from recbole_apa.data.index.read import Index
from recbole_apa.data.index.rows import IndexRows
from recbole_apa.data.index.write import refuse_odd, write_facts, write_part
from recbole_apa.data.tokens import Tokens


@dataclass(frozen=True)
class Change:
    """What becomes of an index; rows are recognised by user and place."""

    removed: IndexRows | None = None
    """Rows to leave out."""
    changed: IndexRows | None = None
    """Rows with the roles and flags that they have from now on; their other columns are not looked at."""
    added: IndexRows | None = None
    """New rows, at places that no row has; their items may be new, too."""


def rewrite(index: Index, folder: Path, change: Change, about: About | None = None) -> Facts:
    """Write what a change makes of an index: the parts of all users in it, ``items.arrow`` and ``index.json``.

    Together with the parts that are not written, ``folder`` is, byte for byte, what
    :func:`~recbole_apa.data.index.write.write_index` writes for the rows that the change leaves, given this index's
    number of parts and its item codes with new items after them. Codes never move; the name of an item without a row
    left is gone.

    Args:
        folder: not the index's own.
        about: None keeps the index's.

    Raises:
        DataError: the index lacks a row to remove or change, or added rows are such as
            :func:`~recbole_apa.data.index.write.write_index` refuses.
        RunError: a file is damaged, or cannot be written.
    """
    names = _with_new_items(index.items, change.added)
    n_rows = np.concatenate((index.items.n_rows, np.zeros(len(names) - len(index.items.names), dtype=np.int64)))
    removed, changed, added = (_by_part(index, rows) for rows in (change.removed, change.changed, change.added))
    sizes = list(index.facts.parts)
    for part in sorted({*removed, *changed, *added}):
        old = index.part(part)
        rows = _changed(_without(old, removed.get(part)), changed.get(part))
        if part in added:
            rows = _with(rows, added[part], names)
        n_rows += _counts(rows, len(names)) - _counts(old, len(names))
        sizes[part] = write_part(folder / part_file(part), arranged(rows))
    items = Items([name if n else "" for name, n in zip(names, n_rows.tolist(), strict=True)], n_rows)
    has_times = index.facts.has_times
    return write_facts(folder, items, Facts(about or index.facts.about, has_times, items.size(), tuple(sizes)))


def _by_part(index: Index, rows: IndexRows | None) -> dict[int, IndexRows]:
    """The rows of each part."""
    if rows is None or not len(rows):
        return {}
    rows = replace(rows, users=rows.users.compact())
    part_of_row = index.parts_of(rows.users.names)[rows.users.codes]
    return {part: rows.take(np.flatnonzero(part_of_row == part)) for part in np.unique(part_of_row).tolist()}


def _with_new_items(items: Items, added: IndexRows | None) -> list[str]:
    """Item names by code, those of new items last in order of their first place."""
    if added is None:
        return list(items.names)
    known = {name for name, n in zip(items.names, items.n_rows.tolist(), strict=True) if n}
    return [*items.names, *(name for name in by_place(added).items.compact().names if name not in known)]


def _without(rows: IndexRows, removed: IndexRows | None) -> IndexRows:
    if removed is None:
        return rows
    stays = np.ones(len(rows), dtype=bool)
    stays[_where(rows, removed)] = False
    return rows.take(np.flatnonzero(stays))


def _changed(rows: IndexRows, changed: IndexRows | None) -> IndexRows:
    if changed is None:
        return rows
    at = _where(rows, changed)
    roles, flags = rows.roles.copy(), rows.flags.copy()
    roles[at], flags[at] = changed.roles, changed.flags
    return replace(rows, roles=roles, flags=flags)


def _with(rows: IndexRows, added: IndexRows, names: list[str]) -> IndexRows:
    """Rows of a part and new ones of its users."""
    if (rows.times is None) != (added.times is None):
        raise DataError("found added rows with times and an index without, or the other way round")
    code_of = {name: code for code, name in reversed(list(enumerate(names)))}
    new = np.array([code_of[name] for name in added.items.names], dtype=np.int32)[added.items.codes]
    users = Tokens.joined([rows.users, added.users])
    items = Tokens(np.concatenate((rows.items.codes, new)), names)
    times = None if rows.times is None or added.times is None else np.concatenate((rows.times, added.times))
    columns = ("values", "places", "roles", "flags", "since")
    joined = [np.concatenate((getattr(rows, name), getattr(added, name))) for name in columns]
    out = by_place(IndexRows(users, items, times, *joined))
    refuse_odd(out)
    return out


def _where(rows: IndexRows, some: IndexRows) -> np.ndarray:
    """The row numbers of ``some`` among ``rows``, by place and user, (m,)."""
    order = np.argsort(rows.places)
    found = np.searchsorted(rows.places, some.places, sorter=order)
    if len(rows):
        at = order[np.minimum(found, len(rows) - 1)]
        if (rows.places[at] == some.places).all() and rows.users.texts(at) == some.users.texts():
            return at
    raise DataError("found rows to change or remove that the index does not have; expected rows read from it")


def _counts(rows: IndexRows, n_items: int) -> np.ndarray:
    return np.bincount(rows.items.codes, minlength=n_items).astype(np.int64)
