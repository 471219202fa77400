"""Shards of similar meaning: Algorithm 1 of the paper."""

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.nn import functional as F

from recbole_apa.core.seeding import derive_seed, hash_order
from recbole_apa.partition.assignment import Partition, check_partition_input
from recbole_apa.partition.bounded import assign_by_distance
from recbole_apa.partition.partitioner import Partitioner, register_partition

FIT_ON_ALL = 100_000
"""Up to so many points the centres are fitted to all of them, from ``N_STARTS`` starts; beyond it to
``POINTS_PER_SHARD`` K of them, from one."""
N_STARTS = 10
POINTS_PER_SHARD = 256


@register_partition
class SemanticPartitioner(Partitioner):
    """K-means on the embeddings, then capacity-bounded assignment by cosine distance to the centres.

    Beyond 100,000 samples the centres are fitted to 256 K of them, drawn by hash.

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
        names, points = (ids, embeddings) if self.fit_on is None else (_numbered(self.fit_on), self.fit_on)
        centres = fit_centres(names, points, n_shards, seed)
        return Partition(assign_by_distance(ids, cosine_distances(embeddings, centres), capacity), centres)


def _numbered(points: Tensor) -> list[str]:
    """Names that sort as the points are given."""
    return [f"{i:012d}" for i in range(len(points))]


def fit_centres(names: Sequence[str], points: Tensor, n_shards: int, seed: int) -> Tensor:
    """Centres of all points, or of some drawn by hash of their names where there are many: (m, d) -> (k, d).

    Args:
        names: of the points, all different.
    """
    rows, n_starts = sorted(range(len(names)), key=names.__getitem__), N_STARTS
    if len(rows) > FIT_ON_ALL:
        drawn = set(hash_order(names, seed, "kmeans points")[: POINTS_PER_SHARD * n_shards])
        rows, n_starts = [row for row in rows if row in drawn], 1
    return torch.from_numpy(_kmeans_centres(points[rows].double().numpy(), n_shards, n_starts, seed)).float()


def cosine_distances(embeddings: Tensor, centres: Tensor) -> Tensor:
    """(n, d), (k, d) -> (n, k), float64."""
    towards = F.normalize(centres.double(), dim=1).T
    return torch.cat([1 - F.normalize(part.double(), dim=1) @ towards for part in embeddings.split(FIT_ON_ALL)])


def _kmeans_centres(points: np.ndarray, n_shards: int, n_starts: int, seed: int) -> np.ndarray:
    """(n, d) -> (k, d)."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    n_clusters = min(n_shards, len(points))
    kmeans = KMeans(n_clusters, n_init=n_starts, random_state=derive_seed(seed, "kmeans") % 2**32)
    # several threads would add in varying order, and the last bits would differ between runs
    with warnings.catch_warnings(), threadpool_limits(1):
        # fewer distinct points than clusters: see the class docstring
        warnings.simplefilter("ignore", ConvergenceWarning)
        centres = kmeans.fit(points).cluster_centers_
    return np.concatenate([centres, np.repeat(centres[:1], n_shards - n_clusters, axis=0)])
