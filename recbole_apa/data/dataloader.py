"""Training batches of one shard, in an order that does not depend on other samples."""

from collections.abc import Iterator, Sequence

from recbole.data.dataloader import TrainDataLoader
from recbole.data.interaction import Interaction

from recbole_apa.core.places import FIRST, Place
from recbole_apa.core.seeding import hash_order
from recbole_apa.data.samples import Sample


class Batches:
    """The batches of one shard.

    Args:
        table: all training samples.
        positions: the shard's rows in ``table``.
        sample_ids: the shard's samples, parallel to ``positions``.
    """

    def __init__(
        self, table: Interaction, positions: Sequence[int], sample_ids: Sequence[str], batch_size: int, seed: int
    ) -> None:
        self.table = table
        self.positions = list(positions)
        self.sample_ids = list(sample_ids)
        self.batch_size = batch_size
        self.seed = seed

    def __len__(self) -> int:
        """Batches per epoch."""
        return -(-len(self.positions) // self.batch_size)

    def epoch(self, epoch: int, place: Place = FIRST) -> Iterator[Interaction]:
        """One pass, sorted by a hash of (seed, epoch, sample id); in later places of a shard, of their numbers as
        well."""
        order = hash_order(self.sample_ids, self.seed, *place.names, "epoch", epoch)
        for start in range(0, len(order), self.batch_size):
            yield self.table[[self.positions[i] for i in order[start : start + self.batch_size]]]


class ShardBatches(Batches):
    """The same, with the samples themselves.

    Args:
        samples: the shard's samples, parallel to ``positions``.
    """

    def __init__(
        self, table: Interaction, positions: Sequence[int], samples: Sequence[Sample], batch_size: int, seed: int
    ) -> None:
        super().__init__(table, positions, [sample.sample_id for sample in samples], batch_size, seed)
        self.samples = list(samples)


class ShardingDataLoader(TrainDataLoader):
    """RecBole's training loader, which can also give the batches of single shards."""

    def shard(self, sample_ids: Sequence[str], batch_size: int, seed: int) -> ShardBatches:
        """The batches of the given samples."""
        part = self._dataset
        place = {sample.sample_id: i for i, sample in enumerate(part.samples)}
        positions = [place[name] for name in sample_ids]
        return ShardBatches(part.labelled, positions, [part.samples[i] for i in positions], batch_size, seed)
