"""Shards of similar meaning: Algorithm 1 of the paper."""

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.nn import functional as F

from recbole_apa.core.seeding import derive_seed
from recbole_apa.partition.assignment import Partition, assign_by_distance, check_partition_input
from recbole_apa.partition.partitioner import Partitioner, register_partition


@register_partition
class SemanticPartitioner(Partitioner):
    """K-means on the embeddings, then capacity-bounded assignment by cosine distance to the centres.

    The result does not depend on the order of the samples. If there are fewer distinct embeddings than shards, surplus
    centres repeat an existing one and the assignment fills shards by sample id.

    Args:
        fit_on: points to fit the centres to instead of the samples' embeddings, (m, d).
    """

    name = "semantic"
    takes_capacity = True

    def __init__(self, fit_on: Tensor | None = None) -> None:
        self.fit_on = fit_on

    def __call__(self, ids: Sequence[str], embeddings: Tensor, n_shards: int, capacity: int, seed: int) -> Partition:
        """See :class:`~recbole_apa.partition.partitioner.Partitioner`."""
        check_partition_input(ids, embeddings, n_shards, capacity)
        by_id = sorted(range(len(ids)), key=ids.__getitem__)
        points = (embeddings[by_id] if self.fit_on is None else self.fit_on).double().numpy()
        centres = torch.from_numpy(_kmeans_centres(points, n_shards, seed)).float()
        distance = 1 - F.normalize(embeddings.double(), dim=1) @ F.normalize(centres.double(), dim=1).T  # (n, k)
        return Partition(assign_by_distance(ids, distance, capacity), centres)


def _kmeans_centres(points: np.ndarray, n_shards: int, seed: int) -> np.ndarray:
    """The centres: (n, d) -> (k, d)."""
    n_clusters = min(n_shards, len(points))
    kmeans = KMeans(n_clusters, n_init=10, random_state=derive_seed(seed, "kmeans") % 2**32)
    # several threads would add in varying order, and the last bits would differ between runs
    with warnings.catch_warnings(), threadpool_limits(1):
        # fewer distinct points than clusters: see the class docstring
        warnings.simplefilter("ignore", ConvergenceWarning)
        centres = kmeans.fit(points).cluster_centers_
    return np.concatenate([centres, np.repeat(centres[:1], n_shards - n_clusters, axis=0)])
