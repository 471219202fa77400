"""Parts of the test samples, and how the rows do on each: cold and warm users, short and long histories, rare and
popular items, users and items that RecBole's models have seen or not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recbole_apa.comparison.report.judging import JudgedSamples, Judging
from recbole_apa.comparison.row import DONE, Row

Table = tuple[list[str], list[list[str]]]
"""Header and lines."""


@dataclass(frozen=True)
class Slice:
    """A part of the test samples."""

    name: str
    n: int
    """Its test samples; of the first seed, if each draws others."""
    figure: str
    """What the rows are judged by, as among their figures."""
    values: Mapping[str, float]
    """Row -> that figure on this part, mean over seeds; left out where it is undefined."""


def slice_tables(rows: Sequence[Row], judging: Judging, title: str) -> dict[str, Table]:
    """AUC (or NDCG) on parts of the test samples, means over seeds: title -> (header, lines).

    Args:
        title: of the figure.
    """
    done = [row for row in rows if row.status == DONE]
    of_seed = {seed: _parts(judging.samples[seed]) for seed in sorted({row.seed for row in done})}
    out = {}
    for cut, named in _parts(judging.first).items():
        sizes = {name: list(dict.fromkeys(int(of_seed[s][cut][name].sum()) for s in of_seed)) for name in named}
        head = ["method", *(f"{name}, n = {', '.join(map(str, sizes[name]))}" for name in named)]
        found = [_values(done, judging, cut, name) for name in named]
        methods = dict.fromkeys(row.method for row in done)
        lines = [[method, *(f"{v[method]:.4f}" if method in v else "-" for v in found)] for method in methods]
        out[f"{title} by {cut}"] = (head, lines)
    return out


def slice_figures(rows: Sequence[Row], judging: Judging) -> list[Slice]:
    """Every part, with the figure of each row."""
    figure = judging.criterion().figure
    return [
        Slice(name, int(part.sum()), figure, _values(rows, judging, cut, name))
        for cut, named in _parts(judging.first).items()
        for name, part in named.items()
    ]


def _values(rows: Sequence[Row], judging: Judging, cut: str, name: str) -> dict[str, float]:
    """Row -> the figure on a part, mean over seeds, where it is defined."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if row.status == DONE:
            part = _parts(judging.samples[row.seed])[cut][name]
            value = judging.criterion(row.seed).value(np.array(row.scores), part)
            if value is not None:
                found.setdefault(row.method, []).append(value)
    return {method: float(np.mean(values)) for method, values in found.items()}


def _parts(samples: JudgedSamples) -> dict[str, dict[str, np.ndarray]]:
    """What is cut by -> name of a part -> which samples are in it, (n,) bool."""
    often = np.array(samples["n_train_rows_of_item"])
    often = often > np.median(often)
    warm = np.array(samples["n_train_samples_of_user"]) > 0
    full = np.array(samples["n_history"]) >= max(samples["n_history"], default=0)
    out = {
        "user": {"cold user (no training sample)": ~warm, "warm user": warm},
        "history": {"short history": ~full, "full history": full},
        "item": {"rare item (at most the median of training rows)": ~often, "popular item": often},
    }
    for what, known in (("user", samples.get("user_seen")), ("item", samples.get("item_seen"))):
        if known is not None:  # files of older comparisons do not say
            seen = np.array(known) == 1
            out[f"{what} in the baselines' rows"] = {f"{what} unseen": ~seen, f"{what} seen": seen}
    return out
