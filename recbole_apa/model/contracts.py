"""What a training is given besides model and data, as protocols: this room knows neither workers nor requests."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from recbole_apa.adapters.bank import Factors
from recbole_apa.adapters.training import ShardHistory
from recbole_apa.data.dataloader import ShardBatches
from recbole_apa.data.dataset import APADataset
from recbole_apa.data.visible_data import VisibleData
from recbole_apa.evidence import Key
from recbole_apa.partition import Collaborative, Partition
from recbole_apa.runs.reuse import ReusableState

Log = Callable[[str, float, int], None]
"""Takes name, value and step of a training loss."""


class ShardUpdate(Protocol):
    """What updates a trained adapter instead of training it again."""

    def key(self, exact: str) -> str:
        """What the record of an updated shard is known by, given what a trained one's would be."""
        ...

    def update(self, shard: int, batches: ShardBatches) -> tuple[Factors, ShardHistory]:
        """The updated adapter of a shard."""
        ...


class WorkerPool(Protocol):
    """Workers that do parts of a training: :mod:`recbole_apa.pipeline.workers`."""

    is_elsewhere: bool
    """Whether they are no processes of this machine: then even a single shard is theirs."""
    embeds: bool
    """Whether frozen passes and scores are theirs, too."""

    def see(self, visible_data: VisibleData) -> None:
        """What they may see of the dataset."""
        ...

    def train(self, partition: Partition, shards: Sequence[int]) -> Iterator[tuple[int, Factors, ShardHistory, float]]:
        """Train shards: each as it is done, with the seconds that it took."""
        ...

    def embed(self, split: str, rows: Sequence[int], step: int, title: str) -> Iterator[tuple[Sequence[int], Tensor]]:
        """Embeddings of some samples of a split: rows, and theirs, (n, d)."""
        ...

    def score(
        self, split: str, rows: Sequence[int], which: Sequence[int], adapters: Sequence[Factors | None], step: int
    ) -> Iterator[tuple[Sequence[int], Tensor]]:
        """Scores of some samples of a split by adapters alone: rows, and theirs, (n, len(which))."""
        ...

    def close(self) -> None:
        """End all workers."""
        ...


@dataclass(frozen=True)
class FitInputs:
    """What a training is given besides model, data and a place."""

    reuse: ReusableState | None = None
    """The state that the one to be trained follows; what it proves to be unaffected is not computed again."""
    collaborative: Callable[[str, APADataset], Collaborative] | None = None
    """(partition, training dataset) -> what the partitions of users and items look at."""
    shard_update: ShardUpdate | None = None
    """Updates the adapters of affected shards; None trains them again."""
    pool: WorkerPool | None = None
    """Workers that share the work; None does all of it here."""
    key: Key | None = None
    """With which the state's digests are keyed; None where nothing was forgotten."""
    records_follow: bool = False
    """Whether the caller evaluates and writes records afterwards: the run counts as interrupted until then."""
    writes_board: bool = True
    """Whether losses are logged for tensorboard."""


NO_INPUTS = FitInputs()
"""A training by itself."""
