"""``report.html``: one file that opens without a network. Reads ``metrics.json``, ``manifest.json``, ``figures/``."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from recbole_apa.core.files.whole import read_json, write_text
from recbole_apa.evaluation.attempt import attempt
from recbole_apa.evaluation.report.baseline_lines import baseline_lines
from recbole_apa.evaluation.report.evidence_lines import evidence_lines
from recbole_apa.evaluation.report.figures import Curve
from recbole_apa.evaluation.report.pages import render
from recbole_apa.evaluation.report.prefix_table import PREFIX_HEADERS, PREFIX_TITLE, prefix_rows
from recbole_apa.evaluation.report.run_table import HEADERS, note, table_rows, title_of, validation_note, verdict

_FACTS = ("_seconds", "_bytes", ".n_samples", ".n_users", ".n_users_with_both_labels", ".yes_share")
Draw = Callable[[Mapping[str, Any]], go.Figure]
"""The data of one file in ``figures/`` -> the plot."""


def write_report(folder: Path, requests: Sequence[Mapping[str, object]] = (), name: str = "") -> Path:
    """Write ``report.html`` from a run folder's records.

    Args:
        requests: ``position``, ``time`` and ``n_interactions`` of each completed request; the report links to its
            certificate.
        name: of the run; empty: the folder's.
    """
    figures: Mapping[str, float] = read_json(folder / "metrics.json")
    manifest = read_json(folder / "manifest.json")
    chosen = manifest["settings"]["aggregation"]
    page = render(
        "report.html",
        title=name or folder.name,
        verdict=attempt("verdict", lambda: verdict(figures, chosen), "") if "test.n_samples" in figures else "",
        headers=HEADERS,
        note=" ".join([note(figures) or "Intervals resample rows.", validation_note(figures)]).strip(),
        rows=table_rows(figures, chosen),
        evidence=evidence_lines(figures),
        beside=baseline_lines(figures),
        prefix_title=PREFIX_TITLE,
        prefix_headers=PREFIX_HEADERS,
        prefix_rows=prefix_rows(figures),
        facts={k: v for k, v in figures.items() if k.endswith(_FACTS)}
        | {k: v for k, v in figures.items() if k.startswith(("recbole.", "prompts."))},
        settings=manifest["settings"],
        requests=requests,
        drawings=_drawings(folder / "figures"),
        plotly=get_plotlyjs(),
    )
    path = folder / "report.html"
    write_text(path, page)
    return path


def _drawings(folder: Path) -> list[tuple[str, str]]:
    """(caption, HTML) of each recorded figure."""
    makers: dict[str, tuple[str, Draw]] = {
        "shard_sizes": ("Samples in each shard", _sizes),
        "sample_map": ("Training samples (first two principal components of h), coloured by shard", _map),
        "training_losses": ("Training loss of each adapter", _losses),
        "attention_weights": ("Attention weight of each adapter (test samples)", _weights),
        "roc_curves": ("ROC on the test samples", _roc),
    }
    out = []
    for name, (caption, draw) in makers.items():
        path = folder / f"{name}.json"
        if path.is_file() and (data := read_json(path)):
            drawn = attempt(f"figure {name}", partial(_page_of, draw, data), "")
            out += [(caption, drawn)] if drawn else []
    return out


def _page_of(draw: Draw, data: Mapping[str, Any]) -> str:
    figure = draw(data).update_layout(template="plotly_white", height=420, margin={"t": 20})
    return str(figure.to_html(full_html=False, include_plotlyjs=False))


def _sizes(data: Mapping[str, list[int]]) -> go.Figure:
    figure = go.Figure(go.Bar(x=[f"{k:03d}" for k in data["shards"]], y=data["samples"]))
    return figure.update_layout(xaxis_title="shard", yaxis_title="samples", xaxis_type="category")


def _map(data: Mapping[str, list[float]]) -> go.Figure:
    figure = go.Figure()
    for shard in sorted(set(data["shard"])):
        rows = [i for i, k in enumerate(data["shard"]) if k == shard]
        x, y = [data["x"][i] for i in rows], [data["y"][i] for i in rows]
        figure.add_scatter(x=x, y=y, mode="markers", marker={"size": 5}, name=f"shard {shard:03d}")
    return figure.update_layout(xaxis_title="first component", yaxis_title="second component")


def _losses(data: Mapping[str, list[float]]) -> go.Figure:
    figure = go.Figure()
    for shard, losses in data.items():
        figure.add_scatter(x=list(range(1, len(losses) + 1)), y=losses, mode="lines+markers", name=f"shard {shard}")
    return figure.update_layout(xaxis_title="step", yaxis_title="loss")


def _weights(data: Mapping[str, Any]) -> go.Figure:
    shards = [f"{k:03d}" for k in range(len(data["mean"]))]
    figure = go.Figure(go.Bar(x=shards, y=data["mean"], name="mean weight"))
    figure.add_bar(x=shards, y=data["first_place_share"], name="share of samples where it is the largest")
    return figure.update_layout(xaxis_title="adapter", yaxis_title="weight", xaxis_type="category")


def _roc(data: Mapping[str, Curve]) -> go.Figure:
    figure = go.Figure(go.Scatter(x=[0, 1], y=[0, 1], line={"dash": "dot", "color": "grey"}, name="chance"))
    for name, curve in data.items():
        figure.add_scatter(x=curve["x"], y=curve["y"], mode="lines", name=title_of(name))
    return figure.update_layout(xaxis_title="false positive rate", yaxis_title="true positive rate")
