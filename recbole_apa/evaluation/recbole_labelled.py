"""RecBole's metrics of labelled rows, without RecBole: the same functions of numpy and scikit-learn in the same order.

A test compares each with RecBole's own. Shapes: n samples.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from sklearn.metrics import auc, mean_absolute_error, mean_squared_error

_CLIP = 1e-15


def labelled_metrics(names: Iterable[str], labels: np.ndarray, scores: np.ndarray, n_decimals: int) -> dict[str, float]:
    """Metrics by name, as RecBole rounds them; undefined ones are left out.

    Args:
        names: among :data:`METRICS`.
        labels: 0 or 1, (n,).
        scores: (n,), of the type that RecBole would be given.
        n_decimals: RecBole's ``metric_decimal_place``.
    """
    if len(labels) < 2:
        return {}  # of a single row RecBole makes a scalar, of which it has no metric
    told, out = labels.astype(np.float32), {}
    for name in names:
        try:
            # NumPy rounds numbers of its own types otherwise than Python does
            value = float(round(METRICS[name](told, scores), n_decimals))
        except ValueError:  # scikit-learn rejects scores that are no numbers, and a curve of one point
            continue
        if math.isfinite(value):
            out[name] = value
    return out


def _auc(labels: np.ndarray, scores: np.ndarray) -> Any:
    """RUCAIBox/RecBole, recbole/evaluator/metrics.py and utils.py, release 1.2.0: ``AUC``."""
    order = np.argsort(scores)[::-1]
    ranked, positive = scores[order], labels[order] == 1
    ends = np.r_[np.where(np.diff(ranked))[0], positive.size - 1]
    hits = np.cumsum(positive)[ends]
    misses = 1 + ends - hits
    if len(misses) > 2:
        corners = np.where(np.r_[True, np.logical_or(np.diff(misses, 2), np.diff(hits, 2)), True])[0]
        misses, hits = misses[corners], hits[corners]
    hits, misses = np.r_[0, hits], np.r_[0, misses]
    if not (hits[-1] and misses[-1]):
        return math.nan
    return auc(misses / misses[-1], hits / hits[-1])


def _log_loss(labels: np.ndarray, scores: np.ndarray) -> Any:
    """RUCAIBox/RecBole, recbole/evaluator/metrics.py, release 1.2.0: ``LogLoss``."""
    clipped = np.clip(scores.astype(np.float64), _CLIP, 1 - _CLIP)
    return np.sum(-labels * np.log(clipped) - (1 - labels) * np.log(1 - clipped)) / len(scores)


METRICS: dict[str, Callable[[np.ndarray, np.ndarray], Any]] = {
    "auc": _auc,
    "logloss": _log_loss,
    "mae": mean_absolute_error,
    "rmse": lambda labels, scores: np.sqrt(mean_squared_error(labels, scores)),
}
"""By the names that RecBole gives them."""
