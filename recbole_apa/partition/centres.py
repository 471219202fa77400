"""Centres that are the means of the shards' members."""

from collections.abc import Mapping, Sequence
from typing import SupportsIndex

import torch
from torch import Tensor

from recbole_apa.partition.assignment import Partition
from recbole_apa.partition.check import checked_shards


def with_member_means(
    shard_of: Mapping[str, SupportsIndex], ids: Sequence[str], embeddings: Tensor, n_shards: int
) -> Partition:
    """A partition with the given assignment, whose centres are the means of the shards' members.

    Args:
        shard_of: sample id -> shard; whole numbers of any type, such as numpy's.
        ids: sample ids, (n,).
        embeddings: h, (n, d).

    Raises:
        PartitionError: as :func:`~recbole_apa.partition.check.checked_shards`.
    """
    kept = checked_shards(shard_of, ids, n_shards, "the assignment")
    return Partition(kept, member_means([kept[name] for name in ids], embeddings, n_shards))


def member_means(shards: Sequence[int], embeddings: Tensor, n_shards: int) -> Tensor:
    """Mean embedding of each shard's members, the global mean for an empty shard: (n,), (n, d) -> (k, d), float32."""
    where = torch.tensor(shards)
    found = set(shards)
    means = [embeddings[where == k].mean(0) if k in found else embeddings.mean(0) for k in range(n_shards)]
    return torch.stack(means).float()
