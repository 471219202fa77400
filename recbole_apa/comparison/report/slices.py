"""Tables of parts of the test samples: cold and warm users, short and long histories, rare and popular items."""

from collections.abc import Mapping, Sequence

import numpy as np

from recbole_apa.comparison.report.judging import JudgedSamples, Judging
from recbole_apa.comparison.row import DONE, Row

Table = tuple[list[str], list[list[str]]]
"""Header and lines."""


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
        lines = []
        for method in dict.fromkeys(row.method for row in done):
            found = [(row.seed, np.array(row.scores)) for row in done if row.method == method]
            cells = []
            for name in named:
                values = [judging.criterion(seed).value(kept, of_seed[seed][cut][name]) for seed, kept in found]
                known = [v for v in values if v is not None]
                cells.append(f"{np.mean(known):.4f}" if known else "-")
            lines.append([method, *cells])
        out[f"{title} by {cut}"] = (head, lines)
    return out


def _parts(samples: JudgedSamples) -> Mapping[str, Mapping[str, np.ndarray]]:
    """What is cut by -> name of a part -> which samples are in it, (n,) bool."""
    seen = np.array(samples["n_train_rows_of_item"])
    warm = np.array(samples["n_train_samples_of_user"]) > 0
    full = np.array(samples["n_history"]) >= max(samples["n_history"], default=0)
    often = seen > np.median(seen)
    return {
        "user": {"cold user (no training sample)": ~warm, "warm user": warm},
        "history": {"short history": ~full, "full history": full},
        "item": {"rare item (at most the median of training rows)": ~often, "popular item": often},
    }
