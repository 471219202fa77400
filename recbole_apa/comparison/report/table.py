"""Tables and figures of a comparison, made from its row records alone."""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs
from tabulate import tabulate

from recbole_apa.comparison.report.all_rows import TITLE, all_rows_table
from recbole_apa.comparison.report.costs import (
    COSTS,
    DRAWN,
    MEANT,
    cost_cells,
    drawn_note,
    drawn_table,
    learnt_note,
    single_model_seconds,
    stopping_note,
)
from recbole_apa.comparison.report.criterion import Criterion
from recbole_apa.comparison.report.judging import UAUC, Judging
from recbole_apa.comparison.report.model_adds import model_adds
from recbole_apa.comparison.report.seeds import of_asked_seeds, seeds_notes
from recbole_apa.comparison.report.slices import Table, slice_tables
from recbole_apa.comparison.report.table_files import write_tables
from recbole_apa.comparison.row import DONE, REFERENCE, UNLEARN_SECONDS, Row, problems
from recbole_apa.core.files.whole import write_text
from recbole_apa.evaluation.measures import SCORE_MEASURES
from recbole_apa.evaluation.metrics import interval
from recbole_apa.evaluation.report.pages import render

NOISE, OTHER_DRAW = "Retraining, another seed", "Retraining, another seed and draw"
RESAMPLES = 1000


def headers(criterion: Criterion) -> list[str]:
    """Column titles of the table."""
    first, *others = (_title(name) for name in (criterion.figure, *criterion.others))
    return ["method", first, "spread", *others, "minus Retraining", "95 % interval", *COSTS]


def _title(figure: str) -> str:
    return {UAUC: "UAUC"}.get(figure) or (SCORE_MEASURES[figure].title if figure in SCORE_MEASURES else figure)


def write_comparison(folder: Path, rows: Sequence[Row], judging: Judging, slices: bool) -> str:
    """Write ``table.md``, ``table.csv``, ``table.tex``, further tables in ``tables`` and ``report.html``.

    Args:
        judging: the test samples.
        slices: also write tables of parts of the test samples.

    Returns:
        the table for a terminal, with what intervals, spread and ratios are of, and what went wrong.
    """
    criterion, kept = judging.criterion(), of_asked_seeds(rows)
    head, body = headers(criterion), comparison_rows(rows, criterion, judging.criterion, judging.redrawn)
    failed, parts = problems(rows), _further(kept, judging, head[1], slices)
    notes = _notes(rows, judging)
    text = "\n".join([tabulate(body, head, disable_numparse=True), "", *notes])
    for name, ((titles, lines), note) in parts.items():
        text += f"\n\n{name}\n" + tabulate(lines, titles, disable_numparse=True) + (f"\n{note}" if note else "")
    write_tables(folder, (head, body), notes, parts, failed)
    page = render(
        "comparison.html",
        title=folder.name,
        headers=head,
        figure=head[1],
        n_candidates=judging.first.get("n_candidates"),
        rows=body,
        failed=failed,
        parts=parts,
        notes=notes,
        redrawn=judging.redrawn,
        n_samples=len(judging.first["label"]),
        seeds=sorted({row.seed for row in kept}),
        drawings=_drawings(kept, criterion.figure, head[1]),
        plotly=get_plotlyjs(),
    )
    write_text(folder / "report.html", page)
    return "\n".join([text, *failed])


def _further(rows: Sequence[Row], judging: Judging, figure: str, slices: bool) -> dict[str, tuple[Table, str]]:
    """Further tables: title -> table, note."""
    drawn, out = drawn_table(rows), {}
    if drawn:
        out[DRAWN] = (drawn, drawn_note(rows))
    whole = all_rows_table(rows, judging)
    if whole:
        out[TITLE] = whole
    if slices:
        out |= {title: (table, "") for title, table in slice_tables(rows, judging, figure).items()}
    return out


def _notes(rows: Sequence[Row], judging: Judging) -> list[str]:
    """What the figures of the table are of."""
    block = judging.first.get("baseline_data")
    added = [found.line for found in model_adds(rows, judging)]
    learnt = [*([learnt_note(block)] if block else []), stopping_note(rows)]
    silent = "" if "metrics" in judging.first else _silent_note(rows)
    return [note for note in (*added, *judging.notes(), *seeds_notes(rows), *learnt, MEANT, silent) if note]


def _silent_note(rows: Sequence[Row]) -> str:
    """Which rows distinguish no sample from another: their AUC says nothing."""
    named = [f"{row.method} (seed {row.seed})" for row in rows if len(row.scores) > 1 and len(set(row.scores)) == 1]
    return f"The same score for every test sample, so that there is nothing to judge: {', '.join(named)}." * bool(named)


def comparison_rows(
    rows: Sequence[Row],
    criterion: Criterion,
    of_seed: Callable[[int], Criterion] | None = None,
    redrawn: bool = False,
) -> list[list[str]]:
    """One line per method, with means over its seeds, under :func:`headers`; differences from the reference are paired
    by test sample and seed. Seeds that the reference alone has are in the last line alone.

    Args:
        criterion: what rows are judged by.
        of_seed: the same on the samples of a seed, if they differ from seed to seed.
        redrawn: whether each seed draws other samples.
    """
    done = [row for row in rows if row.status == DONE]
    methods = list(dict.fromkeys(row.method for row in rows))
    asked = [row for row in of_asked_seeds(rows) if row.status == DONE]
    by_name = {name: [row for row in asked if row.method == name] for name in methods}
    reference = {row.seed: row for row in done if row.method == REFERENCE}
    one_model = single_model_seconds(asked)
    resampled: dict[str, np.ndarray] = {}
    for seed in sorted({row.seed for row in done}):
        kept = {_name(row): np.array(row.scores) for row in done if row.seed == seed}
        resampled |= (of_seed(seed) if of_seed else criterion).resampled(kept, RESAMPLES)
    out = []
    for name in methods:
        found = by_name[name]
        if not found:
            out.append([name, "failed", *[""] * (len(headers(criterion)) - 2)])
            continue
        pairs = [(row, reference[row.seed]) for row in found if row.seed in reference]
        out.append(
            [
                name,
                *_quality(found, [] if name == REFERENCE else pairs, resampled, criterion),
                *cost_cells(found, one_model),
            ]
        )
    if len(reference) > 1:
        name = OTHER_DRAW if redrawn else NOISE
        out.append([name, *_noise([reference[seed] for seed in sorted(reference)], resampled, criterion)])
    return out


def _noise(reference: Sequence[Row], resampled: Mapping[str, np.ndarray], criterion: Criterion) -> list[str]:
    """What the seed alone changes: the mean distance between two seeds, and the interval of the first two's
    difference."""
    pairs = list(combinations(reference, 2))
    figure = criterion.figure
    gaps = [abs(a.figures[figure] - b.figures[figure]) for a, b in pairs if figure in a.figures]
    gap = f"±{np.mean(gaps):.4f}" if gaps else ""
    return ["", "", *[""] * len(criterion.others), gap, _gap_interval(pairs[:1], resampled), *[""] * len(COSTS)]


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


def _drawings(rows: Sequence[Row], figure: str, title: str) -> list[tuple[str, str]]:
    """(caption, HTML)."""
    done = [row for row in rows if row.status == DONE and figure in row.figures]
    drawn = {
        f"{title} against the time to forget one interaction": (UNLEARN_SECONDS, figure, "seconds", f"test {title}"),
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
            found = [row.figures for row in done if row.method == name and {x, y} <= row.figures.keys()]
            drawing.add_scatter(x=[f[x] for f in found], y=[f[y] for f in found], mode="markers", name=name)
        drawing.update_layout(
            template="plotly_white", height=420, margin={"t": 20}, xaxis_title=x_title, yaxis_title=y_title
        )
        out.append((caption, drawing.to_html(full_html=False, include_plotlyjs=False)))
    return out
