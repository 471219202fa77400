"""Probabilities of single answers, as several measures use them."""

import numpy as np

LEAST = 1e-7


def own_label(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Probability of the samples' own labels, (n,), bounded away from 0."""
    return np.clip(np.where(labels == 1, scores, 1 - scores), LEAST, 1.0)


def pairs(scores: np.ndarray) -> np.ndarray:
    """The distributions (1 - s, s), bounded away from 0: (n,) -> (n, 2)."""
    clipped = np.clip(np.asarray(scores, dtype=np.float64), LEAST, 1 - LEAST)
    return np.stack([1 - clipped, clipped], axis=1)
