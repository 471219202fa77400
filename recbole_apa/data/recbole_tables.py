"""Between the strict reader and RecBole: which columns its options select, and tables in its form."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from recbole.utils import FeatureSource, FeatureType

from recbole_apa.core.errors import DataError
from recbole_apa.data.data_options import FileOptions
from recbole_apa.data.read_data import Loaded, drop_incomplete, read_columns
from recbole_apa.data.reader import RECBOLE_MISSING, Rule, Table
from recbole_apa.data.recbole_data_options import file_options
from recbole_apa.data.tokens import Tokens

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset


def read_feat(dataset: "Dataset", path: Path, source: FeatureSource | str, strict_features: bool) -> Table | None:
    """The columns that the configuration selects; None if it selects none. Rows without an id, label or time are
    dropped.

    Args:
        strict_features: whether to read columns other than ids, label and time strictly, too.
    """
    kind, files = str(getattr(source, "value", source)), file_options(dataset.config)
    table = read_columns(path, kind, files, strict_features)
    return None if table is None else drop_incomplete(table, kind, files)


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


def first_rows_of_ids(loaded: Loaded, files: FileOptions) -> np.ndarray:
    """The rows left by the filters where a user or an item appears first, by number, ascending.

    RecBole numbers names in order of first appearance, so it gives each the same number as if it saw all rows.
    """
    ids = [loaded.inter.columns[name] for name in files.ids if name in loaded.inter.columns]
    if any(loaded.inter.field(name).type.endswith("_seq") for name in files.ids if name in loaded.inter.columns):
        return np.arange(len(loaded.rows))  # lists of names: any row may bring a new one
    first = [column.take(loaded.left.rows).firsts() for column in ids if isinstance(column, Tokens)]
    return np.unique(np.concatenate(first))


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
