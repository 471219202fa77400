"""Figures of collaborative statistics beside the model, and of what the model adds to them; without torch."""

from collections.abc import Mapping

import numpy as np

from recbole_apa.collaborative import ALONE, BOTH, MODEL, Combination
from recbole_apa.evaluation.metrics import auc, interval, log_losses, resampled_aucs, resampled_means
from recbole_apa.evaluation.scored_split import BY_USERS, RESAMPLES, ScoredSplit

EVIDENCE_ALONE, WITH_MODEL = "evidence.alone", "evidence.with_model"
"""Names of scores, beside ``aggregated.decomposition`` and the others."""
_SCORES = {ALONE: EVIDENCE_ALONE, BOTH: WITH_MODEL}
_ADDED = "evidence.model_adds"


def with_evidence(scored: ScoredSplit, found: Mapping[str, np.ndarray]) -> ScoredSplit:
    """A split's scores with those of terms alone and of both; undefined ones are left out.

    Args:
        found: as :meth:`~recbole_apa.collaborative.Combination.scores` returns them.
    """
    defined = {_SCORES[name]: values for name, values in found.items() if name in _SCORES and np.isfinite(values).all()}
    return scored.beside(defined)


STACKED = "evidence.stacked"
"""Whether the regression with the model is of two numbers, the evidence's log odds and the model's (1), or of all
terms (0)."""

AVERAGES = "evidence.fits_averages"
"""Whether the model's LogLoss among those that decided is of averages of its adapters' scores (1), or of the scores
that are served (0)."""


def name_of(served: str, model: str) -> str:
    """The name of the scores that are served.

    Args:
        served: :attr:`~recbole_apa.collaborative.Fitted.served`.
        model: the name of the model's own.
    """
    return _SCORES.get(served, model)


def combination_figures(combination: Combination | None) -> dict[str, float]:
    """What a combination is, under flat keys: what is served (1, the others 0), the LogLosses that decided, and the
    coefficients of standardised terms and of the model's log odds."""
    served = MODEL if combination is None else combination.served
    out: dict[str, float] = {f"evidence.served.{name}": float(name == served) for name in (MODEL, ALONE, BOTH)}
    if combination is None:
        return out
    out[STACKED] = float(combination.is_stacked)
    out |= {f"evidence.log_loss.{name}": value for name, value in combination.log_losses.items()}
    alone, terms = combination.alone, (*combination.terms, MODEL)
    for name, coefficients, intercept in (
        (EVIDENCE_ALONE, alone.coefficients, alone.intercept),
        (WITH_MODEL, combination.both_coefficients, combination.both_intercept),
    ):
        values = zip(terms, coefficients.tolist(), strict=False)
        out |= {f"{name}.coefficients.{term}": value for term, value in values}
        out[f"{name}.intercept"] = intercept
    return out


def added_figures(scored: ScoredSplit, seed: int, by_users: bool = True) -> dict[str, float]:
    """What the model adds on a split: AUC and LogLoss of both together minus those of terms alone, with paired
    intervals as :func:`~recbole_apa.evaluation.scored_split.split_figures` has them. An AUC is left out where
    all labels are the same, and all of it where a score is missing.

    Args:
        by_users: also compute the intervals over users.
    """
    names = (WITH_MODEL, EVIDENCE_ALONE)
    if not all(name in scored.scores for name in names):
        return {}
    labels, both, alone = scored.labels, *(scored.scores[name] for name in names)
    losses = log_losses(labels, both) - log_losses(labels, alone)
    out = {f"{_ADDED}.logloss": float(losses.mean())}
    values = auc(labels, both), auc(labels, alone)
    if values[0] is not None and values[1] is not None:
        out[f"{_ADDED}.auc"] = values[0] - values[1]
    for by, users in (("", None), (BY_USERS, scored.users))[: 1 + by_users]:
        ends = {"logloss": resampled_means({"": losses}, RESAMPLES, seed, users)[""]}
        if f"{_ADDED}.auc" in out:
            drawn = resampled_aucs(labels, {name: scored.scores[name] for name in names}, RESAMPLES, seed, users)
            ends["auc"] = drawn[WITH_MODEL] - drawn[EVIDENCE_ALONE]
        for name, resampled in ends.items():
            out[f"{_ADDED}.{name}{by}_low"], out[f"{_ADDED}.{name}{by}_high"] = interval(resampled)
    return out
