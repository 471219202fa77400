"""A model's scores and collaborative terms together: which of the two, or both, are served is decided on validation
rows, by fits that have not seen a row's user.

Shapes: n rows, f terms.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recbole_apa.collaborative.folds import user_folds
from recbole_apa.collaborative.logistic import Logistic, left_out_scores
from recbole_apa.core.errors import RunError

MODEL, ALONE, BOTH = "model", "evidence", "model+evidence"
"""What may be served, from the simplest on: the model's scores as they are, terms alone, both."""
_CLIP = 1e-7
"""Scores are clipped to [1e-7, 1 - 1e-7], as in LogLoss."""


@dataclass(frozen=True)
class Combination:
    """Two regressions, and the choice between them and the model alone."""

    terms: tuple[str, ...]
    """Names of the f terms."""
    alone: Logistic
    """On the terms."""
    both: Logistic
    """On the terms, and as the last feature the log odds of the model's scores."""
    log_losses: Mapping[str, float]
    """LogLoss of each of ``MODEL``, ``ALONE``, ``BOTH`` on the validation rows; of a regression by fits without the
    row's user. NaN if all users are in one fold."""
    served: str
    """The one with the least; of equal ones the simplest."""

    @classmethod
    def fit(
        cls,
        table: np.ndarray,
        model_scores: np.ndarray,
        labels: np.ndarray,
        users: Sequence[str],
        terms: tuple[str, ...],
        ridge: float = 1.0,
    ) -> "Combination":
        """Fit on validation rows; the same rows in the same order give the same bits.

        Args:
            table: terms, (n, f), n > 0.
            model_scores: in [0, 1], (n,); of a model that has not learnt from these labels.
            labels: 0 or 1, (n,).
            users: each row's user, (n,).
        """
        losses = {
            name: _log_loss(labels, found)
            for name, found in left_out(table, model_scores, labels, users, ridge).items()
        }
        served = min(losses, key=lambda name: np.inf if np.isnan(losses[name]) else losses[name])
        alone = Logistic.fit(table, labels, ridge)
        both = Logistic.fit(_joined(table, model_scores), labels, ridge)
        return cls(terms, alone, both, losses, served)

    def scores(self, table: np.ndarray, model_scores: np.ndarray) -> dict[str, np.ndarray]:
        """All three scores of some rows by name, (n,) each; arguments as in :meth:`fit`."""
        both = self.both.scores(_joined(table, model_scores))
        return {MODEL: model_scores, ALONE: self.alone.scores(table), BOTH: both}

    def parts(self, table: np.ndarray, model_scores: np.ndarray) -> dict[str, np.ndarray]:
        """What each term of the served regression adds to the log odds, by name, (n,) each; :data:`MODEL` for the
        model's scores. Empty if the model alone is served; arguments as in :meth:`fit`."""
        if self.served == MODEL:
            return {}
        if self.served == ALONE:
            return dict(zip(self.terms, self.alone.parts(table).T, strict=True))
        parts = self.both.parts(_joined(table, model_scores)).T
        return dict(zip((*self.terms, MODEL), parts, strict=True))

    def to_json(self) -> dict[str, object]:
        """As JSON holds it: floats are read again as they were. A LogLoss that is undefined is null."""
        losses = {name: None if np.isnan(value) else value for name, value in self.log_losses.items()}
        regressions = {"alone": self.alone.to_json(), "both": self.both.to_json()}
        return {"terms": list(self.terms), **regressions, "log_losses": losses, "served": self.served}

    @classmethod
    def from_json(cls, told: object) -> "Combination":
        """Parse what :meth:`to_json` returned.

        Raises:
            RunError: it is something else.
        """
        try:
            found = _parsed(told)
        except (AttributeError, KeyError, TypeError, ValueError):
            found = None
        sizes = None if found is None else (len(found.alone.means), len(found.both.means) - 1)
        if found is None or sizes != (len(found.terms), len(found.terms)):
            raise RunError(
                "the combination of model and collaborative terms is not as this program writes it; restore the run "
                "folder from a copy"
            )
        return found


def left_out(
    table: np.ndarray, model_scores: np.ndarray, labels: np.ndarray, users: Sequence[str], ridge: float = 1.0
) -> dict[str, np.ndarray]:
    """All three scores of validation rows by name, (n,) each: the model's as they are, those of a regression by fits
    without the row's user. NaN if all users are in one fold. Arguments as in :meth:`Combination.fit`."""
    folds, out = user_folds(users), {MODEL: model_scores}
    for name, features in ((ALONE, table), (BOTH, _joined(table, model_scores))):
        apart = len(np.unique(folds)) > 1
        out[name] = left_out_scores(features, labels, folds, ridge) if apart else np.full(len(labels), np.nan)
    return out


def _parsed(told: Any) -> Combination:
    """See :meth:`Combination.from_json`; any error means that it is something else."""
    names, given = (MODEL, ALONE, BOTH), told["log_losses"]
    losses = {name: float("nan") if given[name] is None else float(given[name]) for name in names}
    if set(given) != set(names) or told["served"] not in names:
        raise ValueError("found other names; expected the three that may be served")
    alone, both = Logistic.from_json(told["alone"]), Logistic.from_json(told["both"])
    return Combination(tuple(told["terms"]), alone, both, losses, told["served"])


def _joined(table: np.ndarray, model_scores: np.ndarray) -> np.ndarray:
    clipped = np.clip(model_scores.astype(np.float64), _CLIP, 1 - _CLIP)
    return np.column_stack([table, np.log(clipped) - np.log1p(-clipped)])


def _log_loss(labels: np.ndarray, scores: np.ndarray) -> float:
    clipped = np.clip(scores.astype(np.float64), _CLIP, 1 - _CLIP)
    return float(-np.mean(np.where(labels == 1, np.log(clipped), np.log1p(-clipped))))
