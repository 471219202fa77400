"""Shards of users, items or interactions that are similar in a collaborative model, with samples following their unit:
the common part of RecEraser's and GraphEraser's partitions.

Shapes: n samples, m units, k shards, c size of the collaborative embeddings.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from recbole_apa.core.errors import PartitionError
from recbole_apa.partition.assignment import Partition, check_partition_input
from recbole_apa.partition.balanced_kmeans import balanced_kmeans, random_anchors
from recbole_apa.partition.centres import with_member_means
from recbole_apa.partition.partitioner import Collaborative, Partitioner


class CollaborativePartitioner(Partitioner):
    """A partition that uses a collaborative model.

    The papers' capacities count units (users, items, interactions), so shards differ in their number of samples, and
    ``capacity``, which counts samples, is ignored.

    Args:
        known: the collaborative model of the samples to be divided.
    """

    takes_capacity = False
    needs_collaborative = True

    def __init__(self, known: Collaborative) -> None:
        self.known = known

    @classmethod
    def made_with(cls, known: Collaborative | None) -> Partitioner:
        """See :class:`~recbole_apa.partition.partitioner.Partitioner`.

        Raises:
            PartitionError: there is no collaborative model.
        """
        if known is None:
            raise PartitionError(f"partition: {cls.name} needs a collaborative model, found none")
        return cls(known)

    def __call__(self, ids: Sequence[str], embeddings: Tensor, n_shards: int, capacity: int, seed: int) -> Partition:
        """See :class:`~recbole_apa.partition.partitioner.Partitioner`; the centres are the members' means of h."""
        check_partition_input(ids, embeddings, n_shards, len(ids))
        missing = [name for name in ids if name not in self.known.user_of]
        if missing:
            raise PartitionError(f"the collaborative model knows nothing of {len(missing)} samples, e.g. {missing[0]}")
        return with_member_means(self.assign(sorted(ids), n_shards, seed), ids, embeddings, n_shards)

    @abstractmethod
    def assign(self, ids: Sequence[str], n_shards: int, seed: int) -> dict[str, int]:
        """Sample id -> shard.

        Args:
            ids: sorted sample ids, all of them known to the model.
        """


def by_unit(
    unit_of: Mapping[str, str],
    vectors: Mapping[str, Tensor],
    n_shards: int,
    seed: int,
    capacity: Callable[[int, int], int],
    iterations: int,
) -> dict[str, int]:
    """Balanced k-means over the units of samples; each sample follows its unit.

    Args:
        unit_of: sample id -> unit.
        vectors: unit -> (c,).
        capacity: (m, k) -> the most units a shard may have.
        iterations: the most rounds.
    """
    units = sorted(set(unit_of.values()))
    table = torch.stack([vectors[unit] for unit in units])
    anchors = random_anchors(units, table, n_shards, seed)
    shards, _ = balanced_kmeans(units, table, anchors, capacity(len(units), n_shards), iterations)
    return {name: shards[unit] for name, unit in unit_of.items()}
