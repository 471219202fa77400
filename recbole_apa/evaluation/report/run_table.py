"""The final table, made from the figures in ``metrics.json``."""

from collections.abc import Mapping

from tabulate import tabulate

from recbole_apa.collaborative import ALONE, BOTH, MODEL
from recbole_apa.evaluation.evidence_figures import EVIDENCE_ALONE, WITH_MODEL
from recbole_apa.evaluation.report.users_note import too_few, users_note
from recbole_apa.evaluation.scored_split import BASELINES, BY_USERS

_TITLES = {
    "aggregated.decomposition": "APA(D)   merged factors",
    "aggregated.non_decomposition": "APA(ND)  merged updates",
    "aggregated.prediction": "averaged predictions (K passes)",
    "evidence.alone": "evidence alone (no language model)",
    "evidence.with_model": "APA + evidence",
}
_AVERAGES = "aggregated.prediction"
SERVED = "  <- served"
"""Follows the title of what predictions are, where a run has evidence."""
HEADERS = ("variant", "valid AUC", "valid LogLoss", "test AUC", "95 % interval", "test UAUC", "test LogLoss")


def variants(figures: Mapping[str, float]) -> list[str]:
    """Names of all scored variants, in the order of the table."""
    scored = [k for k in figures if k.startswith(("valid.", "test.")) and k.endswith(".logloss")]
    found = {k.split(".", 1)[1].removesuffix(".logloss") for k in scored}
    order = ("adapters", "aggregated", "evidence", BASELINES, "rules")
    return sorted(found, key=lambda v: (order.index(v.split(".")[0]), v))


def title_of(variant: str) -> str:
    """A variant in words."""
    kind, _, name = variant.partition(".")
    if kind == "adapters":
        return f"adapter {name} alone"
    if kind == BASELINES:
        return f"{name}, all training rows"
    return _TITLES.get(variant, name)


def table_rows(figures: Mapping[str, float], chosen: str = "") -> list[list[str]]:
    """One row per variant, under ``HEADERS``.

    Args:
        chosen: the configured aggregation, marked if the language model alone is served.
    """
    by, marked = _by(figures), served_variant(figures, chosen)
    return [
        [
            title_of(v) + (SERVED if v == marked else ""),
            _number(figures.get(f"valid.{_validated(figures, v)}.auc")),
            _number(figures.get(f"valid.{_validated(figures, v)}.logloss")),
            _number(figures.get(f"test.{v}.auc")),
            _interval(figures, f"test.{v}.auc{by}"),
            _number(figures.get(f"test.{v}.uauc")),
            _number(figures.get(f"test.{v}.logloss")),
        ]
        for v in _shown(figures)
    ]


def _validated(figures: Mapping[str, float], variant: str) -> str:
    """The variant whose validation figures stand for this one's: averages for an aggregation that was not scored there,
    as the first table does without a pass of every validation sample."""
    scored = f"valid.{variant}.logloss" in figures
    return variant if scored or not variant.startswith("aggregated.") else _AVERAGES


def _shown(figures: Mapping[str, float]) -> list[str]:
    """All variants, or those with a test figure if some have none: single adapters are always known on the validation
    samples, but only ``variants: all`` tests them."""
    named = variants(figures)
    tested = [v for v in named if f"test.{v}.logloss" in figures]
    return tested or named


def served_variant(figures: Mapping[str, float], chosen: str) -> str:
    """The variant that predictions are; empty for a run without evidence."""
    named = {MODEL: f"aggregated.{chosen}", ALONE: EVIDENCE_ALONE, BOTH: WITH_MODEL}
    return next((variant for name, variant in named.items() if figures.get(f"evidence.served.{name}") == 1), "")


def text_table(figures: Mapping[str, float], chosen: str = "") -> str:
    """The table for a terminal; arguments as in :func:`table_rows`."""
    return tabulate(table_rows(figures, chosen), headers=HEADERS, disable_numparse=True)


def verdict(figures: Mapping[str, float], chosen: str) -> str:
    """One sentence: does the chosen aggregation beat the share of likes in the history on the test rows?"""
    key = f"test.aggregated.{chosen}"
    if f"{key}.auc_gain" not in figures:
        return "The test labels are all the same: no AUC."
    by = _by(figures)
    gain, low, high = (figures[f"{key}.{name}"] for name in ("auc_gain", f"auc_gain{by}_low", f"auc_gain{by}_high"))
    rule = figures["test.rules.HistoryLikeRate.auc"]
    says = (
        f"test AUC {figures[f'{key}.auc']:.4f} ({chosen}) against {rule:.4f} for the share of likes in the history: "
        f"{gain:+.4f}, 95 % interval {low:+.4f} to {high:+.4f}"
    )
    if low > 0:
        return f"APA beats the share-of-likes rule: {says}."
    if gain > 0:
        return f"APA is above the share-of-likes rule, but not significantly on these rows: {says}."
    return (
        f"APA does not beat the share-of-likes rule here: {says}. With few samples per shard, a small model learns "
        "little beyond that share; try more training samples, more epochs or a larger backbone."
    )


def note(figures: Mapping[str, float]) -> str:
    """What the intervals are of, and how many users there are; empty for figures that were made before users were
    counted."""
    n_users, n_both = (figures.get(f"test.{name}") for name in ("n_users", "n_users_with_both_labels"))
    if n_users is None or n_both is None:
        return ""
    return users_note(round(figures["test.n_samples"]), round(n_users), round(n_both), bool(_by(figures)))


def validation_note(figures: Mapping[str, float]) -> str:
    """In what the validation columns differ from line to line; empty without evidence and RecBole's models."""
    shown = _shown(figures)
    kinds = {v.split(".")[0] for v in shown if f"valid.{v}.logloss" in figures}
    said = ["APA's tau and n, unless given, were chosen on these validation samples"]
    averaged = [v for v in shown if _validated(figures, v) != v]
    if averaged and f"valid.{_AVERAGES}.logloss" in figures:
        said.append("APA's figures are of the averages of its adapters' scores")
    if BASELINES in kinds:
        said.append("RecBole's models chose their epochs on rows that these are among")
    if "evidence" in kinds:
        said.append("evidence has the scores of fits without the sample's user")
    return f"Validation columns: {'; '.join(said)}." if len(said) > 1 else ""


def too_few_users(figures: Mapping[str, float]) -> bool:
    """Whether a percentile interval over so few users is too narrow."""
    return too_few(round(figures.get("test.n_users", 0)), bool(_by(figures)))


def _by(figures: Mapping[str, float]) -> str:
    """What intervals are of: users, if every variant has one over users, else rows, as in older runs."""
    having = [name for name in variants(figures) if f"test.{name}.auc_low" in figures]
    return BY_USERS if having and all(f"test.{name}.auc{BY_USERS}_low" in figures for name in having) else ""


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _interval(figures: Mapping[str, float], key: str) -> str:
    if f"{key}_low" not in figures:
        return "-"
    return f"{figures[f'{key}_low']:.3f} - {figures[f'{key}_high']:.3f}"
