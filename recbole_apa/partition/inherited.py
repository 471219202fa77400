"""The assignment kept after a request: without the forgotten samples, and without centres that depend on them.

A run's centres are means of embeddings, of a single embedding if a shard has one sample. They are not kept: the centres
of an inherited assignment are the means of what remains in each shard.
"""

from collections.abc import Sequence, Set

import torch
from torch import Tensor

from recbole_apa.partition.assignment import Assignment, Partition
from recbole_apa.partition.centres import member_means


def assignment_alone(partition: Partition, left: Set[str]) -> Partition:
    """The shards of the remaining samples; the centres are empty, (k, 0)."""
    shard_of = {name: shard for name, shard in partition.shard_of.items() if name in left}
    return Partition(shard_of, torch.zeros(partition.n_shards, 0))


def complete(partition: Partition, ids: Sequence[str], embeddings: Tensor) -> Partition:
    """The partition itself, or :func:`with_own_centres` if it has no centres."""
    return partition if partition.centres.shape[1] else with_own_centres(partition, ids, embeddings)


def with_own_centres(partition: Assignment | Partition, ids: Sequence[str], embeddings: Tensor) -> Partition:
    """The same assignment with centres: the mean embedding of each shard's members, or of all for an empty shard.

    Args:
        ids: sample ids, (n,), in any order: the result does not depend on it.
        embeddings: h, (n, d).
    """
    order = sorted(range(len(ids)), key=ids.__getitem__)
    shards = [partition.shard_of[ids[i]] for i in order]
    return Partition(dict(partition.shard_of), member_means(shards, embeddings[order], partition.n_shards))
