"""A dataset's files -> the rows that a run may see: read strictly, forgotten rows hidden, then filtered.

Knows RecBole's options. All interactions are loaded here, from one file or from pre-split ones.
"""

from dataclasses import dataclass
from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from recbole.utils import FeatureSource

from recbole_apa.core.errors import DataError
from recbole_apa.data.filters import FilterSettings, Tables, filter_tables, first_rows
from recbole_apa.data.reader import Table, concat
from recbole_apa.data.recbole_tables import declare, drop_incomplete, read_feat
from recbole_apa.data.samples import Interactions
from recbole_apa.data.splits import SPLITS
from recbole_apa.data.visible_data import VisibleData

if TYPE_CHECKING:
    from recbole.config import Config

    from recbole_apa.data.dataset import APADataset


@dataclass(frozen=True)
class Loaded:
    """What was read."""

    tables: Tables
    """The tables after hiding and filtering."""
    raw: Interactions
    """All visible interactions, before any filter: requests are looked up here."""
    rows: Interactions
    """The interactions after the filters: samples are made from these."""
    shown: np.ndarray
    """Which rows of the files are visible, bool, before any filter."""
    part_of: np.ndarray | None
    """For pre-split files: the index in ``SPLITS`` of each of ``rows``, (n,)."""


def load_dataset(dataset: "APADataset", name: str, folder: Path, visible_data: VisibleData) -> Loaded:
    """Read ``name.inter`` (or ``name.train.inter`` and so on), ``name.item`` and ``name.user`` in ``folder``.

    Args:
        dataset: RecBole's dataset, with its configuration and column names; the columns are declared to it.

    Raises:
        DataError: files or columns are missing, or the reader rejects a file.
    """
    inter, part_of = _read_interactions(dataset, name, folder)
    label = _LabelRule(dataset, inter)
    seen = visible_data.visible(_interactions(dataset, inter, label, visible_data.plain_ids))
    inter, part_of = inter.take(seen), None if part_of is None else part_of[seen]
    raw = _interactions(dataset, inter, label, visible_data.plain_ids)
    users = _read_side(dataset, folder / f"{name}.user", FeatureSource.USER, dataset.uid_field)
    items = _read_side(dataset, folder / f"{name}.item", FeatureSource.ITEM, dataset.iid_field)
    tables = Tables(inter, users, items)
    if not len(inter):
        raise DataError(f"{inter.path}: no interaction is left")
    label.warn_of_zeros(inter, filtered=part_of is None)
    if part_of is None:
        tables = filter_tables(tables, filter_settings(dataset))
    else:
        _say_unfiltered(dataset.config)
    rows = raw if tables.inter is inter else _interactions(dataset, tables.inter, label, visible_data.plain_ids)
    return Loaded(tables, raw, rows, seen, part_of)


def filter_settings(dataset: "APADataset") -> FilterSettings:
    """RecBole's filtering options."""
    config = dataset.config
    return FilterSettings(
        user=dataset.uid_field,
        item=dataset.iid_field,
        time=dataset.time_field,
        keep_duplicate=config["rm_dup_inter"],
        values=config["val_interval"] or {},
        known_only=config["filter_inter_by_user_or_item"] is True,
        user_counts=config["user_inter_num_interval"],
        item_counts=config["item_inter_num_interval"],
    )


_EXACT = 2**53
"""Whole numbers below this are exact in float64."""
_ALL = "[0,inf)"
"""RecBole's own default for the last two filters."""
_FILTERS = ("rm_dup_inter", "val_interval", "user_inter_num_interval", "item_inter_num_interval")


def _say_unfiltered(config: "Config") -> None:
    """Warn that filters have no effect on pre-split files, in RecBole as here."""
    idle = [name for name in _FILTERS if config[name] not in (None, _ALL)]
    if idle:
        getLogger().warning(f"{', '.join(idle)}: no effect on pre-split files (benchmark_filename)")


def _read_interactions(dataset: "APADataset", name: str, folder: Path) -> tuple[Table, np.ndarray | None]:
    """The rows of all files, and the split of each row if the files are pre-split."""
    split = dataset.config["benchmark_filename"]
    if split is None:
        return _read_file(dataset, folder / f"{name}.inter"), None
    tables = [_read_file(dataset, folder / f"{name}.{part}.inter") for part in split]
    parts = np.repeat(np.arange(len(SPLITS), dtype=np.int8), [len(table) for table in tables])
    return concat(folder / f"{name}.*.inter", tables), parts


def _read_file(dataset: "APADataset", path: Path) -> Table:
    if not path.is_file():
        raise DataError(f"{path} does not exist; expected RecBole's atomic file of interactions")
    table = read_feat(dataset, path, FeatureSource.INTERACTION, strict_features=True)
    for column in (dataset.uid_field, dataset.iid_field):
        if table is None or column not in table.columns:
            raise DataError(
                f"{path} has no column {column!r}, or load_col omits it; "
                f"found {', '.join(f.name for f in table.header) if table else 'no column that load_col names'}"
            )
    assert table is not None
    _refuse_ids(table, dataset.uid_field, dataset.iid_field)
    _refuse_times(table, dataset.time_field)
    declare(dataset, table, FeatureSource.INTERACTION)
    return drop_incomplete(dataset, table, FeatureSource.INTERACTION)


def _refuse_ids(table: Table, *columns: str) -> None:
    """Reject ids that end in NUL, which numpy would drop: RecBole keeps its names in numpy arrays."""
    for column in columns:
        wrong = [code for code, name in enumerate(table.texts(column).names) if name.endswith("\0")]
        if wrong:
            row = int(np.flatnonzero(table.texts(column).codes == wrong[0])[0])
            raise DataError(
                f"{table.path}, line {table.line(row)}: column {column}: found {table.texts(column)[row]!r}, expected "
                "an id that does not end in a NUL character"
            )


def _refuse_times(table: Table, column: str) -> None:
    if column not in table.columns:
        return
    large = np.flatnonzero(np.abs(table.numbers(column)) >= _EXACT)
    if len(large):
        row = int(large[0])
        raise DataError(
            f"{table.path}, line {table.line(row)}: column {column}: found {table.numbers(column)[row]:.0f}, expected "
            "less than 2**53, above which neighbouring times become equal; write seconds or milliseconds"
        )


def _read_side(dataset: "APADataset", path: Path, source: FeatureSource, column: str) -> Table | None:
    """The table that describes users, or items; None if there is no such file."""
    table = read_feat(dataset, path, source, strict_features=True) if path.is_file() else None
    if table is None:
        return None
    if column not in table.columns:
        raise DataError(f"{path} has no column {column!r}, or load_col omits it; expected one to tell rows apart")
    _refuse_ids(table, column)
    declare(dataset, table, source)
    return first_rows(drop_incomplete(dataset, table, source), column)


class _LabelRule:
    """Labels from RecBole's ``threshold``."""

    def __init__(self, dataset: "APADataset", inter: Table) -> None:
        ((self.column, self.least),) = dataset.config["threshold"].items()  # checked with the settings
        if self.column not in inter.columns:
            raise DataError(
                f"threshold: {inter.path} has no column {self.column!r}, or load_col omits it; found "
                f"{', '.join(field.name for field in inter.header)}"
            )
        self.settled = self.column in (dataset.config["val_interval"] or {})

    def warn_of_zeros(self, inter: Table, filtered: bool) -> None:
        """Warn that zeros count as dislikes: in some datasets they mean "not rated"."""
        values = inter.numbers(self.column)
        zeros = values == 0
        in_doubt = self.least > 0 and zeros.any() and values[~zeros].min(initial=np.inf) >= 1
        if in_doubt and not (self.settled and filtered):
            option = f"--val_interval=\"{{{self.column}: '[1,inf)'}}\""
            getLogger().warning(
                f"{inter.path}: {int(zeros.sum())} of {len(values)} rows have {self.column} 0 and count as "
                f"dislikes; if 0 means 'not rated' here, drop them with {option}"
            )


def _interactions(dataset: "APADataset", inter: Table, label: _LabelRule, plain_ids: bool) -> Interactions:
    values = inter.numbers(label.column)
    times = inter.numbers(dataset.time_field) if dataset.time_field in inter.columns else None
    labels = (values >= label.least).astype(np.int64)
    users, items = inter.texts(dataset.uid_field), inter.texts(dataset.iid_field)
    return Interactions(users, items, labels, times, values, plain_ids)
