"""A dataset's files -> the rows that a run may see: read strictly, forgotten rows hidden, then filtered.

All interactions are loaded here, from one file or from pre-split ones. Independent of RecBole.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path

import numpy as np

from recbole_apa.core.errors import DataError
from recbole_apa.data.data_options import FileOptions, LabelRule
from recbole_apa.data.filters import Filtered, FilterSettings, Tables, apply_filters, first_rows, is_all, take_rows
from recbole_apa.data.reader import Field, FileForm, Rule, Table, concat, read_table
from recbole_apa.data.samples import Interactions
from recbole_apa.data.splits import SPLITS
from recbole_apa.data.tokens import Tokens
from recbole_apa.data.visible_data import VisibleData

INTER, USER, ITEM = "inter", "user", "item"
"""Kinds of files, by their endings."""
_EXACT = 2**53
"""Whole numbers below this are exact in float64."""
_MOST_LINES = 10


@dataclass(frozen=True)
class Loaded:
    """What was read; the files have f rows with a user, an item, a label and a time, n of them visible."""

    inter: Table
    """All visible interactions, before any filter, (n,)."""
    raw: Interactions
    """The same, with labels: requests are looked up here."""
    rows: Interactions
    """The interactions after the filters, (m,): samples are made from these."""
    shown: np.ndarray
    """Which rows of the files are visible, bool, before any filter, (f,)."""
    left: Filtered
    """Which of them pass the filters, and the users and items that are left."""
    part_of: np.ndarray | None
    """For pre-split files: the index in ``SPLITS`` of each of ``rows``, (m,)."""

    @property
    def tables(self) -> Tables:
        """The tables after hiding and filtering."""
        return Tables(take_rows(self.inter, self.left.rows), self.left.users, self.left.items)


def read_data(
    files: FileOptions, filters: FilterSettings, label: LabelRule, stem: Path, visible_data: VisibleData
) -> Loaded:
    """Read interactions, item and user files.

    Args:
        stem: their path without the ending, e.g. ``data/ml-1m/ml-1m`` for ``data/ml-1m/ml-1m.inter``.

    Raises:
        DataError: files or columns are missing, or the reader rejects a file.
    """
    inter, part_of = read_interactions(files, stem)
    _check_label(inter, label)
    plain_ids = visible_data.plain_ids
    raw = _interactions(files, inter, label, plain_ids)
    seen = visible_data.visible(raw)
    if not seen.all():
        inter, part_of = inter.take(seen), None if part_of is None else part_of[seen]
        raw = _interactions(files, inter, label, plain_ids)
    users, items = read_sides(files, stem)
    if not len(inter):
        raise DataError(f"{inter.path}: no interaction is left")
    settled = part_of is None and label.column in filters.values
    _warn_of_zeros(inter, label, settled)
    if part_of is not None:
        _say_unfiltered(filters)
        left = Filtered(np.arange(len(inter)), np.ones(len(inter), dtype=bool), users, items)
    else:
        left = apply_filters(Tables(inter, users, items), filters)
    rows = raw if is_all(left.rows, len(raw)) else raw.take(left.rows)
    return Loaded(inter, raw, rows, seen, left, part_of)


def read_visible(files: FileOptions, label: LabelRule, stem: Path, visible_data: VisibleData) -> Interactions:
    """The visible rows of a dataset's files before any filter, possibly none; arguments and errors as for
    :func:`read_data`."""
    inter = read_interactions(files, stem)[0]
    _check_label(inter, label)
    rows = _interactions(files, inter, label, visible_data.plain_ids)
    return rows.take(np.flatnonzero(visible_data.visible(rows)))


def read_interactions(files: FileOptions, stem: Path) -> tuple[Table, np.ndarray | None]:
    """The rows of all files of interactions, and the split of each row if the files are pre-split."""
    if files.presplit is None:
        return _read_inter(files, _file(stem, INTER)), None
    tables = [_read_inter(files, _file(stem, f"{part}.{INTER}")) for part in files.presplit]
    parts = np.repeat(np.arange(len(SPLITS), dtype=np.int8), [len(table) for table in tables])
    return concat(_file(stem, f"*.{INTER}"), tables), parts


def read_sides(files: FileOptions, stem: Path) -> tuple[Table | None, Table | None]:
    """The tables that describe users and items, each of them once; None for a file that does not exist."""
    return (
        _read_side(files, _file(stem, USER), USER, files.user),
        _read_side(files, _file(stem, ITEM), ITEM, files.item),
    )


def data_files(files: FileOptions, stem: Path) -> list[Path]:
    """The files that decide what a run sees: those of interactions, and those that describe users and items."""
    parts = (INTER,) if files.presplit is None else tuple(f"{part}.{INTER}" for part in files.presplit)
    sides = [path for path in (_file(stem, USER), _file(stem, ITEM)) if path.is_file()]
    return [*(_file(stem, part) for part in parts), *sides]


def _file(stem: Path, ending: str) -> Path:
    return stem.with_name(f"{stem.name}.{ending}")


def read_columns(path: Path, kind: str, files: FileOptions, strict_features: bool = True) -> Table | None:
    """The columns of one file that the options select; None if they select none.

    Args:
        kind: the kind of file, e.g. ``inter``.
        strict_features: whether to read columns other than ids, label and time strictly, too.

    Raises:
        DataError: the reader rejects the file.
    """
    load, unload = files.columns(kind)
    if load is not None and not load:
        return None
    numbers = files.numbers if kind == INTER else ()

    def choose(field: Field) -> Rule | None:
        if (load is not None and field.name not in load) or field.name in unload:
            return None
        if field.name in numbers:
            return Rule.NUMBER
        if strict_features or field.name in files.ids:
            return Rule.NUMBER if field.type == "float" and field.name not in files.ids else Rule.TEXT
        return Rule.RECBOLE_NUMBER if field.type == "float" else Rule.RECBOLE_TEXT

    table = read_table(path, FileForm(files.separator, files.encoding), choose)
    if not table.columns:
        getLogger().warning(f"No columns has been loaded from [{path.name}]")
        return None
    for name in (files.user, files.item):
        if name in table.columns and table.field(name).type.endswith("_seq"):
            found = table.field(name).type
            raise DataError(f"{path}, line 1: column {name!r} has the type {found}, expected {name}:token")
    return table


def drop_incomplete(table: Table, kind: str, files: FileOptions) -> Table:
    """Drop rows without a user, an item, a label or a time, and log which."""
    needed = {files.user, files.item, *(files.numbers if kind == INTER else ())}
    gone = np.zeros(len(table), dtype=bool)
    for name in (n for n in table.columns if n in needed):
        missing = table.missing(name)
        if missing.any():
            lines = [table.line(int(row)) for row in np.flatnonzero(missing)[:_MOST_LINES]]
            more = "" if missing.sum() <= _MOST_LINES else ", ..."
            getLogger().warning(
                f"{table.path}: {int(missing.sum())} rows have no {name} and are dropped: line"
                f"{'s' if len(lines) > 1 else ''} {', '.join(map(str, lines))}{more}"
            )
            gone |= missing
    return table.take(~gone) if gone.any() else table


def _read_inter(files: FileOptions, path: Path) -> Table:
    if not path.is_file():
        raise DataError(f"{path} does not exist; expected RecBole's atomic file of interactions")
    table = read_columns(path, INTER, files)
    for column in (files.user, files.item):
        if table is None or column not in table.columns:
            raise DataError(
                f"{path} has no column {column!r}, or load_col omits it; "
                f"found {', '.join(f.name for f in table.header) if table else 'no column that load_col names'}"
            )
    assert table is not None
    _refuse_ids(table, files.user, files.item)
    _refuse_times(table, files.time)
    return drop_incomplete(table, INTER, files)


def _read_side(files: FileOptions, path: Path, kind: str, column: str) -> Table | None:
    table = read_columns(path, kind, files) if path.is_file() else None
    if table is None:
        return None
    if column not in table.columns:
        raise DataError(f"{path} has no column {column!r}, or load_col omits it; expected one to tell rows apart")
    _refuse_ids(table, column)
    return first_rows(drop_incomplete(table, kind, files), column)


def wrong_ids(ids: Tokens) -> dict[int, str]:
    """Ids that end in NUL, which numpy would drop (RecBole keeps its names in numpy arrays): row -> what is wrong."""
    wrong = [code for code, name in enumerate(ids.names) if name.endswith("\0")]
    rows: list[int] = np.flatnonzero(np.isin(ids.codes, wrong)).tolist() if wrong else []
    return {row: f"found {ids[row]!r}, expected an id that does not end in a NUL character" for row in rows}


def wrong_times(times: np.ndarray) -> dict[int, str]:
    """Times that float64 may not tell from their neighbours: row -> what is wrong."""
    return {
        int(
            row
        ): f"found {times[row]:.0f}, expected less than 2**53, above which neighbouring times become equal; write "
        "seconds or milliseconds"
        for row in np.flatnonzero(np.abs(times) >= _EXACT)
    }


def _refuse_ids(table: Table, *columns: str) -> None:
    for column in columns:
        _refuse_first(table, column, wrong_ids(table.texts(column)))


def _refuse_times(table: Table, column: str | None) -> None:
    if column is not None and column in table.columns:
        _refuse_first(table, column, wrong_times(table.numbers(column)))


def _refuse_first(table: Table, column: str, wrong: Mapping[int, str]) -> None:
    if wrong:
        row = min(wrong)
        raise DataError(f"{table.path}, line {table.line(row)}: column {column}: {wrong[row]}")


def _check_label(inter: Table, label: LabelRule) -> None:
    if label.column not in inter.columns and label.column in {field.name for field in inter.header}:
        raise DataError(
            f"threshold: {inter.path} has the column {label.column!r}, and load_col does not name it; name all columns "
            'that are to be read, e.g. --load_col="{inter: [user_id, item_id, rating, timestamp]}"'
        )
    if label.column not in inter.columns:
        raise DataError(
            f"threshold: {inter.path} has no column {label.column!r}; found "
            f"{', '.join(field.name for field in inter.header)}. Name the column that says what is liked, and from "
            'which value on, e.g. --threshold="{liked: 1}"'
        )


def _warn_of_zeros(inter: Table, label: LabelRule, settled: bool) -> None:
    """Warn that zeros count as dislikes: in some datasets they mean "not rated".

    Args:
        settled: whether a filter says which values count.
    """
    values = inter.numbers(label.column)
    zeros = values == 0
    has_grades = (np.unique(values[~zeros]).size > 1) and zeros.any()  # a column of 0 and 1 says what is disliked
    in_doubt = label.least > 0 and has_grades and values[~zeros].min(initial=np.inf) >= 1
    if in_doubt and not settled:
        option = f"--val_interval=\"{{{label.column}: '[1,inf)'}}\""
        getLogger().warning(
            f"{inter.path}: {int(zeros.sum())} of {len(values)} rows have {label.column} 0 and count as "
            f"dislikes; if 0 means 'not rated' here, drop them with {option}"
        )


_ALL = "[0,inf)"
"""RecBole's own default for the last two filters."""


def _say_unfiltered(filters: FilterSettings) -> None:
    """Warn that filters have no effect on pre-split files, in RecBole as here."""
    given = {
        "rm_dup_inter": filters.keep_duplicate,
        "val_interval": filters.values or None,
        "user_inter_num_interval": filters.user_counts,
        "item_inter_num_interval": filters.item_counts,
    }
    idle = [name for name, value in given.items() if value not in (None, _ALL)]
    if idle:
        getLogger().warning(f"{', '.join(idle)}: no effect on pre-split files (benchmark_filename)")


def _interactions(files: FileOptions, inter: Table, label: LabelRule, plain_ids: bool) -> Interactions:
    values = inter.numbers(label.column)
    times = None if files.time is None or files.time not in inter.columns else inter.numbers(files.time)
    users, items = inter.texts(files.user), inter.texts(files.item)
    return Interactions(users, items, label.labels(values), times, values, plain_ids)
