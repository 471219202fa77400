"""RecBole's ``Dataset._load_feat`` (1.2.0, ``data/dataset/dataset.py:427``) through our strict reader.

Repairs: texts such as ``NA`` read as missing ids, quotation marks that join lines, byte order marks, missing labels and
times filled with the column's mean, an empty id that drops another row (``_filter_nan_user_or_item`` confuses labels
with positions), and a threshold applied to internal ids if numbers are declared as tokens. Ids, label and time are
read strictly; in other columns RecBole still fills in missing values.
"""

from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pandas as pd

from recbole_apa.data.recbole_tables import declare, frame_of, read_feat

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset
    from recbole.utils import FeatureSource


def apply(module: ModuleType) -> None:
    """Replace ``_load_feat`` of ``recbole.data.dataset.dataset.Dataset``; the original is kept as well."""
    dataset: Any = module.Dataset
    if not hasattr(dataset, "recbole_load_feat"):
        dataset.recbole_load_feat = dataset._load_feat
        dataset._load_feat = load_feat


def load_feat(dataset: "Dataset", filepath: str, source: "FeatureSource | str") -> pd.DataFrame | None:
    """RecBole's ``_load_feat``: read a file, declare its columns, and leave out rows without id, label or time.

    Raises:
        DataError: the reader rejects the file.
    """
    table = read_feat(dataset, Path(filepath), source, strict_features=False)
    if table is None:
        return None
    declare(dataset, table, source)
    return frame_of(dataset, table)
