"""Figures before and after a request, as the certificate and the screen have them; without torch."""

import math
from collections.abc import Mapping

from recbole_apa.evaluation.report.run_table import served_variant, title_of

Pairs = dict[str, dict[str, float | None]]
"""Title -> ``before`` and ``after``, rounded; None where a figure is undefined."""
_TITLES = {"auc": "AUC", "logloss": "LogLoss"}


def figures_on_test(before: Mapping[str, float], after: Mapping[str, float], chosen: str) -> Pairs:
    """AUC and LogLoss on the test samples: in a run with evidence of what is served, which may be another variant after
    the request than before, then of the chosen aggregation.

    Args:
        before: all figures of the state before.
        chosen: the configured aggregation.
    """
    model = f"aggregated.{chosen}"
    variants = [served_variant(figures, chosen) for figures in (before, after)]
    if not any(variants):
        return {f"test {title}": _pair(before, after, f"test.{model}.{name}") for name, title in _TITLES.items()}
    names = [_name(variant or model) for variant in variants]
    # one without figures, as after a request at once, does not say what it served
    told = [name for name, figures in zip(names, (before, after), strict=True) if _has_figures(figures)] or names
    what = told[0] if len(set(told)) == 1 else f"before: {names[0]}; after: {names[1]}"
    first, second = (
        {name: figures.get(f"test.{variant or model}.{name}") for name in _TITLES}
        for figures, variant in zip((before, after), variants, strict=True)
    )
    out = {f"test {title}, served ({what})": _pair(first, second, name) for name, title in _TITLES.items()}
    alone = {
        f"test {title}, {_name(model)}": _pair(before, after, f"test.{model}.{name}") for name, title in _TITLES.items()
    }
    return out | alone


def forgotten_figures(before: Mapping[str, float], after: Mapping[str, float], n: int) -> Pairs:
    """AUC and LogLoss of the chosen aggregation on ``n`` forgotten training samples."""
    title_for = f"on {n} forgotten training samples"
    return {f"{title} {title_for}": _pair(before, after, name) for name, title in _TITLES.items()}


def _has_figures(figures: Mapping[str, float]) -> bool:
    return any(name.startswith("test.") for name in figures)


def _name(variant: str) -> str:
    """A variant's title without its columns."""
    return " ".join(title_of(variant).split())


def _pair(first: Mapping[str, float | None], second: Mapping[str, float | None], name: str) -> dict[str, float | None]:
    values = (first.get(name), second.get(name))
    rounded = (None if v is None or not math.isfinite(v) else round(v, 4) for v in values)
    return dict(zip(("before", "after"), rounded, strict=True))
