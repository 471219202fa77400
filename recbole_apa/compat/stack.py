"""Repairs without which RecBole does not work, or is silently wrong, on today's numpy, pandas and scipy.

Each function takes the RecBole module to repair; results on the older libraries are unchanged.
"""

import builtins
import functools
import multiprocessing
import warnings
from collections.abc import Sized
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from recbole.config import Config
    from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader
    from recbole.data.dataset import Dataset

# RecBole's own modules, not others whose names start the same
_RECBOLE = r"recbole(\.|$)"

# the names RecBole uses, and what they meant before numpy 2
_NAMES = {
    "bool": np.bool_,
    "int": np.int_,
    "float": np.float64,
    "complex": np.complex128,
    "object": np.object_,
    "str": np.str_,
    "long": np.int_,
    "unicode": np.str_,
}


def numpy_names(module: ModuleType) -> None:
    """``Config.compatibility_settings``: restore names that numpy removed, and read none that is gone."""

    def compatibility_settings(self: "Config") -> None:
        for name, kind in _NAMES.items():
            # numpy warns about some old names even when hasattr looks them up
            if name not in vars(np):
                setattr(np, name, kind)

    module.Config.compatibility_settings = compatibility_settings


def missing_values(module: ModuleType) -> None:
    """``Dataset._fill_nan``: missing tokens become 0, missing numbers the column's mean, missing lists are empty.

    RecBole fills in place, which in pandas 3 changes only a temporary copy.
    """
    feature_type: Any = vars(module)["FeatureType"]

    def fill_nan(self: "Dataset") -> None:
        for name in self.feat_name_list:
            feat = getattr(self, name)
            for field in feat:
                kind = self.field2type[field]
                if kind == feature_type.TOKEN:
                    feat[field] = feat[field].fillna(value=0)
                elif kind == feature_type.FLOAT:
                    feat[field] = feat[field].fillna(value=feat[field].mean())
                else:
                    feat[field] = _filled(feat[field], np.int64 if kind == feature_type.TOKEN_SEQ else np.float64)

    module.Dataset._fill_nan = fill_nan


def missing_lists(module: ModuleType) -> None:
    """``Dataset._load_feat``, if it is RecBole's own: make missing lists empty before they are split."""
    module.pd = _Pandas()  # type: ignore[attr-defined]


class _Pandas:
    """pandas, with a ``read_csv`` that leaves no list missing."""

    def __getattr__(self, name: str) -> object:
        return getattr(pd, name)

    @staticmethod
    def read_csv(*args: Any, **named: Any) -> pd.DataFrame:
        """``pandas.read_csv``; the header of an atomic file says which columns hold lists."""
        frame = pd.read_csv(*args, **named)
        for name in frame.columns:
            if str(name).endswith("_seq"):
                frame[name] = frame[name].fillna("")
        return frame


def _filled(lists: pd.Series, kind: type) -> pd.Series:
    return lists.apply(lambda values: np.array([], dtype=kind) if isinstance(values, float) else values)


def lengths(module: ModuleType) -> None:
    """``column.agg(len)``: the length of each cell; pandas 3 passes the whole column to ``len``."""

    def length(value: pd.Series | Sized) -> pd.Series | int:
        return value.map(builtins.len) if isinstance(value, pd.Series) else builtins.len(value)

    module.len = length  # type: ignore[attr-defined]


def dok_update(module: ModuleType) -> None:
    """``dok_matrix._update(cells)``: gone since scipy 1.13; cells are a dict from (row, column) to a number."""
    from scipy.sparse import dok_matrix

    if not hasattr(dok_matrix, "_update"):
        dok_matrix._update = lambda matrix, cells: matrix._dict.update(cells)


def quiet(module: ModuleType) -> None:
    """No deprecation warnings from RecBole's own code: its users can do nothing about them."""
    for category in (FutureWarning, DeprecationWarning):
        warnings.filterwarnings("ignore", category=category, module=_RECBOLE)
    warnings.filterwarnings("ignore", message=".*is deprecated", category=UserWarning, module=_RECBOLE)
    warnings.filterwarnings("ignore", message="The given NumPy array is not writable", module=_RECBOLE)
    chained = getattr(pd.errors, "ChainedAssignmentError", None)
    if chained is not None:
        warnings.filterwarnings("ignore", category=chained, module=_RECBOLE)


def forked_workers(module: ModuleType) -> None:
    """Loaders with ``worker`` above 0 fork their processes as before; Python 3.14 would not by default."""
    if "fork" not in multiprocessing.get_all_start_methods() or _usually_forks():
        return
    loader: Any = vars(module)["AbstractDataLoader"]
    own = loader.__init__

    @functools.wraps(own)
    def __init__(self: "AbstractDataLoader", *args: object, **named: object) -> None:
        own(self, *args, **named)
        if self.num_workers:
            self.multiprocessing_context = "fork"

    loader.__init__ = __init__


def _usually_forks() -> bool:
    return multiprocessing.get_context().get_start_method() == "fork"
