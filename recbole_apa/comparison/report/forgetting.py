"""The table of a forgetting comparison, and its page."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs
from tabulate import tabulate

from recbole_apa.comparison.row import DONE, Row, problems
from recbole_apa.core.files.whole import write_text
from recbole_apa.evaluation.measures import FORGETTING_MEASURES
from recbole_apa.evaluation.report.pages import render

COSTS = {"seconds": ("unlearn_seconds", ".1f"), "peak, MiB": ("peak_memory_mib", ".0f")}
"""Title -> (figure, how it is written)."""


def columns_of_measures() -> dict[str, tuple[str, str]]:
    """The table's columns: title -> (figure, how it is written)."""
    return {m.title: (name, m.format) for name, m in FORGETTING_MEASURES.items() if m.title} | COSTS


def write_forgetting(folder: Path, rows: Sequence[Row], redrawn: bool = False) -> str:
    """Write ``table.md`` and ``report.html``; returns the table for a terminal.

    Args:
        redrawn: whether each seed draws other samples.
    """
    columns = columns_of_measures()
    spread = {name for name, measure in FORGETTING_MEASURES.items() if measure.spread}
    head, body = ["method", *columns], forgetting_rows(rows, columns, spread)
    failed, spread_is = problems(rows), [_spread_note(redrawn)] if len({row.seed for row in rows}) > 1 else []
    settings = settings_lines(rows)
    markdown = tabulate(body, head, tablefmt="github", disable_numparse=True)
    write_text(
        folder / "table.md",
        "\n".join([markdown, *_notes(settings), *(f"\n{note}" for note in (*spread_is, *failed))]) + "\n",
    )
    done = [row for row in rows if row.status == DONE]
    page = render(
        "forgetting.html",
        title=folder.name,
        headers=head,
        rows=body,
        settings=settings,
        failed=failed,
        notes=spread_is,
        n_forget=round(np.mean([row.figures["n_forget"] for row in done])) if done else 0,
        n_requests=max((row.figures["n_requests"] for row in done), default=1),
        seeds=sorted({row.seed for row in rows}),
        drawing=_drawing(done),
        plotly=get_plotlyjs(),
    )
    write_text(folder / "report.html", page)
    return "\n".join([tabulate(body, head, disable_numparse=True), *spread_is, *failed])


def _spread_note(redrawn: bool) -> str:
    """What the standard deviation over seeds is of."""
    samples = "from other samples" if redrawn else "from the same samples (--redraw draws others)"
    return f"±: the standard deviation over seeds, each of which draws its own request {samples}."


def forgetting_rows(
    rows: Sequence[Row], columns: Mapping[str, tuple[str, str]], spread: Collection[str]
) -> list[list[str]]:
    """One line per method, with means over its seeds.

    Args:
        columns: title -> (figure, how it is written).
        spread: figures shown with their standard deviation over seeds, as it says how far to trust them.
    """
    out = []
    for name in dict.fromkeys(row.method for row in rows):
        found = [_shown(row) for row in rows if row.method == name and row.status == DONE]
        if not found:
            out.append([name, "failed", *[""] * (len(columns) - 1)])
            continue
        cells = []
        for figure, how in columns.values():
            values = [f[figure] for f in found if figure in f]
            cell = format(float(np.mean(values)), how) if values else "-"
            if len(values) > 1 and figure in spread:
                cell += f" ± {np.std(values, ddof=1):{how}}"
            cells.append(cell)
        out.append([name, *cells])
    return out


def settings_lines(rows: Sequence[Row]) -> list[str]:
    """A line for each method with settings: its name, and each setting with its value."""
    found = {row.method: row.settings for row in rows if row.settings}
    return [f"{name}: " + ", ".join(f"{k} {v}" for k, v in settings.items()) for name, settings in found.items()]


def _shown(row: Row) -> dict[str, float]:
    figures = dict(row.figures)
    if "peak_memory_bytes" in figures:
        figures["peak_memory_mib"] = figures["peak_memory_bytes"] / 2**20
    return figures


def _drawing(rows: Sequence[Row]) -> str:
    """Distance to retraining against time; rows that are not a way of forgetting have no time."""
    figure, needed = go.Figure(), {"unlearn_seconds", "js_divergence"}
    for name in dict.fromkeys(row.method for row in rows):
        found = [row.figures for row in rows if row.method == name and needed <= row.figures.keys()]
        figure.add_scatter(
            x=[f["unlearn_seconds"] for f in found], y=[f["js_divergence"] for f in found], mode="markers", name=name
        )
    figure.update_layout(
        template="plotly_white",
        height=460,
        xaxis_title="seconds",
        yaxis_title="JSD to retraining, on what was forgotten",
    )
    drawn: str = figure.to_html(full_html=False, include_plotlyjs=False)
    return drawn


def _notes(settings: Sequence[str]) -> list[str]:
    """The settings of the methods, as Markdown."""
    return ["", *(f"- {line}" for line in settings)] if settings else []
