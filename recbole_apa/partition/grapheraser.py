"""The partitions of GraphEraser (Chen et al., CCS'22): BEKM on the users' embeddings, BLPA on the bipartite graph."""

import math
from collections.abc import Sequence

from recbole_apa.partition.collaborative import CollaborativePartitioner, by_unit
from recbole_apa.partition.label_propagation import balanced_label_propagation
from recbole_apa.partition.partitioner import register_partition

DELTA = 0.005
BEKM_ITERATIONS = 20
BLPA_ITERATIONS = 100


def grapheraser_capacity(n_units: int, n_shards: int) -> int:
    """t = ceil(N / K + delta * (N - N / K)), delta = .005."""
    share = n_units / n_shards
    return math.ceil(share + DELTA * (n_units - share))


@register_partition
class BEKMPartitioner(CollaborativePartitioner):
    """BEKM on the users' nodes."""

    name = "bekm"
    collaborative_model = "LightGCN"

    def assign(self, ids: Sequence[str], n_shards: int, seed: int) -> dict[str, int]:
        """See :class:`~recbole_apa.partition.collaborative.CollaborativePartitioner`."""
        user_of = {name: self.known.user_of[name] for name in ids}
        return by_unit(user_of, self.known.user_vectors, n_shards, seed, grapheraser_capacity, BEKM_ITERATIONS)


@register_partition
class BLPAPartitioner(CollaborativePartitioner):
    """BLPA on the bipartite graph of users and target items, which needs no embeddings; a sample follows its user."""

    name = "blpa"

    def assign(self, ids: Sequence[str], n_shards: int, seed: int) -> dict[str, int]:
        """See :class:`~recbole_apa.partition.collaborative.CollaborativePartitioner`."""
        edges = [(f"user {self.known.user_of[name]}", f"item {self.known.item_of[name]}") for name in ids]
        nodes = sorted({node for edge in edges for node in edge})
        capacity = grapheraser_capacity(len(nodes), n_shards)
        community = balanced_label_propagation(nodes, edges, n_shards, capacity, BLPA_ITERATIONS, seed)
        return {name: community[edge[0]] for name, edge in zip(ids, edges, strict=True)}
