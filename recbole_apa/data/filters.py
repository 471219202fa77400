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
from recbole_apa.data.tokens import Tokens


@dataclass(frozen=True)
class FilterSettings:
    """RecBole's filtering options."""

    user: str
    """The column that holds users."""
    item: str
    time: str
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


def filter_tables(tables: Tables, settings: FilterSettings) -> Tables:
    """Apply all filters, in RecBole's order.

    Raises:
        DataError: nothing is left.
        SettingsError: a filter cannot be parsed, or its column does not exist.
    """
    inter = _without_duplicates(tables.inter, settings)
    tables = _by_value(Tables(inter, tables.users, tables.items), settings)
    if settings.known_only:
        tables = _known_only(tables, settings)
    tables = _by_count(tables, settings)
    for table in (tables.inter, tables.users, tables.items):
        if table is not None and not len(table):
            raise DataError(
                f"{table.path}: the table is empty after filtering; loosen val_interval and *_inter_num_interval"
            )
    return tables


def first_rows(table: Table, column: str) -> Table:
    """The first row for each text in a column: each user or item is described once."""
    _, first = np.unique(table.texts(column).codes, return_index=True)
    return table.take(np.sort(first)) if len(first) < len(table) else table


def _without_duplicates(inter: Table, settings: FilterSettings) -> Table:
    if settings.keep_duplicate is None:
        return inter
    if settings.keep_duplicate not in ("first", "last"):
        raise SettingsError(f"rm_dup_inter: found {settings.keep_duplicate!r}, expected first, last or null")
    if settings.time in inter.columns:
        inter = inter.take(np.argsort(inter.numbers(settings.time), kind="stable"))
    else:
        getLogger().warning("rm_dup_inter: the dataset has no times; the order of rows is used instead")
    users, items = inter.texts(settings.user), inter.texts(settings.item)
    pairs = users.codes.astype(np.int64) * len(items.names) + items.codes
    backwards = settings.keep_duplicate == "last"
    _, first = np.unique(pairs[::-1] if backwards else pairs, return_index=True)
    return inter.take(np.sort(len(pairs) - 1 - first if backwards else first))


def _by_value(tables: Tables, settings: FilterSettings) -> Tables:
    found = {"inter": tables.inter, "users": tables.users, "items": tables.items}
    for column, wanted in settings.values.items():
        holders = [name for name, table in found.items() if table is not None and column in table.columns]
        if not holders:
            raise SettingsError(f"val_interval: the dataset has no column {column!r}")
        for name in holders:
            table = found[name]
            assert table is not None
            kept = _kept(table, column, wanted)
            if not kept.all():
                n = int((~kept).sum())
                getLogger().info(f"{table.path}: {n} of {len(table)} rows dropped by val_interval on {column}")
            found[name] = table.take(kept)
    inter = found["inter"]
    assert inter is not None
    return Tables(inter, found["users"], found["items"])


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


def _known_only(tables: Tables, settings: FilterSettings) -> Tables:
    """Interactions whose user and item have a line in the ``.user`` and ``.item`` file, if there is one."""
    inter = tables.inter
    for column, table, kind in ((settings.user, tables.users, "user"), (settings.item, tables.items, "item")):
        if table is None:
            continue
        asked, known = inter.texts(column), set(table.texts(column).texts())
        kept = np.array([name in known for name in asked.names], dtype=bool)[asked.codes]
        if not kept.all():
            gone = inter.take(~kept)
            # lines, not names: logs are not cleaned when somebody is forgotten
            lines = ", ".join(str(gone.line(row)) for row in range(min(len(gone), 5)))
            n_names = len(np.unique(gone.texts(column).codes))
            getLogger().warning(
                f"{inter.path}: {len(gone)} interactions of {n_names} {kind}s are dropped (line {lines}"
                f"{', ...' if len(gone) > 5 else ''}), because {table.path} has no line for them; "
                "filter_inter_by_user_or_item: False keeps them"
            )
        inter = inter.take(kept)
    return Tables(inter, tables.users, tables.items)


def _by_count(tables: Tables, settings: FilterSettings) -> Tables:
    """Keep users and items whose number of interactions is in an interval, until nothing changes (k-core)."""
    given = {
        name: None if text is None else parse_intervals(f"{name}_inter_num_interval", text)
        for name, text in (("user", settings.user_counts), ("item", settings.item_counts))
    }
    if given["user"] is None and given["item"] is None:
        return tables
    users, items = tables.inter.texts(settings.user), tables.inter.texts(settings.item)
    sides = [
        _Side(users, given["user"], tables.users, settings.user),
        _Side(items, given["item"], tables.items, settings.item),
    ]
    alive = np.ones(len(tables.inter), dtype=bool)
    # both sides count the same rows, then both drop theirs
    while True:
        changed = [side.ban(alive) for side in sides]
        if not any(changed):
            break
        for side in sides:
            alive &= ~side.banned[side.codes]
    told = [side.told() for side in sides]
    return Tables(tables.inter.take(alive), told[0], told[1])


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
