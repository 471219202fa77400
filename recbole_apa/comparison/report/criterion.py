"""How a comparison judges its rows: by AUC of labels, or by the ranks of liked items.

Shapes: n test samples (or lists), m resamples. ``users`` are numbers of the users that test samples belong to, (n,):
intervals then resample users instead of samples.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from recbole_apa.evaluation.measures import AUC, SCORE_MEASURES
from recbole_apa.evaluation.metrics import auc, resampled_aucs, resampled_means


class Criterion(Protocol):
    """One figure for a row, computed from what the row keeps for each test sample."""

    @property
    def figure(self) -> str:
        """Its key among the row's figures."""
        ...

    @property
    def others(self) -> tuple[str, ...]:
        """Further figures that the table shows."""
        ...

    def value(self, kept: np.ndarray, part: np.ndarray) -> float | None:
        """The figure on a part of the samples, (n,), (n,) bool; None if it is undefined."""
        ...

    def resampled(self, kept: Mapping[str, np.ndarray], m: int) -> dict[str, np.ndarray]:
        """The figure on the same m bootstrap resamples for all, (m,) each, NaN where it is undefined; empty if it is
        undefined on the samples themselves."""
        ...


@dataclass(frozen=True)
class ByLabel:
    """AUC; rows keep scores."""

    labels: np.ndarray
    users: np.ndarray | None = None
    n_users: int | None = None
    """Users to draw from, if some have none of these samples."""
    figure: str = AUC.name

    @property
    def others(self) -> tuple[str, ...]:
        """AUC within users, then all other measures of scores that have a title."""
        return ("uauc", *(name for name, m in SCORE_MEASURES.items() if m.title and name != self.figure))

    def value(self, kept: np.ndarray, part: np.ndarray) -> float | None:
        """See :class:`Criterion`."""
        return auc(self.labels[part], kept[part]) if part.any() else None

    def resampled(self, kept: Mapping[str, np.ndarray], m: int) -> dict[str, np.ndarray]:
        """See :class:`Criterion`."""
        mixed = 0 < self.labels.sum() < len(self.labels)
        return resampled_aucs(self.labels, kept, m, 0, self.users, self.n_users) if mixed else {}


@dataclass(frozen=True)
class ByRank:
    """NDCG@k of lists with one liked item: 1 / log2(1 + rank) within the first k places, else 0; rows keep ranks."""

    k: int
    n_lists: int
    others: tuple[str, ...]
    users: np.ndarray | None = None
    n_users: int | None = None
    """Users to draw from, if some have none of these lists."""

    @property
    def figure(self) -> str:
        """RecBole's name."""
        return f"ndcg@{self.k}"

    def value(self, kept: np.ndarray, part: np.ndarray) -> float | None:
        """See :class:`Criterion`."""
        return float(self._gains(kept)[part].mean()) if part.any() else None

    def resampled(self, kept: Mapping[str, np.ndarray], m: int) -> dict[str, np.ndarray]:
        """See :class:`Criterion`."""
        gains = {name: self._gains(ranks) for name, ranks in kept.items()}
        return resampled_means(gains, m, 0, self.users, self.n_users)

    def _gains(self, ranks: np.ndarray) -> np.ndarray:
        out: np.ndarray = np.where(ranks <= self.k, 1 / np.log2(1 + ranks), 0.0)
        return out
