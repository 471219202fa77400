"""Rows that need no language model, on every row of the test split."""

from collections.abc import Sequence

import numpy as np

from recbole_apa.comparison.report.judging import Judging
from recbole_apa.comparison.report.slices import Table
from recbole_apa.comparison.row import DONE, Row
from recbole_apa.evaluation.metrics import (
    auc,
    interval,
    mean_log_loss,
    resampled_aucs,
    uauc,
    user_numbers,
    users_with_both_labels,
)
from recbole_apa.evaluation.report.users_note import users_note

TITLE = "Rows without a language model, on every row of the test split"
RESAMPLES = 1000


def all_rows_table(rows: Sequence[Row], judging: Judging) -> tuple[Table, str] | None:
    """AUC, UAUC and LogLoss of the first seed's rows, differences from the first of them, and a note; None if there are
    none.

    Differences are paired: on the same users (or rows), resampled together.
    """
    seed = min(judging.samples)
    samples = judging.samples[seed]
    found = [row for row in rows if row.status == DONE and row.seed == seed and row.all_scores]
    if not found or "all_label" not in samples:
        return None
    labels, users = np.array(samples["all_label"]), user_numbers(list(map(str, samples["all_user"])))
    scores = {row.method: np.array(row.all_scores) for row in found}
    mixed = 0 < labels.sum() < len(labels)
    drawn = resampled_aucs(labels, scores, RESAMPLES, 0, users if judging.by_users else None) if mixed else {}
    first = found[0].method
    lines = []
    for row in found:
        values = scores[row.method]
        loss = f"{mean_log_loss(labels, values):.4f}" if "logloss" in row.figures else "-"
        lines.append([row.method, _number(auc(labels, values)), _number(uauc(labels, values, users)), loss])
        gap = auc(labels, values), auc(labels, scores[first])
        if row.method == first or None in gap:
            lines[-1] += ["", ""]
            continue
        low, high = interval(drawn[row.method] - drawn[first])
        lines[-1] += [f"{gap[0] - gap[1]:+.4f}", f"{low:+.4f} to {high:+.4f}"]  # type: ignore[operator]
    head = ["method", "AUC", "UAUC", "LogLoss", f"minus {first}", "95 % interval"]
    n_both = users_with_both_labels(labels, users)
    note = users_note(len(labels), len(np.unique(users)), n_both, judging.by_users)
    return (head, lines), f"Seed {seed}. {note}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
