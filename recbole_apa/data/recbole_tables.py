"""Between the strict reader and RecBole: which columns its options select, and tables in its form."""

from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from recbole.utils import FeatureSource, FeatureType

from recbole_apa.core.errors import DataError
from recbole_apa.data.reader import RECBOLE_MISSING, Field, FileForm, Rule, Table, read_table
from recbole_apa.data.tokens import Tokens

if TYPE_CHECKING:
    from recbole.config import Config
    from recbole.data.dataset import Dataset

_MOST_LINES = 10


def file_form(config: "Config") -> FileForm:
    """The file format that a configuration sets."""
    return FileForm(config["field_separator"], config["encoding"])


def read_feat(dataset: "Dataset", path: Path, source: FeatureSource | str, strict_features: bool) -> Table | None:
    """The columns that the configuration selects; None if it selects none.

    Args:
        strict_features: whether to read columns other than ids, label and time strictly, too.
    """
    load, unload = dataset._get_load_and_unload_col(source)
    if load == set():
        return None
    numbers = _numbers(dataset.config) if _is_interactions(source) else set()
    ids = _ids(dataset)

    def choose(field: Field) -> Rule | None:
        if (load is not None and field.name not in load) or (unload is not None and field.name in unload):
            return None
        if field.name in numbers:
            return Rule.NUMBER
        if strict_features or field.name in ids:
            return Rule.NUMBER if field.type == "float" and field.name not in ids else Rule.TEXT
        return Rule.RECBOLE_NUMBER if field.type == "float" else Rule.RECBOLE_TEXT

    table = read_table(path, file_form(dataset.config), choose)
    if not table.columns:
        getLogger().warning(f"No columns has been loaded from [{source}]")
        return None
    for name in (dataset.uid_field, dataset.iid_field):
        if name in table.columns and table.field(name).type.endswith("_seq"):
            kind = table.field(name).type
            raise DataError(f"{path}, line 1: column {name!r} has the type {kind}, expected {name}:token")
    return table


def _ids(dataset: "Dataset") -> set[str]:
    """Columns that hold users or items, or lists of them."""
    aliases = [name for kind in ("user_id", "item_id") for name in dataset.config[f"alias_of_{kind}"] or []]
    return {dataset.uid_field, dataset.iid_field, *aliases}


def _is_interactions(source: FeatureSource | str) -> bool:
    return getattr(source, "value", source) == "inter"


def _numbers(config: "Config") -> set[str]:
    """Columns that hold labels or times, whatever type the header declares."""
    threshold = config["threshold"]
    return {config["LABEL_FIELD"], config["TIME_FIELD"], *(threshold if isinstance(threshold, dict) else ())}


def declare(dataset: "Dataset", table: Table, source: FeatureSource | str) -> None:
    """Declare the columns to RecBole, as its own ``_load_feat`` does."""
    for name, rule in table.rules.items():
        if not isinstance(source, FeatureSource) and source == "link":
            continue
        declared = table.field(name).type
        # an id is a text, whatever type the header declares
        kind = FeatureType("float" if rule.is_number else "token" if declared == "float" else declared)
        dataset.field2source[name] = source
        dataset.field2type[name] = kind
        if not kind.value.endswith("seq"):
            dataset.field2seqlen[name] = 1
        if "float" in kind.value:
            dataset.field2bucketnum[name] = 2


def drop_incomplete(dataset: "Dataset", table: Table, source: FeatureSource | str) -> Table:
    """Drop rows without a user, an item, a label or a time, and log which."""
    needed = {dataset.uid_field, dataset.iid_field, *(_numbers(dataset.config) if _is_interactions(source) else ())}
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


def frame_of(dataset: "Dataset", table: Table) -> pd.DataFrame:
    """The table as RecBole's ``_load_feat`` would return it."""
    columns = {name: _cells(dataset, table, name) for name in table.columns}
    return pd.DataFrame(columns, index=pd.RangeIndex(len(table)))


def _cells(dataset: "Dataset", table: Table, name: str) -> np.ndarray | pd.Series:
    column, rule = table.columns[name], table.rules[name]
    if isinstance(column, np.ndarray):
        return column
    kind = table.field(name).type
    if kind.endswith("_seq"):
        return _sequences(dataset, column, rule, name, kind == "float_seq", table)
    names = column.objects()
    missing = table.missing(name)
    out = names[column.codes]
    if missing.any():
        out[missing] = np.nan
    return out


def _sequences(dataset: "Dataset", column: Tokens, rule: Rule, name: str, is_float: bool, table: Table) -> pd.Series:
    """One array per row, cut to ``seq_len``; each distinct text is parsed once."""
    mark = dataset.config["seq_separator"]
    lengths = dataset.config["seq_len"] or {}
    empty = column.names if rule is Rule.TEXT else ["" if t in RECBOLE_MISSING else t for t in column.names]
    parts = [[part for part in text.split(mark) if part] for text in empty]
    arrays = [_array(words, is_float, name, table) for words in parts]
    longest = max((len(arrays[code]) for code in np.unique(column.codes)), default=0)
    most = min(lengths.get(name, longest), longest)
    dataset.field2seqlen[name] = most
    cut = np.empty(len(arrays), dtype=object)
    for i, array in enumerate(arrays):
        cut[i] = array[:most]
    return pd.Series(list(cut[column.codes]), dtype=object, index=pd.RangeIndex(len(column)))


def _array(words: list[str], is_float: bool, name: str, table: Table) -> np.ndarray:
    if not is_float:
        return np.array(words)
    try:
        return np.array(list(map(float, words)))
    except ValueError as error:
        raise DataError(f"{table.path}, column {name}: {error}; expected numbers separated by blanks") from None
