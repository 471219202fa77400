"""Rows that need no language model, on every row of the test split."""

from collections.abc import Mapping, Sequence

import numpy as np

from recbole_apa.comparison.report.judging import Judging
from recbole_apa.comparison.report.slices import Table
from recbole_apa.comparison.row import DONE, Row
from recbole_apa.evaluation.metrics import (
    auc,
    aucs_of_users,
    interval,
    mean_log_loss,
    resampled_aucs,
    resampled_uaucs,
    uauc,
    user_numbers,
    users_with_both_labels,
)
from recbole_apa.evaluation.report.users_note import users_note

TITLE = "Rows without a language model, on every row of the test split"
RESAMPLES = 1000

Difference = tuple[float, float, float]
"""A difference and the ends of its interval."""


def all_rows_table(rows: Sequence[Row], judging: Judging) -> tuple[Table, str] | None:
    """AUC, UAUC and LogLoss of the first seed's rows, differences of AUC and UAUC from the first of them, and a note;
    None if there are none.

    Differences are paired: on the same users (or rows), resampled together; those of UAUC always on users.
    """
    seed = min(judging.samples)
    samples = judging.samples[seed]
    found = [row for row in rows if row.status == DONE and row.seed == seed and row.all_scores]
    if not found or "all_label" not in samples:
        return None
    labels, users = np.array(samples["all_label"]), user_numbers(list(map(str, samples["all_user"])))
    scores, first = {row.method: np.array(row.all_scores) for row in found}, found[0].method
    overall = _aucs_minus(first, labels, scores, users if judging.by_users else None)
    within = _uaucs_minus(first, labels, scores, users)
    lines = []
    for row in found:
        values = scores[row.method]
        loss = f"{mean_log_loss(labels, values):.4f}" if "logloss" in row.figures else "-"
        lines.append([row.method, _number(auc(labels, values)), _number(uauc(labels, values, users)), loss])
        for gaps in (overall, within):
            lines[-1] += _cells(None if row.method == first else gaps.get(row.method))
    head = ["method", "AUC", "UAUC", "LogLoss"]
    head += [f"AUC minus {first}", "95 % interval", f"UAUC minus {first}", "95 % interval by users"]
    n_both = users_with_both_labels(labels, users)
    note = users_note(len(labels), len(np.unique(users)), n_both, judging.by_users)
    return (head, lines), " ".join(filter(None, (f"Seed {seed}.", note, _best_within(labels, scores, users))))


def _aucs_minus(
    first: str, labels: np.ndarray, scores: Mapping[str, np.ndarray], users: np.ndarray | None
) -> dict[str, Difference]:
    """Differences of AUC from one of the rows; none if all labels are the same."""
    if not 0 < labels.sum() < len(labels):
        return {}
    drawn = resampled_aucs(labels, scores, RESAMPLES, 0, users)
    values = {name: auc(labels, kept) or 0.0 for name, kept in scores.items()}
    return {name: (values[name] - values[first], *interval(drawn[name] - drawn[first])) for name in scores}


def _uaucs_minus(
    first: str, labels: np.ndarray, scores: Mapping[str, np.ndarray], users: np.ndarray
) -> dict[str, Difference]:
    """Differences of UAUC from one of the rows; none if too few users have both labels."""
    if uauc(labels, scores[first], users) is None:
        return {}
    of_users = {name: aucs_of_users(labels, kept, users) for name, kept in scores.items()}
    gaps = {name: values - of_users[first] for name, values in of_users.items()}
    return {name: (float(np.nanmean(gap)), *interval(resampled_uaucs(gap, RESAMPLES, 0))) for name, gap in gaps.items()}


def _best_within(labels: np.ndarray, scores: Mapping[str, np.ndarray], users: np.ndarray) -> str:
    """Which row has the highest UAUC, and which ones cannot be told apart from it; empty if there is no UAUC."""
    values = {name: uauc(labels, kept, users) or 0.0 for name, kept in scores.items()}
    best = max(values, key=lambda name: values[name])
    gaps = _uaucs_minus(best, labels, scores, users)
    if len(gaps) < 2:
        return ""
    near = [f"{name} {' ('.join(_cells(gap))})" for name, gap in gaps.items() if name != best and gap[2] >= 0]
    told = f"for {', '.join(near)}" if near else "for no other row"
    return f"{best} has the highest UAUC; the interval by users of the difference from it contains 0 {told}."


def _cells(gap: Difference | None) -> list[str]:
    return ["", ""] if gap is None else [f"{gap[0]:+.4f}", f"{gap[1]:+.4f} to {gap[2]:+.4f}"]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
