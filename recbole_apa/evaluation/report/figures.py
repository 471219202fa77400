"""The data of the report's plots, written to ``figures/`` and read back from there."""

from collections.abc import Mapping, Sequence

import numpy as np
from sklearn.decomposition import PCA
from sklearn.metrics import roc_curve

from recbole_apa.runs.manifest import ShardRecord

Curve = dict[str, list[float]]
"""Points, as ``x`` and ``y``."""

MAX_POINTS = 5000


def shard_sizes(sizes: Sequence[int]) -> dict[str, list[int]]:
    """Samples per shard."""
    return {"shards": list(range(len(sizes))), "samples": list(sizes)}


def sample_map(embeddings: np.ndarray, shards: Sequence[int]) -> dict[str, list[float]]:
    """The first two principal components of h, (n, d), with each sample's shard; no ids."""
    step = max(1, -(-len(embeddings) // MAX_POINTS))
    points = embeddings[::step]
    n_components = min(2, *points.shape)
    # a single point has no components
    xy = PCA(n_components, random_state=0).fit_transform(points) if len(points) > 1 else np.zeros((len(points), 1))
    if xy.shape[1] < 2:
        xy = np.concatenate([xy, np.zeros((len(xy), 2 - xy.shape[1]))], axis=1)
    return {
        "x": np.round(xy[:, 0], 4).tolist(),
        "y": np.round(xy[:, 1], 4).tolist(),
        "shard": list(shards)[::step],
    }


def training_losses(records: Sequence[ShardRecord]) -> dict[str, list[float]]:
    """The loss of each adapter by step."""
    return {f"{k:03d}": [round(v, 5) for v in r.get("step_losses", [])] for k, r in enumerate(records)}


def attention_weights(weights: np.ndarray) -> dict[str, list[float] | list[list[float]]]:
    """Each adapter's attention weights over the test samples, (n, k): mean, quartiles, share of first places (shared
    in ties)."""
    largest = np.isclose(weights, weights.max(1, keepdims=True))
    first = (largest / largest.sum(1, keepdims=True)).mean(0)
    quartiles = np.quantile(weights, [0.25, 0.5, 0.75], axis=0)
    return {
        "mean": np.round(weights.mean(0), 5).tolist(),
        "quartiles": np.round(quartiles, 5).T.tolist(),
        "first_place_share": np.round(first, 5).tolist(),
    }


def roc_curves(labels: np.ndarray, scores: Mapping[str, np.ndarray]) -> dict[str, Curve]:
    """ROC curves of the aggregations and the trivial rules."""
    if not 0 < labels.sum() < len(labels):
        return {}
    out = {}
    for name, values in scores.items():
        if name.startswith("adapters"):
            continue
        false_rate, true_rate, _ = roc_curve(labels, values)
        out[name] = {"x": np.round(false_rate, 4).tolist(), "y": np.round(true_rate, 4).tolist()}
    return out
