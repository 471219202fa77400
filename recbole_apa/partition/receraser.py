"""The partitions of RecEraser (Chen et al., WWW'22): by users, by items, by interactions.

Shapes: n samples, c size of the collaborative embeddings.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from recbole_apa.partition.balanced_kmeans import balanced_kmeans, random_anchors, squared_distances
from recbole_apa.partition.collaborative import CollaborativePartitioner, by_unit
from recbole_apa.partition.partitioner import register_partition

SLACK = 1.2
ITERATIONS = 50


def receraser_capacity(n_units: int, n_shards: int) -> int:
    """t = 1.2 * N / K, rounded up."""
    return math.ceil(SLACK * n_units / n_shards)


@register_partition
class UserPartitioner(CollaborativePartitioner):
    """UBP: users, squared distance."""

    name = "user"
    collaborative_model = "BPR"

    def assign(self, ids: Sequence[str], n_shards: int, seed: int) -> dict[str, int]:
        """See :class:`~recbole_apa.partition.collaborative.CollaborativePartitioner`."""
        user_of = {name: self.known.user_of[name] for name in ids}
        return by_unit(user_of, self.known.user_vectors, n_shards, seed, receraser_capacity, ITERATIONS)


@register_partition
class ItemPartitioner(CollaborativePartitioner):
    """IBP: target items, squared distance."""

    name = "item"
    collaborative_model = "BPR"

    def assign(self, ids: Sequence[str], n_shards: int, seed: int) -> dict[str, int]:
        """See :class:`~recbole_apa.partition.collaborative.CollaborativePartitioner`."""
        item_of = {name: self.known.item_of[name] for name in ids}
        return by_unit(item_of, self.known.item_vectors, n_shards, seed, receraser_capacity, ITERATIONS)


@register_partition
class InteractionPartitioner(CollaborativePartitioner):
    """InBP: interactions, with ||p_u - a_u||^2 * ||q_i - a_i||^2 (by design, a pair is near if only one of its
    sides matches)."""

    name = "interaction"
    collaborative_model = "BPR"

    def assign(self, ids: Sequence[str], n_shards: int, seed: int) -> dict[str, int]:
        """See :class:`~recbole_apa.partition.collaborative.CollaborativePartitioner`."""
        known = self.known
        users = torch.stack([known.user_vectors[known.user_of[name]] for name in ids])
        items = torch.stack([known.item_vectors[known.item_of[name]] for name in ids])
        width = users.shape[1]
        both = torch.cat([users, items], dim=1)  # (n, 2c)

        def product(vectors: Tensor, anchors: Tensor) -> Tensor:
            left = squared_distances(vectors[:, :width], anchors[:, :width])
            return left * squared_distances(vectors[:, width:], anchors[:, width:])

        anchors = random_anchors(ids, both, n_shards, seed)
        return balanced_kmeans(ids, both, anchors, receraser_capacity(len(ids), n_shards), ITERATIONS, product)[0]
