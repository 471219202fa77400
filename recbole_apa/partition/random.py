"""Random shards: as in SISA, and the paper's ablation."""

from collections.abc import Sequence

from torch import Tensor

from recbole_apa.core.seeding import hash_order
from recbole_apa.partition.assignment import Partition, check_partition_input
from recbole_apa.partition.centres import with_member_means
from recbole_apa.partition.partitioner import Partitioner, register_partition


@register_partition
class RandomPartitioner(Partitioner):
    """Samples in order of a hash of (seed, sample id), dealt out in turn: sizes differ by at most one.

    The centres are the members' means (the global mean for an empty shard), for the ``semantic`` weight rule.
    """

    name = "random"
    takes_capacity = True

    def __call__(self, ids: Sequence[str], embeddings: Tensor, n_shards: int, capacity: int, seed: int) -> Partition:
        """See :class:`~recbole_apa.partition.partitioner.Partitioner`."""
        check_partition_input(ids, embeddings, n_shards, capacity)
        shard_of = {ids[i]: place % n_shards for place, i in enumerate(hash_order(ids, seed, "partition"))}
        return with_member_means(shard_of, ids, embeddings, n_shards)
