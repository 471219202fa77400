"""What a run's figures say about evidence, in sentences: what is served and why, and what the language model adds."""

import math
from collections.abc import Mapping

from recbole_apa.collaborative import ALONE, BOTH, MODEL
from recbole_apa.evaluation.evidence_figures import AVERAGES, STACKED
from recbole_apa.evaluation.evidence_slices import PREFIX, SLICES
from recbole_apa.evaluation.metrics import FEWEST_CLUSTERS
from recbole_apa.evaluation.scored_split import BY_USERS

TITLES = {MODEL: "APA", ALONE: "evidence alone", BOTH: "APA + evidence"}
_PARTS = {
    "rare_items": f"items with fewer than {SLICES['rare_items']} training rows",
    "cold_users": f"users with fewer than {SLICES['cold_users']}",
    "short_pasts": f"fewer than {SLICES['short_pasts']} rows before the target",
}
FEWEST_PER_COEFFICIENT = 10
"""Samples for each coefficient of a logistic regression: the usual rule of thumb."""
_FIGURES = {"auc": "AUC", "logloss": "LogLoss"}
_COEFFICIENTS = "evidence.with_model.coefficients."


def evidence_lines(figures: Mapping[str, float]) -> list[str]:
    """Sentences below the table; none for a run without evidence."""
    served = [name for name in TITLES if figures.get(f"evidence.served.{name}") == 1]
    if not served:
        return []
    return [line for line in (_choice(figures, served[0]), *_added(figures), _terms(figures)) if line]


def _choice(figures: Mapping[str, float], served: str) -> str:
    losses = {TITLES[name]: figures.get(f"evidence.log_loss.{name}") for name in TITLES}
    told = ", ".join(f"{title} {value:.4f}" for title, value in losses.items() if value is not None)
    if told and figures.get(AVERAGES):
        told += "; APA's scores are averages of its adapters' here"
    if not told:
        return f"Served is {TITLES[served]}."
    known = {name: losses[TITLES[name]] for name in TITLES if losses[TITLES[name]] is not None}
    if served == ALONE and min(known, key=lambda name: known[name] or 0.0) == MODEL:
        return f"Served is {TITLES[served]}: no adapter is left, and what is without one says the same of every sample."
    why = (
        f"least LogLoss on the validation samples ({told}), where evidence is weighed by fits without the sample's user"
    )
    return f"Served is {TITLES[served]}: {why}.{_few(figures)}"


def _few(figures: Mapping[str, float]) -> str:
    """A warning if a regression is fitted on few samples. Where terms are fitted on further rows, that is the one that
    joins the model."""
    n = figures.get("valid.n_samples", math.inf)
    n_fitted = 3 if figures.get(STACKED) else 1 + sum(name.startswith(_COEFFICIENTS) for name in figures)
    if n >= FEWEST_PER_COEFFICIENT * n_fitted:
        return ""
    return (
        f" {n_fitted} coefficients are fitted on {n:.0f} validation samples, fewer than {FEWEST_PER_COEFFICIENT} each: "
        "evidence may do worse on test samples than here; raise valid_samples."
    )


def _added(figures: Mapping[str, float]) -> list[str]:
    whole = difference_told(figures, "evidence.model_adds.")
    out = [f"What the language model adds to evidence on the test samples: {whole}."] if whole else []
    for name, title in _PARTS.items():
        key = f"{PREFIX}.{name}"
        n, n_users = (figures.get(f"{key}.{of}") for of in ("n_samples", "n_users"))
        if n is None:
            continue
        found = difference_told(figures, f"{key}.model_adds.", n_users is None or n_users >= FEWEST_CLUSTERS)
        number = f"{n:.0f} sample{'' if n == 1 else 's'}" + ("" if n_users is None else f" of {_users(n_users)}")
        out.append(f"- {title}: {number}" + (f", {found}" if found else ""))
    return out


def _users(n: float) -> str:
    return f"{n:.0f} user{'' if n == 1 else 's'}"


def difference_told(figures: Mapping[str, float], key: str, has_interval: bool = True) -> str:
    """AUC (or NDCG, by its own name) and LogLoss of both together minus those of evidence alone.

    Args:
        key: what comes before ``auc`` and ``logloss`` in their names.
        has_interval: whether to give intervals: over few users they are too narrow.
    """
    told = []
    for name in sorted(name.removeprefix(key) for name in figures if name.startswith(key)):
        if name.endswith(("_low", "_high")):
            continue
        by = BY_USERS if f"{key}{name}{BY_USERS}_low" in figures else ""
        low, high = (figures.get(f"{key}{name}{by}_{end}") for end in ("low", "high"))
        ends = "" if low is None or high is None or not has_interval else f" ({low:+.4f} to {high:+.4f})"
        told.append(f"{_FIGURES.get(name, name)} {figures[f'{key}{name}']:+.4f}{ends}")
    return ", ".join(told)


def _terms(figures: Mapping[str, float]) -> str:
    found = {name.removeprefix(_COEFFICIENTS): v for name, v in figures.items() if name.startswith(_COEFFICIENTS)}
    told = ", ".join(f"{'APA' if name == MODEL else name} {value:+.2f}" for name, value in found.items())
    return f"Coefficients of APA + evidence, per standard deviation of a term: {told}." if told else ""
