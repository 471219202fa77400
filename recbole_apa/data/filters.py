"""RecBole's filters on columns: duplicates, intervals of values, unknown users and items, k-core. Pure numpy.

A test checks that they equal RecBole 1.2.1 (``data/dataset/dataset.py``, ``_data_filtering``), except that rows with
equal times keep the file's order: RecBole's sort is not stable.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from logging import getLogger
from typing import Any

import numpy as np

from recbole_apa.core.errors import DataError, SettingsError
from recbole_apa.core.intervals import Interval, parse_intervals
from recbole_apa.data.reader import Table
from recbole_apa.data.row_blocks import row_numbers
from recbole_apa.data.tokens import Tokens


@dataclass(frozen=True)
class FilterSettings:
    """RecBole's filtering options."""

    user: str
    """The column that holds users."""
    item: str
    time: str | None
    keep_duplicate: str | None = None
    """``rm_dup_inter``: keep the ``first`` or ``last`` of a user's rows on one item; None keeps all."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """``val_interval``: column -> intervals as text, or the tokens to keep."""
    known_only: bool = True
    """``filter_inter_by_user_or_item``."""
    user_counts: str | None = None
    """``user_inter_num_interval``."""
    item_counts: str | None = None


@dataclass(frozen=True)
class Tables:
    """The interactions of a dataset, and the tables that describe its users and items."""

    inter: Table
    users: Table | None = None
    items: Table | None = None


@dataclass(frozen=True)
class Filtered:
    """What filters leave of n interactions."""

    rows: np.ndarray
    """The numbers of the interactions that are left, (m,); in order of time if duplicates were dropped by time, else in
    the order they came in."""
    allowed: np.ndarray
    """Whether each interaction's own values, user and item pass, whatever the other rows are, bool, (n,)."""
    users: Table | None
    """The users that are left, with or without interactions."""
    items: Table | None


def filter_tables(tables: Tables, settings: FilterSettings) -> Tables:
    """The tables after :func:`apply_filters`."""
    left = apply_filters(tables, settings)
    return Tables(take_rows(tables.inter, left.rows), left.users, left.items)


def take_rows(inter: Table, rows: np.ndarray) -> Table:
    """Some rows of a table, or the table itself if it is all of them in order."""
    return inter if is_all(rows, len(inter)) else inter.take(rows)


def is_all(rows: np.ndarray, n: int) -> bool:
    """Whether row numbers, each there once at most, are those of all n rows in order."""
    return len(rows) == n and bool((rows[1:] > rows[:-1]).all())


def apply_filters(tables: Tables, settings: FilterSettings, allowed: np.ndarray | None = None) -> Filtered:
    """Apply all filters, in RecBole's order.

    Args:
        allowed: :attr:`Filtered.allowed`, if it is known already; the interactions then need no columns but users,
            items and times.

    Raises:
        DataError: nothing is left.
        SettingsError: a filter cannot be parsed, or its column does not exist.
    """
    inter = tables.inter
    passed = _Passed(_without_duplicates(inter, settings), np.ones(len(inter), dtype=bool))
    if allowed is not None:
        passed.keep(allowed)
    users, items = _by_value(tables, settings, None if allowed is not None else passed)
    if settings.known_only and allowed is None:
        _known_only(Tables(inter, users, items), settings, passed)
    alive, users, items = _by_count(Tables(inter, users, items), settings, passed.rows)
    rows = passed.rows[alive]
    sizes = [(inter, len(rows)), *((table, len(table)) for table in (users, items) if table is not None)]
    for table, n in sizes:
        if not n:
            raise DataError(
                f"{table.path}: the table is empty after filtering; loosen val_interval and *_inter_num_interval"
            )
    return Filtered(rows, passed.allowed, users, items)


def allowed_rows(tables: Tables, settings: FilterSettings) -> np.ndarray:
    """:attr:`Filtered.allowed`, by the filters that look at one row at a time.

    Raises:
        SettingsError: a filter cannot be parsed, or its column does not exist.
    """
    passed = _Passed(np.arange(len(tables.inter)), np.ones(len(tables.inter), dtype=bool))
    users, items = _by_value(tables, settings, passed)
    if settings.known_only:
        _known_only(Tables(tables.inter, users, items), settings, passed)
    return passed.allowed


def sides_by_value(tables: Tables, settings: FilterSettings) -> tuple[Table | None, Table | None]:
    """The tables of users and items after ``val_interval`` alone."""
    return _by_value(tables, settings, None)


def first_rows(table: Table, column: str) -> Table:
    """The first row for each text in a column: each user or item is described once."""
    _, first = np.unique(table.texts(column).codes, return_index=True)
    return table.take(np.sort(first)) if len(first) < len(table) else table


@dataclass
class _Passed:
    """The interactions that have passed so far."""

    rows: np.ndarray
    """Their numbers, in order."""
    allowed: np.ndarray
    """As :attr:`Filtered.allowed`."""

    def keep(self, kept: np.ndarray) -> np.ndarray:
        """Keep what passes one more filter, (n,), bool; return the numbers of those that drop out now."""
        if kept.all():
            return self.rows[:0]
        self.allowed = self.allowed & kept
        here = kept[self.rows]
        gone, self.rows = self.rows[~here], self.rows[here]
        return gone


def _without_duplicates(inter: Table, settings: FilterSettings) -> np.ndarray:
    """The numbers of the rows that are left, (m,): in order of time if there are times."""
    order = row_numbers(len(inter))
    if settings.keep_duplicate is None:
        return order
    if settings.keep_duplicate not in ("first", "last"):
        raise SettingsError(f"rm_dup_inter: found {settings.keep_duplicate!r}, expected first, last or null")
    if settings.time is not None and settings.time in inter.columns:
        order = np.argsort(inter.numbers(settings.time), kind="stable")
    else:
        getLogger().warning("rm_dup_inter: the dataset has no times; the order of rows is used instead")
    users, items = inter.texts(settings.user), inter.texts(settings.item)
    pairs = (users.codes.astype(np.int64) * len(items.names) + items.codes)[order]
    backwards = settings.keep_duplicate == "last"
    _, first = np.unique(pairs[::-1] if backwards else pairs, return_index=True)
    return order[np.sort(len(pairs) - 1 - first if backwards else first)]


def _by_value(tables: Tables, settings: FilterSettings, passed: _Passed | None) -> tuple[Table | None, Table | None]:
    """The tables of users and items that are left.

    Args:
        passed: the interactions, unless they have been judged already.
    """
    found = {"users": tables.users, "items": tables.items}
    for column, wanted in settings.values.items():
        holders = [name for name, table in found.items() if table is not None and column in table.columns]
        judged = passed is not None and column in tables.inter.columns
        if not holders and not judged and passed is not None:
            raise SettingsError(f"val_interval: the dataset has no column {column!r}")
        if judged and passed is not None:
            n = len(passed.rows)
            _say_dropped(tables.inter, len(passed.keep(_kept(tables.inter, column, wanted))), n, column)
        for name in holders:
            table = found[name]
            assert table is not None
            kept = _kept(table, column, wanted)
            _say_dropped(table, int((~kept).sum()), len(table), column)
            found[name] = table.take(kept)
    return found["users"], found["items"]


def _say_dropped(table: Table, n: int, of: int, column: str) -> None:
    if n:
        getLogger().info(f"{table.path}: {n} of {of} rows dropped by val_interval on {column}")


def _kept(table: Table, column: str, wanted: object) -> np.ndarray:
    cells = table.columns[column]
    if isinstance(cells, np.ndarray):
        return _within(cells, parse_intervals("val_interval", wanted))
    if isinstance(wanted, str) or not isinstance(wanted, Sequence):
        raise SettingsError(
            f"val_interval: found {wanted!r} for {column}, whose type is token: expected a list of tokens"
        )
    texts = {str(text) for text in wanted}
    codes = [code for code, name in enumerate(cells.names) if name in texts]
    return np.isin(cells.codes, codes)


def _within(values: np.ndarray, intervals: Sequence[Interval]) -> np.ndarray:
    out = np.zeros(len(values), dtype=bool)
    for interval in intervals:
        out |= interval.holds(values)
    return out


def _known_only(tables: Tables, settings: FilterSettings, passed: _Passed) -> None:
    """Interactions whose user and item have a line in the ``.user`` and ``.item`` file, if there is one."""
    inter = tables.inter
    for column, table, kind in ((settings.user, tables.users, "user"), (settings.item, tables.items, "item")):
        if table is None:
            continue
        asked, known = inter.texts(column), set(table.texts(column).texts())
        gone = passed.keep(np.array([name in known for name in asked.names], dtype=bool)[asked.codes])
        if len(gone):
            # lines, not names: logs are not cleaned when somebody is forgotten
            lines = ", ".join(str(inter.line(row)) for row in gone[:5].tolist())
            n_names = len(np.unique(asked.codes[gone]))
            getLogger().warning(
                f"{inter.path}: {len(gone)} interactions of {n_names} {kind}s are dropped (line {lines}"
                f"{', ...' if len(gone) > 5 else ''}), because {table.path} has no line for them; "
                "filter_inter_by_user_or_item: False keeps them"
            )


def _by_count(
    tables: Tables, settings: FilterSettings, rows: np.ndarray
) -> tuple[np.ndarray, Table | None, Table | None]:
    """Keep users and items whose number of interactions is in an interval, until nothing changes (k-core).

    Returns:
        which of ``rows`` are left, bool, and the tables of the users and items left.
    """
    given = {
        name: None if text is None else parse_intervals(f"{name}_inter_num_interval", text)
        for name, text in (("user", settings.user_counts), ("item", settings.item_counts))
    }
    alive = np.ones(len(rows), dtype=bool)
    if given["user"] is None and given["item"] is None:
        return alive, tables.users, tables.items
    users, items = tables.inter.texts(settings.user).take(rows), tables.inter.texts(settings.item).take(rows)
    sides = [
        _Side(users, given["user"], tables.users, settings.user),
        _Side(items, given["item"], tables.items, settings.item),
    ]
    # both sides count the same rows, then both drop theirs
    while True:
        changed = [side.ban(alive) for side in sides]
        if not any(changed):
            break
        for side in sides:
            alive &= ~side.banned[side.codes]
    told = [side.told() for side in sides]
    return alive, told[0], told[1]


class _Side:
    """Users, or items, while they are counted."""

    def __init__(self, tokens: Tokens, intervals: list[Interval] | None, table: Table | None, column: str) -> None:
        self.codes, self.names, self.intervals, self.table = tokens.codes, tokens.names, intervals, table
        self.banned = np.zeros(len(tokens.names), dtype=bool)
        place = {name: code for code, name in enumerate(tokens.names)}
        self._rows = self._kept = None
        if table is not None:
            told = [place.get(name, -1) for name in table.texts(column).texts()]
            self._rows, self._kept = np.array(told, dtype=np.int64), np.ones(len(table), dtype=bool)

    def ban(self, alive: np.ndarray) -> bool:
        """Ban those whose count is outside the interval; return whether any was banned now."""
        if self.intervals is None:
            return False
        counts = np.bincount(self.codes[alive], minlength=len(self.names))
        wrong = (counts > 0) & ~_within(counts, self.intervals)
        gone = False
        if self._rows is not None and self._kept is not None:
            # a described user or item needs the first interval's minimum even without interactions
            counted = self._rows >= 0
            below = self._kept & (np.where(counted, counts[self._rows], 0) < self.intervals[0].low)
            wrong[self._rows[below & counted]] = True
            gone = bool(below.any())
            self._kept &= ~below & ~(counted & (wrong | self.banned)[self._rows])
        changed = gone or bool((wrong & ~self.banned).any())
        self.banned |= wrong
        return changed

    def told(self) -> Table | None:
        """The table that describes those left."""
        return self.table if self.table is None or self._kept is None else self.table.take(self._kept)
