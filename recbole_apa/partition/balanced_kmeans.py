"""Balanced k-means over units (users, items), used by RecEraser's UBP and GraphEraser's BEKM.

Shapes: m units, k shards, d embedding size.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from recbole_apa.core.errors import PartitionError
from recbole_apa.core.seeding import hash_order
from recbole_apa.partition.bounded import assign_by_distance

_BLOCK_NUMBERS = 2**24  # of the differences that are held at once, (block, k, d): 128 MB


def squared_distances(vectors: Tensor, anchors: Tensor) -> Tensor:
    """||v - a||^2: (m, d), (k, d) -> (m, k), float64."""
    wide = anchors.double()[None]  # (1, k, d)
    block = max(1, _BLOCK_NUMBERS // max(1, anchors.numel()))
    return torch.cat([((part.double()[:, None] - wide) ** 2).sum(2) for part in vectors.split(block)])


def balanced_kmeans(
    names: Sequence[str],
    vectors: Tensor,
    anchors: Tensor,
    capacity: int,
    iterations: int,
    distance: Callable[[Tensor, Tensor], Tensor] = squared_distances,
) -> tuple[dict[str, int], Tensor]:
    """Assign greedily from near to far under a capacity, move each anchor to the mean *vector* of its members, repeat.

    Source: RecEraser (Chen et al., WWW'22, section 4.2) and GraphEraser (Chen et al., CCS'22, Algorithm 2). RecEraser's
    released code takes the mean over all coordinates, a scalar; here it is a vector.

    Args:
        names: unit names, (m,), all different.
        vectors: (m, d).
        anchors: the initial anchors, (k, d).
        capacity: the most units a shard may have.
        iterations: the most rounds; ends earlier if nothing moves.
        distance: (m, d), (k, d) -> (m, k).

    Returns:
        unit -> shard, and the final anchors.

    Raises:
        PartitionError: too little capacity.
    """
    if capacity * len(anchors) < len(names):
        raise PartitionError(
            f"{len(anchors)} shards of at most {capacity} users or items hold {capacity * len(anchors)}, fewer than "
            f"the {len(names)} there are; raise the capacity or n_shards"
        )
    by_name = sorted(range(len(names)), key=names.__getitem__)
    shard_of: dict[str, int] = {}
    for _ in range(iterations):
        found = assign_by_distance(names, distance(vectors, anchors), capacity)
        if found == shard_of:
            break
        shard_of = found
        members: list[list[int]] = [[] for _ in anchors]
        for row in by_name:
            members[shard_of[names[row]]].append(row)
        means = [vectors[rows].mean(0) if rows else old for rows, old in zip(members, anchors, strict=True)]
        anchors = torch.stack(means)
    return shard_of, anchors


def random_anchors(names: Sequence[str], vectors: Tensor, n_shards: int, seed: int) -> Tensor:
    """Vectors of K different units drawn by hash, (k, d); some repeat if there are fewer units than shards."""
    order = hash_order(names, seed, "anchors")
    return vectors[[order[k % len(order)] for k in range(n_shards)]]
