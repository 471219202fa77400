"""What the rows of a comparison are judged on, seed by seed, and how that is said below its table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

import numpy as np

from recbole_apa.comparison.report.criterion import ByLabel, ByRank, Criterion
from recbole_apa.comparison.row import DONE, Row
from recbole_apa.evaluation.metrics import number_of, uauc, users_with_both_labels
from recbole_apa.evaluation.report.users_note import too_few, users_note

UAUC = "uauc"
"""A figure of every row with labelled samples, made from what the row keeps."""


class JudgedSamples(TypedDict, total=False):
    """``samples.json``: what slices and intervals need to know of each test sample, (n,)."""

    label: list[int]
    user: list[int]
    """Numbers of the users, by first appearance; missing in files of older comparisons."""
    n_history: list[int]
    n_train_samples_of_user: list[int]
    n_train_rows_of_item: list[int]
    user_seen: list[int]
    """1 where the rows that RecBole's models learn from have the user, else 0."""
    item_seen: list[int]
    """Likewise for the item."""
    baseline_data: str
    """Which rows these are."""
    all_label: list[int]
    """Of every row of the test split, if rows without a language model were scored on all of them."""
    all_user: list[int]
    metrics: Sequence[str]
    """If ranks in lists are judged: the metrics' names, starting with the one that rows are compared by."""
    n_candidates: int


def spread_note(redrawn: bool) -> str:
    """What the standard deviation over seeds is of.

    Args:
        redrawn: whether each seed draws other samples.
    """
    if redrawn:
        return "spread: the standard deviation over seeds; each draws other samples: the noise of draw and training."
    return (
        "spread: the standard deviation over seeds; all have the same samples: the noise of training alone (--redraw "
        "draws others)."
    )


@dataclass(frozen=True)
class Judging:
    """The test samples of each seed."""

    samples: Mapping[int, JudgedSamples]
    """By seed; the same for all, unless the seeds draw other samples."""
    by_users: bool = True
    """Whether intervals resample users, where they are known; else rows."""
    redrawn: bool = False
    """Whether each seed draws other samples."""

    @property
    def first(self) -> JudgedSamples:
        """Those of the first seed."""
        return self.samples[min(self.samples)]

    @property
    def n_users(self) -> int:
        """Users of all seeds."""
        return max(number_of(np.array(samples["user"])) for samples in self.samples.values() if "user" in samples)

    def criterion(self, seed: int | None = None) -> Criterion:
        """What the rows of a seed are judged by; without a seed, those of the first."""
        samples = self.first if seed is None else self.samples[seed]
        users, n_users = None, None
        if self.by_users and "user" in samples:
            users, n_users = np.array(samples["user"]), self.n_users
        if "metrics" in samples:
            figure, *others = samples["metrics"]
            return ByRank(int(figure.partition("@")[2]), len(samples["label"]), tuple(others), users, n_users)
        return ByLabel(np.array(samples["label"]), users, n_users)

    def completed(self, row: Row) -> Row:
        """A row with its UAUC, if it has one: it is made from the scores, so that rows of older comparisons have it."""
        samples = self.samples[row.seed]
        if row.status != DONE or "user" not in samples or "metrics" in samples:
            return row
        value = uauc(np.array(samples["label"]), np.array(row.scores), np.array(samples["user"]))
        return row if value is None else replace(row, figures={**row.figures, UAUC: value})

    def notes(self) -> list[str]:
        """What intervals and spread are of."""
        return [*([self._of_users()] if "user" in self.first else []), spread_note(self.redrawn)]

    def too_few_users(self) -> bool:
        """Whether intervals are too narrow because they resample few users."""
        return "user" in self.first and too_few(self.n_users, self.by_users)

    def _of_users(self) -> str:
        labels, users = np.array(self.first["label"]), np.array(self.first["user"])
        n_users = len(set(self.first["user"]))
        n_both = None if "metrics" in self.first else users_with_both_labels(labels, users)
        says = users_note(len(labels), n_users, n_both, self.by_users)
        return f"First seed: {says}" if self.redrawn else says
