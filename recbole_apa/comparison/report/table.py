"""Tables and figures of a comparison, made from its row records alone."""

import csv
import io
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import TypedDict

import numpy as np
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs
from tabulate import tabulate

from recbole_apa.comparison.report.criterion import ByLabel, ByRank, Criterion
from recbole_apa.comparison.row import DONE, REFERENCE, Row, problems
from recbole_apa.core.files.whole import write_text
from recbole_apa.evaluation.measures import SCORE_MEASURES
from recbole_apa.evaluation.metrics import interval
from recbole_apa.evaluation.report.pages import render

NOISE = "Retraining, another seed"
RESAMPLES = 1000
COSTS = (
    "train s",
    "unlearn s",
    "shards hit",
    "ratio",
    "ms/sample",
    "passes",
    "peak MiB",
    "parameters",
)


def headers(criterion: Criterion) -> list[str]:
    """Column titles of the table."""
    first, *others = (
        SCORE_MEASURES[name].title if name in SCORE_MEASURES else name for name in (criterion.figure, *criterion.others)
    )
    return ["method", first, "spread", *others, "minus Retraining", "95 % interval", *COSTS]


class JudgedSamples(TypedDict, total=False):
    """``samples.json``: what slices need to know of each test sample, (n,)."""

    label: list[int]
    n_history: list[int]
    n_train_samples_of_user: list[int]
    n_train_rows_of_item: list[int]
    metrics: Sequence[str]
    """If ranks in lists are judged: the metrics' names, starting with the one that rows are compared by."""
    n_candidates: int


def criterion_of(samples: JudgedSamples) -> Criterion:
    """What the rows are judged by, according to ``samples.json``."""
    if "metrics" in samples:
        first, *others = samples["metrics"]
        return ByRank(int(first.partition("@")[2]), len(samples["label"]), tuple(others))
    return ByLabel(np.array(samples["label"]))


def write_comparison(folder: Path, rows: Sequence[Row], samples: JudgedSamples, slices: bool) -> str:
    """Write ``table.md``, ``table.csv``, ``table.tex`` and ``report.html``.

    Args:
        samples: ``label`` and what slices need, in addition to what the rows keep of each sample; ``metrics`` if ranks
            in lists are judged.
        slices: also write tables of parts of the test samples.

    Returns:
        the table for a terminal, with what went wrong.
    """
    criterion = criterion_of(samples)
    head, body = headers(criterion), comparison_rows(rows, criterion)
    failed = problems(rows)
    parts = slice_tables(rows, samples) if slices else {}
    text = tabulate(body, head, disable_numparse=True)
    for name, table in parts.items():
        text += f"\n\n{name}\n" + tabulate(table[1], table[0], disable_numparse=True)
    markdown = tabulate(body, head, tablefmt="github", disable_numparse=True)
    write_text(folder / "table.md", markdown + "\n")
    write_text(folder / "table.csv", _csv([head, *body]))
    write_text(folder / "table.tex", tabulate(body, head, tablefmt="latex_booktabs", disable_numparse=True) + "\n")
    page = render(
        "comparison.html",
        title=folder.name,
        headers=head,
        figure=head[1],
        n_candidates=samples.get("n_candidates"),
        rows=body,
        failed=failed,
        parts=parts,
        n_samples=len(samples["label"]),
        seeds=sorted({row.seed for row in rows}),
        drawings=_drawings(rows, criterion.figure, head[1]),
        plotly=get_plotlyjs(),
    )
    write_text(folder / "report.html", page)
    return "\n".join([text, *failed])


def _csv(lines: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


def comparison_rows(rows: Sequence[Row], criterion: Criterion) -> list[list[str]]:
    """One line per method, with means over its seeds, under :func:`headers`; differences from the reference are paired
    by test sample and seed."""
    done = [row for row in rows if row.status == DONE]
    methods = list(dict.fromkeys(row.method for row in rows))
    by_name = {name: [row for row in done if row.method == name] for name in methods}
    reference = {row.seed: row for row in by_name.get(REFERENCE, [])}
    resampled = criterion.resampled({_name(row): np.array(row.scores) for row in done}, RESAMPLES)
    out = []
    for name in methods:
        found = by_name[name]
        if not found:
            out.append([name, "failed", *[""] * (len(headers(criterion)) - 2)])
            continue
        pairs = [(row, reference[row.seed]) for row in found if row.seed in reference]
        out.append([name, *_quality(found, [] if name == REFERENCE else pairs, resampled, criterion), *_costs(found)])
    if len(reference) > 1:
        out.append(_noise([reference[seed] for seed in sorted(reference)], resampled, criterion))
    return out


def _noise(reference: Sequence[Row], resampled: Mapping[str, np.ndarray], criterion: Criterion) -> list[str]:
    """What the seed alone changes: the mean distance between two seeds, and the interval of the first two's
    difference."""
    pairs = list(combinations(reference, 2))
    figure = criterion.figure
    gaps = [abs(a.figures[figure] - b.figures[figure]) for a, b in pairs if figure in a.figures]
    gap = f"±{np.mean(gaps):.4f}" if gaps else ""
    return [NOISE, "", "", *[""] * len(criterion.others), gap, _gap_interval(pairs[:1], resampled), *[""] * len(COSTS)]


def _name(row: Row) -> str:
    return f"{row.method}/{row.seed}"


def _quality(
    rows: Sequence[Row], pairs: Sequence[tuple[Row, Row]], resampled: Mapping[str, np.ndarray], criterion: Criterion
) -> list[str]:
    def known(name: str) -> list[float]:
        return [row.figures[name] for row in rows if name in row.figures]

    def mean(values: Sequence[float], name: str) -> str:
        how = SCORE_MEASURES[name].format if name in SCORE_MEASURES else ".4f"
        return format(float(np.mean(values)), how) if values else "-"

    figure = criterion.figure
    first = known(figure)
    gaps = [a.figures[figure] - b.figures[figure] for a, b in pairs if figure in a.figures and figure in b.figures]
    return [
        mean(first, figure),
        f"{np.std(first, ddof=1):.4f}" if len(first) > 1 else "",
        *(mean(known(name), name) for name in criterion.others),
        f"{np.mean(gaps):+.4f}" if gaps else "",
        _gap_interval(pairs, resampled),
    ]


def _gap_interval(pairs: Sequence[tuple[Row, Row]], resampled: Mapping[str, np.ndarray]) -> str:
    gaps = [resampled[_name(a)] - resampled[_name(b)] for a, b in pairs if _name(a) in resampled]
    if not gaps:
        return ""
    low, high = interval(np.mean(gaps, axis=0))
    return f"{low:+.3f} to {high:+.3f}"


def _costs(rows: Sequence[Row]) -> list[str]:
    def mean(key: str) -> float:
        return float(np.mean([row.figures[key] for row in rows]))

    ratio = mean("train_seconds") / mean("unlearn_seconds") if mean("unlearn_seconds") else 0.0
    return [
        f"{mean('train_seconds'):.1f}",
        f"{mean('unlearn_seconds'):.1f}",
        f"{mean('unlearn_shards_hit'):.1f} of {mean('n_shards'):.0f}",
        f"{ratio:.2f}" if ratio else "",
        f"{mean('inference_ms_per_sample'):.2f}",
        f"{mean('forward_passes'):.0f}",
        f"{mean('peak_memory_bytes') / 2**20:.0f}",
        f"{mean('n_parameters'):,.0f}",
    ]


def slice_tables(rows: Sequence[Row], samples: JudgedSamples) -> dict[str, tuple[list[str], list[list[str]]]]:
    """AUC (or NDCG) on parts of the test samples, means over seeds: title -> (header, lines)."""
    criterion = criterion_of(samples)
    seen = np.array(samples["n_train_rows_of_item"])
    warm = np.array(samples["n_train_samples_of_user"]) > 0
    full = np.array(samples["n_history"]) >= max(samples["n_history"], default=0)
    often = seen > np.median(seen)
    cuts = {
        "user": {"cold user (no training sample)": ~warm, "warm user": warm},
        "history": {"short history": ~full, "full history": full},
        "item": {"rare item (at most the median of training rows)": ~often, "popular item": often},
    }
    methods = list(dict.fromkeys(row.method for row in rows if row.status == DONE))
    out = {}
    for title, parts in cuts.items():
        head = ["method", *(f"{name}, n = {int(part.sum())}" for name, part in parts.items())]
        lines = []
        for method in methods:
            found = [np.array(row.scores) for row in rows if row.method == method and row.status == DONE]
            cells = []
            for part in parts.values():
                values = [criterion.value(kept, part) for kept in found]
                known = [v for v in values if v is not None]
                cells.append(f"{np.mean(known):.4f}" if known else "-")
            lines.append([method, *cells])
        out[f"{headers(criterion)[1]} by {title}"] = (head, lines)
    return out


def _drawings(rows: Sequence[Row], figure: str, title: str) -> list[tuple[str, str]]:
    """(caption, HTML)."""
    done = [row for row in rows if row.status == DONE and figure in row.figures]
    drawn = {
        f"{title} against the time to forget one interaction": ("unlearn_seconds", figure, "seconds", f"test {title}"),
        f"{title} against the number of shards": ("n_shards", figure, "K", f"test {title}"),
        "Time of a prediction against K": (
            "n_shards",
            "inference_ms_per_sample",
            "K",
            "ms a sample",
        ),
    }
    out = []
    for caption, (x, y, x_title, y_title) in drawn.items():
        drawing = go.Figure()
        for name in dict.fromkeys(row.method for row in done):
            found = [row.figures for row in done if row.method == name]
            drawing.add_scatter(x=[f[x] for f in found], y=[f[y] for f in found], mode="markers", name=name)
        drawing.update_layout(
            template="plotly_white", height=420, margin={"t": 20}, xaxis_title=x_title, yaxis_title=y_title
        )
        out.append((caption, drawing.to_html(full_html=False, include_plotlyjs=False)))
    return out
