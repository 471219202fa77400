"""AUC and LogLoss with bootstrap intervals. Shapes: n samples, m resamples."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import log_loss, roc_auc_score

CLIP = 1e-7
BLOCK_CELLS = 30_000  # resamples times rows that are counted at once; fits a core's cache


def auc(labels: np.ndarray, scores: np.ndarray) -> float | None:
    """Area under the ROC curve, (n,), (n,); None if all labels are the same."""
    return float(roc_auc_score(labels, scores)) if 0 < labels.sum() < len(labels) else None


def mean_log_loss(labels: np.ndarray, scores: np.ndarray) -> float:
    """-mean[y ln s + (1-y) ln(1-s)], natural logarithm, s clipped to [1e-7, 1 - 1e-7]."""
    clipped = np.clip(scores.astype(np.float64), CLIP, 1 - CLIP)
    return float(log_loss(labels, clipped, labels=[0, 1]))


def resampled_aucs(labels: np.ndarray, scores: Mapping[str, np.ndarray], m: int, seed: int) -> dict[str, np.ndarray]:
    """AUCs of all scores on the same m bootstrap resamples of the rows, (m,) each: differences are paired.

    Resamples with only one label are left out.
    """
    rng = np.random.default_rng(seed)
    n = len(labels)
    block = max(1, BLOCK_CELLS // max(n, 1))
    rankings = {name: _Ranking.of(labels, values) for name, values in scores.items()}
    out: dict[str, list[np.ndarray]] = {name: [np.empty(0)] for name in scores}
    for start in range(0, m, block):
        times = _times_drawn(rng.integers(n, size=(min(block, m - start), n)))
        n_yes = labels @ times
        times = times[:, (n_yes > 0) & (n_yes < n)]
        for name, ranking in rankings.items():
            out[name].append(ranking.aucs(times))
    return {name: np.concatenate(parts) for name, parts in out.items()}


def interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of bootstrap values."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _times_drawn(rows: np.ndarray) -> np.ndarray:
    """How often each of n rows occurs in each resample: (m, n) row numbers -> (n, m) counts."""
    m, n = rows.shape
    return np.bincount((rows * m + np.arange(m)[:, None]).ravel(), minlength=m * n).reshape(n, m)


@dataclass(frozen=True)
class _Ranking:
    """Rows in order of their scores, lowest first."""

    order: np.ndarray
    labels: np.ndarray
    """The labels in that order, (n, 1)."""
    firsts: np.ndarray
    """The positions in that order at which a new score begins."""

    @classmethod
    def of(cls, labels: np.ndarray, scores: np.ndarray) -> "_Ranking":
        order = np.argsort(scores)
        return cls(order, labels[order, None], np.flatnonzero(np.diff(scores[order], prepend=np.nan) != 0))

    def aucs(self, times: np.ndarray) -> np.ndarray:
        """Mann-Whitney's U over the number of pairs for m resamples at once, ties count half; (n, m) counts -> (m,)."""
        drawn = times[self.order]
        yes = np.add.reduceat(drawn * self.labels, self.firsts)
        no = np.add.reduceat(drawn, self.firsts) - yes
        won = (yes * (np.cumsum(no, axis=0) - no / 2)).sum(0)
        return np.asarray(won / (yes.sum(0) * no.sum(0)), dtype=np.float64)
