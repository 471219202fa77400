"""Tables and figures of a comparison, made of its row records alone."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
from jinja2 import Environment, FileSystemLoader
from plotly.offline import get_plotlyjs
from tabulate import tabulate

from recbole_apa.comparison_record import DONE, REFERENCE, Row
from recbole_apa.evaluation.metrics import auc, interval, resampled_aucs
from recbole_apa.files import write_text

NOISE = "Retraining, another seed"
RESAMPLES = 1000
HEADERS = (
    "method",
    "AUC",
    "spread",
    "LogLoss",
    "minus Retraining",
    "95 % interval",
    "train s",
    "unlearn s",
    "shards hit",
    "ratio",
    "ms/sample",
    "passes",
    "peak MiB",
    "parameters",
)


def write_comparison(folder: Path, rows: Sequence[Row], samples: Mapping[str, Sequence[Any]], slices: bool) -> str:
    """Write ``table.md``, ``table.csv``, ``table.tex`` and ``report.html``.

    Args:
        samples: ``label`` and what slices look at, beside the rows' scores.
        slices: also tables of parts of the test samples.

    Returns:
        the table for a terminal, with the reasons of rows that failed.
    """
    labels = np.array(samples["label"])
    body = comparison_rows(rows, labels)
    failed = [f"{row.method}, seed {row.seed}: {row.reason}" for row in rows if row.status != DONE]
    parts = slice_tables(rows, samples) if slices else {}
    text = tabulate(body, HEADERS, disable_numparse=True)
    for name, table in parts.items():
        text += f"\n\n{name}\n" + tabulate(table[1], table[0], disable_numparse=True)
    markdown = tabulate(body, HEADERS, tablefmt="github", disable_numparse=True)
    write_text(folder / "table.md", markdown + "\n")
    write_text(folder / "table.csv", _csv([list(HEADERS), *body]))
    write_text(folder / "table.tex", tabulate(body, HEADERS, tablefmt="latex_booktabs", disable_numparse=True) + "\n")
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
    page = environment.get_template("comparison.html").render(
        title=folder.name,
        headers=HEADERS,
        rows=body,
        failed=failed,
        parts=parts,
        n_samples=len(labels),
        seeds=sorted({row.seed for row in rows}),
        drawings=_drawings(rows),
        plotly=get_plotlyjs(),
    )
    write_text(folder / "report.html", page)
    return "\n".join([text, *(f"failed: {line}" for line in failed)])


def _csv(lines: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


def comparison_rows(rows: Sequence[Row], labels: np.ndarray) -> list[list[str]]:
    """One line a method, means over its seeds, under ``HEADERS``; differences to the reference are paired by test
    sample and seed."""
    done = [row for row in rows if row.status == DONE]
    methods = list(dict.fromkeys(row.method for row in rows))
    by_name = {name: [row for row in done if row.method == name] for name in methods}
    reference = {row.seed: row for row in by_name.get(REFERENCE, [])}
    resampled = _resampled(done, labels)
    out = []
    for name in methods:
        found = by_name[name]
        if not found:
            out.append([name, "failed", *[""] * (len(HEADERS) - 2)])
            continue
        pairs = [(row, reference[row.seed]) for row in found if row.seed in reference]
        out.append([name, *_quality(found, [] if name == REFERENCE else pairs, resampled), *_costs(found)])
    seeds = sorted(reference)
    if len(seeds) > 1:
        # what a seed alone changes: each against the next
        pairs = [(reference[a], reference[b]) for a, b in zip(seeds, [*seeds[1:], seeds[0]], strict=True)]
        pairs = pairs[: 1 if len(seeds) == 2 else len(pairs)]
        gaps = [abs(a.figures["auc"] - b.figures["auc"]) for a, b in pairs if "auc" in a.figures]
        low_high = _gap_interval(pairs, resampled)
        out.append([NOISE, "", "", "", f"±{np.mean(gaps):.4f}" if gaps else "", low_high, *[""] * (len(HEADERS) - 6)])
    return out


def _resampled(rows: Sequence[Row], labels: np.ndarray) -> dict[str, np.ndarray]:
    scores = {_name(row): np.array(row.scores) for row in rows}
    return resampled_aucs(labels, scores, RESAMPLES, seed=0) if 0 < labels.sum() < len(labels) else {}


def _name(row: Row) -> str:
    return f"{row.method}/{row.seed}"


def _quality(rows: Sequence[Row], pairs: Sequence[tuple[Row, Row]], resampled: Mapping[str, np.ndarray]) -> list[str]:
    aucs = [row.figures["auc"] for row in rows if "auc" in row.figures]
    losses = [row.figures["logloss"] for row in rows if "logloss" in row.figures]
    gaps = [a.figures["auc"] - b.figures["auc"] for a, b in pairs if "auc" in a.figures and "auc" in b.figures]
    return [
        f"{np.mean(aucs):.4f}" if aucs else "-",
        f"{np.std(aucs, ddof=1):.4f}" if len(aucs) > 1 else "",
        f"{np.mean(losses):.4f}" if losses else "-",
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


def slice_tables(
    rows: Sequence[Row], samples: Mapping[str, Sequence[Any]]
) -> dict[str, tuple[list[str], list[list[str]]]]:
    """AUC on parts of the test samples, means over seeds: title -> (header, lines)."""
    labels = np.array(samples["label"])
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
                values = [auc(labels[part], scores[part]) if part.any() else None for scores in found]
                known = [v for v in values if v is not None]
                cells.append(f"{np.mean(known):.4f}" if known else "-")
            lines.append([method, *cells])
        out[f"AUC by {title}"] = (head, lines)
    return out


def _drawings(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """(caption, HTML)."""
    done = [row for row in rows if row.status == DONE and "auc" in row.figures]
    drawn = {
        "AUC against the time to forget one interaction": ("unlearn_seconds", "auc", "seconds", "test AUC"),
        "AUC against the number of shards": ("n_shards", "auc", "K", "test AUC"),
        "Time of a prediction against K": (
            "n_shards",
            "inference_ms_per_sample",
            "K",
            "ms a sample",
        ),
    }
    out = []
    for caption, (x, y, x_title, y_title) in drawn.items():
        figure = go.Figure()
        for name in dict.fromkeys(row.method for row in done):
            found = [row.figures for row in done if row.method == name]
            figure.add_scatter(x=[f[x] for f in found], y=[f[y] for f in found], mode="markers", name=name)
        figure.update_layout(
            template="plotly_white", height=420, margin={"t": 20}, xaxis_title=x_title, yaxis_title=y_title
        )
        out.append((caption, figure.to_html(full_html=False, include_plotlyjs=False)))
    return out
