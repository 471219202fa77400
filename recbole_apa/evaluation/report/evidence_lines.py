"""What a run's figures say about evidence, in sentences: what is served and why, and what the language model adds."""

from collections.abc import Mapping

from recbole_apa.collaborative import ALONE, BOTH, MODEL
from recbole_apa.evaluation.evidence_slices import PREFIX, SLICES
from recbole_apa.evaluation.scored_split import BY_USERS

TITLES = {MODEL: "APA", ALONE: "evidence alone", BOTH: "APA + evidence"}
_PARTS = {
    "rare_items": f"items with fewer than {SLICES['rare_items']} training rows",
    "cold_users": f"users with fewer than {SLICES['cold_users']}",
    "short_pasts": f"fewer than {SLICES['short_pasts']} rows before the target",
}
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
    why = f": least LogLoss on the validation samples, each scored by a fit without its user ({told})" if told else ""
    return f"Served is {TITLES[served]}{why}."


def _added(figures: Mapping[str, float]) -> list[str]:
    whole = _difference(figures, "evidence.model_adds")
    out = [f"What the language model adds to evidence on the test samples: {whole}."] if whole else []
    for name, title in _PARTS.items():
        key = f"{PREFIX}.{name}"
        n, found = figures.get(f"{key}.n_samples"), _difference(figures, f"{key}.model_adds")
        if n is not None:
            out.append(f"- {title}: {n:.0f} samples" + (f", {found}" if found else ""))
    return out


def _difference(figures: Mapping[str, float], key: str) -> str:
    """AUC and LogLoss of both together minus those of evidence alone, with intervals."""
    told = []
    for name, title in (("auc", "AUC"), ("logloss", "LogLoss")):
        if f"{key}.{name}" not in figures:
            continue
        by = BY_USERS if f"{key}.{name}{BY_USERS}_low" in figures else ""
        low, high = (figures.get(f"{key}.{name}{by}_{end}") for end in ("low", "high"))
        ends = "" if low is None or high is None else f" ({low:+.4f} to {high:+.4f})"
        told.append(f"{title} {figures[f'{key}.{name}']:+.4f}{ends}")
    return ", ".join(told)


def _terms(figures: Mapping[str, float]) -> str:
    found = {name.removeprefix(_COEFFICIENTS): v for name, v in figures.items() if name.startswith(_COEFFICIENTS)}
    told = ", ".join(f"{'APA' if name == MODEL else name} {value:+.2f}" for name, value in found.items())
    return f"Coefficients of APA + evidence, per standard deviation of a term: {told}." if told else ""
