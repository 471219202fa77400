"""AUC and LogLoss with bootstrap intervals. Shapes: n samples, m resamples."""

from collections.abc import Mapping

import numpy as np
from sklearn.metrics import log_loss, roc_auc_score

CLIP = 1e-7


def auc(labels: np.ndarray, scores: np.ndarray) -> float | None:
    """Area under the ROC curve, (n,), (n,); None where all labels are the same."""
    return float(roc_auc_score(labels, scores)) if 0 < labels.sum() < len(labels) else None


def mean_log_loss(labels: np.ndarray, scores: np.ndarray) -> float:
    """-mean[y ln s + (1-y) ln(1-s)], natural logarithm, s clipped to [1e-7, 1 - 1e-7]."""
    clipped = np.clip(scores.astype(np.float64), CLIP, 1 - CLIP)
    return float(log_loss(labels, clipped, labels=[0, 1]))


def resampled_aucs(labels: np.ndarray, scores: Mapping[str, np.ndarray], m: int, seed: int) -> dict[str, np.ndarray]:
    """AUCs of all scores on the same m bootstrap resamples of the rows, (m,) each: differences are paired.

    Resamples with one label only are left out.
    """
    rng = np.random.default_rng(seed)
    out: dict[str, list[float]] = {name: [] for name in scores}
    for _ in range(m):
        rows = rng.integers(len(labels), size=len(labels))
        if 0 < labels[rows].sum() < len(rows):
            for name, values in scores.items():
                out[name].append(_fast_auc(labels[rows], values[rows]))
    return {name: np.array(values) for name, values in out.items()}


def interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of bootstrap values."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _fast_auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Mann-Whitney's U over the pairs, ties count half; the same number as sklearn's, without its checks."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    n_yes = int(labels.sum())
    n_no = len(labels) - n_yes
    return float((rank[labels == 1].sum() - n_yes * (n_yes + 1) / 2) / (n_yes * n_no))
