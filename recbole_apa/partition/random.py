"""Shards drawn by lot: what SISA does, and the paper's ablation."""

from collections.abc import Sequence

import torch
from torch import Tensor

from recbole_apa.core.seeding import hash_order
from recbole_apa.partition.assignment import Partition, check_partition_input


class RandomPartitioner:
    """Samples in order of a hash of (seed, sample id), dealt out in turn: sizes differ by one at most.

    The centres are the members' means (the global mean for an empty shard), for the ``semantic`` weight rule.
    """

    def __call__(self, ids: Sequence[str], embeddings: Tensor, n_shards: int, capacity: int, seed: int) -> Partition:
        """See :class:`~recbole_apa.partition.assignment.Partitioner`."""
        check_partition_input(ids, embeddings, n_shards, capacity)
        shard_of = {ids[i]: place % n_shards for place, i in enumerate(hash_order(ids, seed, "partition"))}
        return Partition(shard_of, member_means([shard_of[name] for name in ids], embeddings, n_shards))


def member_means(shards: Sequence[int], embeddings: Tensor, n_shards: int) -> Tensor:
    """Mean embedding of each shard's members, the global mean for an empty shard: (n,), (n, d) -> (k, d), float32."""
    where = torch.tensor(shards)
    means = [embeddings[where == k].mean(0) if k in shards else embeddings.mean(0) for k in range(n_shards)]
    return torch.stack(means).float()
