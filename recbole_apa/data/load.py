"""RecBole's dataset object <- the rows that a run may see: what it is told about the columns that were read."""

from pathlib import Path
from typing import TYPE_CHECKING

from recbole.utils import FeatureSource

from recbole_apa.core.errors import DataError
from recbole_apa.data.index.order import by_place
from recbole_apa.data.index.rows import IndexedRows
from recbole_apa.data.loaded_rows import loaded_of
from recbole_apa.data.read_data import Loaded, read_data, read_sides
from recbole_apa.data.recbole_data_options import data_options, file_options, filter_settings, label_rule
from recbole_apa.data.recbole_tables import declare
from recbole_apa.data.visible_data import VisibleData

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset

    from recbole_apa.data.dataset import APADataset


def load_dataset(dataset: "Dataset", name: str, folder: Path, visible_data: VisibleData) -> Loaded:
    """Read ``name.inter`` (or ``name.train.inter`` and so on), ``name.item`` and ``name.user`` in ``folder``.

    Args:
        dataset: RecBole's dataset, with its configuration; the columns are declared to it.

    Raises:
        DataError: files or columns are missing, or the reader rejects a file.
    """
    config = dataset.config
    loaded = read_data(file_options(config), filter_settings(config), label_rule(config), folder / name, visible_data)
    _declare_all(dataset, loaded)
    return loaded


def load_indexed(
    dataset: "APADataset", name: str, folder: Path, indexed: IndexedRows, visible_data: VisibleData
) -> Loaded:
    """Like :func:`load_dataset`, with the interactions of a run's index.

    Raises:
        DataError: no interaction is left, or the reader rejects a file.
    """
    options = data_options(dataset.config, dataset.settings)
    if not len(indexed.rows):
        raise DataError(f"{folder}: no interaction is left")
    sides = read_sides(options.files, folder / name)
    loaded = loaded_of(by_place(indexed.rows), options, sides, visible_data.plain_ids, indexed.filtered)
    _declare_all(dataset, loaded)
    return loaded


def _declare_all(dataset: "Dataset", loaded: Loaded) -> None:
    sources = (FeatureSource.INTERACTION, FeatureSource.USER, FeatureSource.ITEM)
    for source, table in zip(sources, (loaded.inter, loaded.left.users, loaded.left.items), strict=True):
        if table is not None:
            declare(dataset, table, source)
