"""RecBole's dataset object <- the rows that a run may see: what it is told about the columns that were read."""

from pathlib import Path
from typing import TYPE_CHECKING

from recbole.utils import FeatureSource

from recbole_apa.data.read_data import Loaded, read_data
from recbole_apa.data.recbole_data_options import file_options, filter_settings, label_rule
from recbole_apa.data.recbole_tables import declare
from recbole_apa.data.visible_data import VisibleData

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset


def load_dataset(dataset: "Dataset", name: str, folder: Path, visible_data: VisibleData) -> Loaded:
    """Read ``name.inter`` (or ``name.train.inter`` and so on), ``name.item`` and ``name.user`` in ``folder``.

    Args:
        dataset: RecBole's dataset, with its configuration; the columns are declared to it.

    Raises:
        DataError: files or columns are missing, or the reader rejects a file.
    """
    config = dataset.config
    loaded = read_data(file_options(config), filter_settings(config), label_rule(config), folder / name, visible_data)
    sources = (FeatureSource.INTERACTION, FeatureSource.USER, FeatureSource.ITEM)
    for source, table in zip(sources, (loaded.inter, loaded.left.users, loaded.left.items), strict=True):
        if table is not None:
            declare(dataset, table, source)
    return loaded
