"""Rows of a run's index as if they had been read from files, with or without applying the filters again."""

from pathlib import Path

import numpy as np

from recbole_apa.data.data_options import DataOptions
from recbole_apa.data.filters import Filtered, Tables, apply_filters, is_all, sides_by_value
from recbole_apa.data.index.rows import ALLOWED, KEPT, IndexRows
from recbole_apa.data.read_data import Loaded
from recbole_apa.data.reader import Field, Rule, Table
from recbole_apa.data.samples import Interactions

Sides = tuple[Table | None, Table | None]
"""The tables that describe users and items, as :func:`~recbole_apa.data.read_data.read_sides` returns them."""


def loaded_of(index: IndexRows, options: DataOptions, sides: Sides, plain_ids: bool, filtered: bool) -> Loaded:
    """Rows of an index as if they had been read from a file that has no others.

    Args:
        index: in order of their places.
        filtered: see :class:`~recbole_apa.data.index.rows.IndexedRows`.

    Raises:
        DataError: none passes the filters.
    """
    labels = options.label.labels(index.values)
    raw = Interactions(index.users, index.items, labels, index.times, index.values, plain_ids)
    left = filter_noted(index, raw, options, sides) if filtered else filter_anew(index, raw, options, sides)
    rows = raw if is_all(left.rows, len(raw)) else raw.take(left.rows)
    part_of = None if options.files.presplit is None else index.roles[left.rows]
    return Loaded(table_of(raw, options), raw, rows, np.ones(len(raw), dtype=bool), left, part_of)


def filter_anew(index: IndexRows, raw: Interactions, options: DataOptions, sides: Sides) -> Filtered:
    """The filters on rows of an index: those of a row's own values as noted, those that compare or count rows anew.

    Args:
        index: rows in order of their places.
        raw: the same rows.

    Raises:
        DataError: nothing is left.
    """
    allowed = index.flags & ALLOWED != 0
    if options.files.presplit is not None:
        return Filtered(np.arange(len(index)), allowed, *sides)
    return apply_filters(Tables(table_of(raw, options), *sides), options.filters, allowed)


def filter_noted(index: IndexRows, raw: Interactions, options: DataOptions, sides: Sides) -> Filtered:
    """What the flags say of rows in order of their places; arguments as in :func:`filter_anew`."""
    kept, allowed = np.flatnonzero(index.flags & KEPT), index.flags & ALLOWED != 0
    if options.files.presplit is not None:
        return Filtered(kept, allowed, *sides)
    if options.filters.keep_duplicate is not None and index.times is not None:
        # the filter of duplicates leaves rows in order of time
        kept = kept[np.argsort(index.times[kept], kind="stable")]
    sides = sides_by_value(Tables(table_of(raw, options), *sides), options.filters)
    return Filtered(kept, allowed, *sides)


def table_of(rows: Interactions, options: DataOptions) -> Table:
    """Users, items, times and what labels come from, as the filters and RecBole read them."""
    files, label = options.files, options.label.column
    columns: dict[str, object] = {files.user: rows.users, files.item: rows.items}
    rules = {files.user: Rule.TEXT, files.item: Rule.TEXT}
    if rows.times is not None and files.time is not None:
        columns[files.time], rules[files.time] = rows.times, Rule.NUMBER
    columns[label], rules[label] = rows.values, Rule.NUMBER
    header = tuple(Field(name, "float" if rule.is_number else "token") for name, rule in rules.items())
    return Table(Path("the run's index"), header, columns, rules, len(rows))  # type: ignore[arg-type]
