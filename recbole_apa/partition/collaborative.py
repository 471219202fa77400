"""Shards of users, items or interactions that are alike in a collaborative model: the partitions of RecEraser (UBP,
IBP, InBP) and GraphEraser (BEKM, BLPA), with samples following their unit.

Shapes: n samples, m units, k shards, c size of the collaborative embeddings.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from recbole_apa.core.errors import PartitionError
from recbole_apa.partition.assignment import Partition, check_partition_input
from recbole_apa.partition.balanced_kmeans import balanced_kmeans, random_anchors, squared_distances
from recbole_apa.partition.label_propagation import balanced_label_propagation
from recbole_apa.partition.random import member_means

RECERASER_SLACK = 1.2
RECERASER_ITERATIONS = 50
GRAPHERASER_DELTA = 0.005
BEKM_ITERATIONS = 20
BLPA_ITERATIONS = 100


@dataclass(frozen=True)
class Collaborative:
    """What a model of users and items, trained on the training rows alone, says."""

    user_of: Mapping[str, str]
    """Sample id -> user."""
    item_of: Mapping[str, str]
    """Sample id -> target item."""
    user_vectors: Mapping[str, Tensor]
    """(c,) each."""
    item_vectors: Mapping[str, Tensor]
    """(c,) each."""


class CollaborativePartitioner:
    """One of the partitions in ``DIVISIONS``.

    The papers' capacities count units (users, items, interactions), so shards differ in samples, and ``capacity``,
    which counts samples, is passed over.

    Args:
        name: a key of ``DIVISIONS``.
        known: the collaborative model of the samples to be divided.
    """

    def __init__(self, name: str, known: Collaborative) -> None:
        self._assign, self.known = DIVISIONS[name], known

    def __call__(self, ids: Sequence[str], embeddings: Tensor, n_shards: int, capacity: int, seed: int) -> Partition:
        """See :class:`~recbole_apa.partition.assignment.Partitioner`; the centres are the members' means of h."""
        check_partition_input(ids, embeddings, n_shards, len(ids))
        missing = [name for name in ids if name not in self.known.user_of]
        if missing:
            raise PartitionError(f"the collaborative model knows nothing of {len(missing)} samples, e.g. {missing[0]}")
        shard_of = self._assign(sorted(ids), self.known, n_shards, seed)
        return Partition(shard_of, member_means([shard_of[name] for name in ids], embeddings, n_shards))


def receraser_capacity(n_units: int, n_shards: int) -> int:
    """t = 1.2 * N / K, rounded up."""
    return math.ceil(RECERASER_SLACK * n_units / n_shards)


def grapheraser_capacity(n_units: int, n_shards: int) -> int:
    """t = ceil(N / K + delta * (N - N / K)), delta = .005."""
    share = n_units / n_shards
    return math.ceil(share + GRAPHERASER_DELTA * (n_units - share))


def _by_unit(
    ids: Sequence[str],
    unit_of: Mapping[str, str],
    vectors: Mapping[str, Tensor],
    n_shards: int,
    seed: int,
    capacity: Callable[[int, int], int],
    iterations: int,
) -> dict[str, int]:
    units = sorted({unit_of[name] for name in ids})
    table = torch.stack([vectors[unit] for unit in units])
    anchors = random_anchors(units, table, n_shards, seed)
    shards, _ = balanced_kmeans(units, table, anchors, capacity(len(units), n_shards), iterations)
    return {name: shards[unit_of[name]] for name in ids}


def user_based(ids: Sequence[str], known: Collaborative, n_shards: int, seed: int) -> dict[str, int]:
    """UBP (RecEraser): users, squared distance."""
    return _by_unit(ids, known.user_of, known.user_vectors, n_shards, seed, receraser_capacity, RECERASER_ITERATIONS)


def item_based(ids: Sequence[str], known: Collaborative, n_shards: int, seed: int) -> dict[str, int]:
    """IBP (RecEraser): target items, squared distance."""
    return _by_unit(ids, known.item_of, known.item_vectors, n_shards, seed, receraser_capacity, RECERASER_ITERATIONS)


def interaction_based(ids: Sequence[str], known: Collaborative, n_shards: int, seed: int) -> dict[str, int]:
    """InBP (RecEraser): interactions, with ||p_u - a_u||^2 * ||q_i - a_i||^2 (the design makes a pair near where one
    side alone matches)."""
    users = torch.stack([known.user_vectors[known.user_of[name]] for name in ids])
    items = torch.stack([known.item_vectors[known.item_of[name]] for name in ids])
    width = users.shape[1]
    both = torch.cat([users, items], dim=1)  # (n, 2c)

    def product(vectors: Tensor, anchors: Tensor) -> Tensor:
        left = squared_distances(vectors[:, :width], anchors[:, :width])
        return left * squared_distances(vectors[:, width:], anchors[:, width:])

    anchors = random_anchors(ids, both, n_shards, seed)
    capacity = receraser_capacity(len(ids), n_shards)
    return balanced_kmeans(ids, both, anchors, capacity, RECERASER_ITERATIONS, product)[0]


def bekm(ids: Sequence[str], known: Collaborative, n_shards: int, seed: int) -> dict[str, int]:
    """BEKM (GraphEraser) on the users' nodes."""
    return _by_unit(ids, known.user_of, known.user_vectors, n_shards, seed, grapheraser_capacity, BEKM_ITERATIONS)


def blpa(ids: Sequence[str], known: Collaborative, n_shards: int, seed: int) -> dict[str, int]:
    """BLPA (GraphEraser) on the bipartite graph of users and target items; a sample follows its user."""
    edges = [(f"user {known.user_of[name]}", f"item {known.item_of[name]}") for name in ids]
    nodes = sorted({node for edge in edges for node in edge})
    capacity = grapheraser_capacity(len(nodes), n_shards)
    community = balanced_label_propagation(nodes, edges, n_shards, capacity, BLPA_ITERATIONS, seed)
    return {name: community[edge[0]] for name, edge in zip(ids, edges, strict=True)}


DIVISIONS: dict[str, Callable[[Sequence[str], Collaborative, int, int], dict[str, int]]] = {
    "user": user_based,
    "item": item_based,
    "interaction": interaction_based,
    "bekm": bekm,
    "blpa": blpa,
}
