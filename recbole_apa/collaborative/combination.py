"""A model's scores and collaborative terms together: which of the two, or both, are served is decided on validation
rows, by fits that have not seen a row's user.

Terms may be fitted on further rows of the validation period that the model has no scores of. The model is then joined
by a second, small regression: what the terms say of a validation row is one feature, by a fit without the row's user.

Shapes: n validation rows, m further rows, f terms.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recbole_apa.collaborative.folds import user_folds
from recbole_apa.collaborative.logistic import Logistic
from recbole_apa.core.errors import RunError

MODEL, ALONE, BOTH = "model", "evidence", "model+evidence"
"""What may be served, from the simplest on: the model's scores as they are, terms alone, both."""
N_FOLDS = 16
"""Folds where there are further rows: fits without a fold are made again without each other one."""
SILENT = 0.5
"""Every score of a model without adapters."""
RIDGE = 1.0
_STACKED = "stacked"
_CLIP = 1e-7
"""Scores are clipped to [1e-7, 1 - 1e-7], as in LogLoss."""


@dataclass(frozen=True)
class FurtherRows:
    """Rows that terms alone are fitted on."""

    table: np.ndarray
    """Terms, (m, f)."""
    labels: np.ndarray
    """0 or 1, (m,)."""
    users: Sequence[str]
    """Each row's user, (m,)."""


@dataclass(frozen=True)
class Combination:
    """Two regressions, and the choice between them and the model alone."""

    terms: tuple[str, ...]
    """Names of the f terms."""
    alone: Logistic
    """On the terms."""
    both: Logistic
    """On the terms, and as the last feature the log odds of the model's scores; with further rows on the log odds of
    ``alone`` and those of the model."""
    log_losses: Mapping[str, float]
    """LogLoss of each of ``MODEL``, ``ALONE``, ``BOTH`` on the validation rows; of a regression by fits without the
    row's user. NaN if all users are in one fold."""
    served: str
    """The one with the least; of equal ones the simplest. Terms alone if the model has no adapter and so no opinion."""
    is_stacked: bool = False
    """Whether ``both`` rests on the log odds of ``alone``: so it is with further rows."""

    @classmethod
    def fit(
        cls,
        table: np.ndarray,
        model_scores: np.ndarray,
        labels: np.ndarray,
        users: Sequence[str],
        terms: tuple[str, ...],
        further: FurtherRows | None = None,
    ) -> "Combination":
        """Fit on validation rows; the same rows in the same order give the same bits.

        Args:
            table: terms, (n, f), n > 0.
            model_scores: in [0, 1], (n,); of a model that has not learnt from these labels.
            labels: 0 or 1, (n,).
            users: each row's user, (n,).
            further: None fits all on the validation rows.
        """
        rows = _Rows.of(table, model_scores, labels, users, further)
        losses = {name: _log_loss(labels, found) for name, found in _left_out(rows).items()}
        served = min(losses, key=lambda name: np.inf if np.isnan(losses[name]) else losses[name])
        if (model_scores == SILENT).all():
            served = ALONE
        alone, both = _fitted(rows)
        return cls(terms, alone, both, losses, served, further is not None)

    @property
    def both_coefficients(self) -> np.ndarray:
        """What a standard deviation of each term, and of the model's log odds, adds to the log odds of ``both``,
        (f + 1,)."""
        if not self.is_stacked:
            return self.both.coefficients
        of_terms = self.alone.coefficients * (self.both.coefficients[0] / self.both.scales[0])
        return np.append(of_terms, self.both.coefficients[1])

    @property
    def both_intercept(self) -> float:
        """The log odds of ``both`` where all of these are at their means."""
        if not self.is_stacked:
            return self.both.intercept
        above = (self.alone.intercept - self.both.means[0]) / self.both.scales[0]
        return float(self.both.intercept + self.both.coefficients[0] * above)

    def scores(self, table: np.ndarray, model_scores: np.ndarray) -> dict[str, np.ndarray]:
        """All three scores of some rows by name, (n,) each; arguments as in :meth:`fit`."""
        features = self.alone.log_odds(table) if self.is_stacked else table
        both = self.both.scores(_joined(features, model_scores))
        return {MODEL: model_scores, ALONE: self.alone.scores(table), BOTH: both}

    def parts(self, table: np.ndarray, model_scores: np.ndarray) -> dict[str, np.ndarray]:
        """What each term of the served regression adds to the log odds, by name, (n,) each; :data:`MODEL` for the
        model's scores. Empty if the model alone is served; arguments as in :meth:`fit`."""
        if self.served == MODEL:
            return {}
        if self.served == ALONE:
            return dict(zip(self.terms, self.alone.parts(table).T, strict=True))
        if self.is_stacked:
            of_model = self.both.parts(_joined(self.alone.log_odds(table), model_scores))[:, 1:]
            parts = np.column_stack(
                [self.alone.parts(table) * (self.both.coefficients[0] / self.both.scales[0]), of_model]
            )
        else:
            parts = self.both.parts(_joined(table, model_scores))
        return dict(zip((*self.terms, MODEL), parts.T, strict=True))

    def to_json(self) -> dict[str, object]:
        """As JSON holds it: floats are read again as they were. A LogLoss that is undefined is null."""
        losses = {name: None if np.isnan(value) else value for name, value in self.log_losses.items()}
        regressions = {"alone": self.alone.to_json(), "both": self.both.to_json()}
        stacked = {_STACKED: True} if self.is_stacked else {}
        return {"terms": list(self.terms), **regressions, "log_losses": losses, "served": self.served, **stacked}

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
        sizes = None if found is None else (len(found.alone.means), len(found.both.means))
        if found is None or sizes != (n := len(found.terms), 2 if found.is_stacked else n + 1):
            raise RunError(
                "the combination of model and collaborative terms is not as this program writes it; restore the run "
                "folder from a copy"
            )
        return found


def left_out(
    table: np.ndarray,
    model_scores: np.ndarray,
    labels: np.ndarray,
    users: Sequence[str],
    further: FurtherRows | None = None,
) -> dict[str, np.ndarray]:
    """All three scores of validation rows by name, (n,) each: the model's as they are, those of a regression by fits
    without the row's user. NaN if all users are in one fold. Arguments as in :meth:`Combination.fit`."""
    return _left_out(_Rows.of(table, model_scores, labels, users, further))


@dataclass(frozen=True)
class _Rows:
    """What is fitted on."""

    table: np.ndarray
    model_scores: np.ndarray
    labels: np.ndarray
    folds: np.ndarray
    """A number for each row's user, (n,)."""
    further: FurtherRows | None
    further_folds: np.ndarray
    """Likewise, (m,)."""

    @classmethod
    def of(
        cls,
        table: np.ndarray,
        model_scores: np.ndarray,
        labels: np.ndarray,
        users: Sequence[str],
        further: FurtherRows | None,
    ) -> "_Rows":
        """Arguments as in :meth:`Combination.fit`."""
        if further is None:
            return cls(table, model_scores, labels, user_folds(users), None, user_folds(()))
        folds, of_further = (user_folds(names) % N_FOLDS for names in (users, further.users))
        return cls(table, model_scores, labels, folds, further, of_further)

    def without(self, fold: int) -> "_Rows":
        """The rows of all other folds."""
        kept, more, some = self.folds != fold, self.further_folds != fold, self.further
        if some is not None:
            users = [user for user, stays in zip(some.users, more.tolist(), strict=True) if stays]
            some = FurtherRows(some.table[more], some.labels[more], users)
        table, scores, labels, folds = self.table[kept], self.model_scores[kept], self.labels[kept], self.folds[kept]
        return _Rows(table, scores, labels, folds, some, self.further_folds[more])


def _left_out(rows: _Rows) -> dict[str, np.ndarray]:
    """See :func:`left_out`."""
    out = {name: np.full(len(rows.labels), np.nan) for name in (ALONE, BOTH)}
    folds = np.unique(rows.folds)
    for fold in folds.tolist() if len(folds) > 1 else ():
        held = rows.folds == fold
        alone, both = _fitted(rows.without(fold))
        out[ALONE][held] = alone.scores(rows.table[held])
        features = alone.log_odds(rows.table[held]) if rows.further else rows.table[held]
        out[BOTH][held] = both.scores(_joined(features, rows.model_scores[held]))
    return {MODEL: rows.model_scores, **out}


def _fitted(rows: _Rows) -> tuple[Logistic, Logistic]:
    """The two regressions."""
    alone = _alone(rows)
    features = _log_odds_left_out(rows) if rows.further else rows.table
    return alone, Logistic.fit(_joined(features, rows.model_scores), rows.labels, RIDGE)


def _alone(rows: _Rows) -> Logistic:
    """On the terms of all rows."""
    if not rows.further:
        return Logistic.fit(rows.table, rows.labels, RIDGE)
    table = np.concatenate([rows.table, rows.further.table])
    return Logistic.fit(table, np.concatenate([rows.labels, rows.further.labels]), RIDGE)


def _log_odds_left_out(rows: _Rows) -> np.ndarray:
    """Of the terms of each validation row by a fit without its fold, (n,); with all rows if there is one fold."""
    folds, out = np.unique(rows.folds), _alone(rows).log_odds(rows.table)
    for fold in folds.tolist() if len(folds) > 1 else ():
        held = rows.folds == fold
        out[held] = _alone(rows.without(fold)).log_odds(rows.table[held])
    return out


def _parsed(told: Any) -> Combination:
    """See :meth:`Combination.from_json`; any error means that it is something else."""
    names, given = (MODEL, ALONE, BOTH), told["log_losses"]
    losses = {name: float("nan") if given[name] is None else float(given[name]) for name in names}
    if set(given) != set(names) or told["served"] not in names:
        raise ValueError("found other names; expected the three that may be served")
    alone, both = Logistic.from_json(told["alone"]), Logistic.from_json(told["both"])
    if told.get(_STACKED, True) is not True:
        raise ValueError("found another value of what is there only if it is true")
    return Combination(tuple(told["terms"]), alone, both, losses, told["served"], _STACKED in told)


def _joined(table: np.ndarray, model_scores: np.ndarray) -> np.ndarray:
    clipped = np.clip(model_scores.astype(np.float64), _CLIP, 1 - _CLIP)
    return np.column_stack([table, np.log(clipped) - np.log1p(-clipped)])


def _log_loss(labels: np.ndarray, scores: np.ndarray) -> float:
    clipped = np.clip(scores.astype(np.float64), _CLIP, 1 - _CLIP)
    return float(-np.mean(np.where(labels == 1, np.log(clipped), np.log1p(-clipped))))
