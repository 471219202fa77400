"""Ridge logistic regression by Newton's method in float64: the same rows in the same order give the same bits,
whatever the number of threads.

Shapes: n rows, f features.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

_STEPS = 100
_SMALL = 1e-10
"""Newton stops where the gradient's largest entry is below this, per row."""


@dataclass(frozen=True)
class Logistic:
    """A fitted regression: the log odds are ``intercept + (x - means) / scales @ coefficients``."""

    means: np.ndarray
    """Of the rows that it was fitted on, (f,)."""
    scales: np.ndarray
    """Their standard deviations, 1 where that is 0, (f,)."""
    coefficients: np.ndarray
    """Of standardised features, (f,)."""
    intercept: float

    @classmethod
    def fit(cls, features: np.ndarray, labels: np.ndarray, ridge: float) -> "Logistic":
        """Minimise the negative log-likelihood plus ``ridge``/2 times the sum of squared coefficients; the intercept is
        free.

        If all labels are equal, one row with each label and features at their means is added, so that the intercept is
        finite.

        Args:
            features: float64, (n, f), n > 0.
            labels: 0 or 1, (n,).
            ridge: above 0.

        Raises:
            ValueError: a feature is NaN or infinite: no step would ever lower the loss.
        """
        if not np.isfinite(features).all():
            raise ValueError("found features that are NaN or infinite, expected finite ones")
        means, scales = features.mean(0), features.std(0)
        scales = np.where(scales > 0, scales, 1.0)
        x = np.column_stack([np.ones(len(features)), (features - means) / scales])
        y = labels.astype(np.float64)
        if y.min() == y.max():
            at_means = np.zeros((2, x.shape[1]))
            at_means[:, 0] = 1
            x, y = np.concatenate([x, at_means]), np.concatenate([y, [0.0, 1.0]])
        weights = _newton(x, y, np.array([0.0, *[ridge] * features.shape[1]]))
        return cls(means, scales, weights[1:], float(weights[0]))

    def log_odds(self, features: np.ndarray) -> np.ndarray:
        """(n, f) -> (n,)."""
        # einsum adds in a fixed order, whatever the number of threads
        return self.intercept + np.einsum("nf,f->n", (features - self.means) / self.scales, self.coefficients)

    def parts(self, features: np.ndarray) -> np.ndarray:
        """What each feature adds to the log odds: (n, f) -> (n, f)."""
        out: np.ndarray = (features - self.means) / self.scales * self.coefficients
        return out

    def to_json(self) -> dict[str, object]:
        """As JSON holds it: floats are read again as they were."""
        arrays = {"means": self.means, "scales": self.scales, "coefficients": self.coefficients}
        return {**{name: values.tolist() for name, values in arrays.items()}, "intercept": self.intercept}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "Logistic":
        """Parse what :meth:`to_json` returned.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        columns = [np.array(told[name], dtype=np.float64) for name in ("means", "scales", "coefficients")]
        if len({column.shape for column in columns}) > 1 or columns[0].ndim != 1:
            raise ValueError("found arrays of different sizes; expected a number for each feature")
        means, scales, coefficients = columns
        return cls(means, scales, coefficients, float(told["intercept"]))

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Probabilities of the label 1: (n, f) -> (n,)."""
        return sigmoid(self.log_odds(features))


def left_out_scores(features: np.ndarray, labels: np.ndarray, groups: np.ndarray, ridge: float) -> np.ndarray:
    """The score of each row by a regression on the rows of all other groups, (n,).

    Args:
        groups: a number for each row's group, e.g. its user, (n,); at least two are different.
    """
    out = np.empty(len(labels), dtype=np.float64)
    for group in np.unique(groups).tolist():
        left_out = groups == group
        fitted = Logistic.fit(features[~left_out], labels[~left_out], ridge)
        out[left_out] = fitted.scores(features[left_out])
    return out


def sigmoid(log_odds: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-z)), without overflow."""
    small = np.exp(-np.abs(log_odds))
    return np.where(log_odds >= 0, 1.0, small) / (1 + small)


def _newton(x: np.ndarray, y: np.ndarray, ridge: np.ndarray) -> np.ndarray:
    """Weights at the minimum, from zeros; a step that does not lower the loss is halved."""
    weights = np.zeros(x.shape[1])
    loss = _loss(x, y, ridge, weights)
    for _ in range(_STEPS):
        p = sigmoid(np.einsum("nf,f->n", x, weights))
        gradient = np.einsum("nf,n->f", x, p - y) + ridge * weights
        if np.abs(gradient).max() <= _SMALL * len(y):
            break
        curvature = np.einsum("nf,n,ng->fg", x, p * (1 - p), x) + np.diag(ridge)
        step = np.array(_solved(curvature.tolist(), gradient.tolist()))
        while True:
            tried = weights - step
            next_loss = _loss(x, y, ridge, tried)
            if next_loss <= loss or np.abs(step).max() < 1e-12:
                break
            step = step / 2
        if next_loss > loss:
            break
        weights, loss = tried, next_loss
    return weights


def _loss(x: np.ndarray, y: np.ndarray, ridge: np.ndarray, weights: np.ndarray) -> float:
    z = np.einsum("nf,f->n", x, weights)
    return float((np.logaddexp(0.0, z) - y * z).sum() + (ridge * weights**2).sum() / 2)


def _solved(matrix: list[list[float]], right: list[float]) -> list[float]:
    """x with ``matrix`` x = ``right``, of a symmetric positive definite matrix, by Cholesky's decomposition.

    In Python's floats: LAPACK's last bits change with its number of threads, which libraries change as they run.
    """
    n = len(right)
    lower = [[0.0] * n for _ in range(n)]
    forward = [0.0] * n
    for i in range(n):
        for j in range(i):
            lower[i][j] = (matrix[i][j] - _dot(lower[i], lower[j], j)) / lower[j][j]
        lower[i][i] = sqrt(matrix[i][i] - _dot(lower[i], lower[i], i))
        forward[i] = (right[i] - _dot(lower[i], forward, i)) / lower[i][i]
    out = [0.0] * n
    for i in reversed(range(n)):
        column = [lower[k][i] for k in range(n)]
        out[i] = (forward[i] - _dot(column[i + 1 :], out[i + 1 :], n - i - 1)) / lower[i][i]
    return out


def _dot(one: list[float], other: list[float], n: int) -> float:
    """The sum of the first n products, from the first to the last."""
    total = 0.0
    for a, b in zip(one[:n], other[:n], strict=True):
        total += a * b
    return total
