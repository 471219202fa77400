"""RecBole's loaders of the three parts of a dataset, and the datasets behind them."""

from typing import NamedTuple

from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader
from recbole.data.dataset import Dataset

from recbole_apa.data.dataloader import ShardingDataLoader
from recbole_apa.data.dataset import APADataset


def dataset_of(loader: AbstractDataLoader) -> Dataset:
    """The dataset behind one of RecBole's loaders, where it is a private attribute."""
    return loader._dataset


def part_of(loader: AbstractDataLoader) -> APADataset:
    """As :func:`dataset_of`, for a loader of APA's."""
    part: APADataset = dataset_of(loader)
    return part


class Loaders(NamedTuple):
    """What RecBole's ``data_preparation`` returns, by name; unpacks in the same order."""

    train: ShardingDataLoader
    valid: AbstractDataLoader
    test: AbstractDataLoader

    @property
    def train_set(self) -> APADataset:
        """The training samples."""
        return part_of(self.train)

    @property
    def valid_set(self) -> APADataset:
        """The validation samples."""
        return part_of(self.valid)

    @property
    def test_set(self) -> APADataset:
        """The test samples."""
        return part_of(self.test)

    @property
    def parts(self) -> tuple[APADataset, APADataset, APADataset]:
        """All three datasets, in this order."""
        return self.train_set, self.valid_set, self.test_set

    @classmethod
    def of(cls, loaders: tuple[AbstractDataLoader, AbstractDataLoader, AbstractDataLoader]) -> "Loaders":
        """Name the members of RecBole's triple."""
        return cls(*loaders)
