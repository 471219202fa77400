"""RecBole's loaders of a dataset."""

from logging import getLogger
from typing import TYPE_CHECKING

from recbole_apa.data.index.rows import IndexedRows
from recbole_apa.data.visible_data import VisibleData

if TYPE_CHECKING:
    from recbole_apa.data.loaders import Loaders
    from recbole_apa.pipeline.config import APAConfig


def build_data(
    config: "APAConfig",
    visible_data: VisibleData | None = None,
    told: bool = True,
    indexed: IndexedRows | None = None,
) -> "Loaders":
    """RecBole's loaders (train, valid, test).

    Args:
        visible_data: what may be seen of the dataset's files; None for everything.
        told: whether to log a description of the dataset.
        indexed: the rows of the run's index, instead of those of its files.
    """
    from recbole.data import data_preparation
    from recbole.utils import init_seed

    from recbole_apa.data.loaders import Loaders
    from recbole_apa.pipeline.datasets import make_dataset

    # a random split draws from the global generators
    init_seed(config["seed"], config["reproducibility"])
    dataset = make_dataset(config, visible_data, indexed)
    if told:
        getLogger().info(dataset)
    return Loaders(*data_preparation(config, dataset))
