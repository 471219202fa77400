"""Development rows: ml-100k without the rows that the default's split validates and tests on.

Rows of the training period are split again by the same rule (RecBole's 8:1:1 by each user's time); the validation and
test rows of the default's split are removed before anything is read. Settings may be chosen on what is left.
"""

import shutil
import time
from pathlib import Path

import numpy as np
import recbole

from benchmarks.command import or_nan
from recbole_apa.collaborative import (
    Contents,
    ItemContent,
    ItemSums,
    Logistic,
    PairSums,
    Pasts,
    TermOptions,
    collaborative_terms,
    pairs_of,
    pasts_of,
    training_rows,
)
from recbole_apa.core.settings import SampleSettings
from recbole_apa.data.data_options import DataOptions, FileOptions, LabelRule
from recbole_apa.data.filters import FilterSettings
from recbole_apa.data.read_data import read_data
from recbole_apa.data.recbole_split import SplitSettings
from recbole_apa.data.run_data import RunData
from recbole_apa.data.visible_data import VisibleData
from recbole_apa.evaluation.metrics import auc, mean_log_loss

NAME, USER, ITEM, RATING, TIME = "ml-100k", "user_id", "item_id", "rating", "timestamp"
OPTIONS = DataOptions(
    FileOptions(USER, ITEM, TIME, (USER, ITEM), ("label", TIME, RATING)),
    LabelRule(RATING, 4),
    FilterSettings(USER, ITEM, TIME),
    SplitSettings("TO", "RS", [0.8, 0.1, 0.1], True, 2020),
    SampleSettings("recbole", 10, 1, None, None, None, "{movie_title} ({release_year})"),
)
"""The default's split, with every row as a sample."""
RIDGE = 1.0
FEW = 250
"""As many rows as a default run draws for validation."""


def read(stem: Path) -> RunData:
    """A dataset with all rows as samples."""
    loaded = read_data(OPTIONS.files, OPTIONS.filters, OPTIONS.label, stem, VisibleData())
    return RunData.of_files(loaded, OPTIONS, VisibleData())


def write_training_period(folder: Path) -> Path:
    """Copy ml-100k without the validation and test rows of the default's split; returns the path without endings."""
    source = Path(recbole.__file__).parent / "dataset_example" / NAME
    shutil.copytree(source, folder / NAME)
    stem = folder / NAME / NAME
    data = read(stem)
    inter = stem.with_suffix(".inter")
    head, *lines = inter.read_text().splitlines()
    kept = [line for line, role in zip(lines, data.notes.roles, strict=True) if role == 0]
    inter.write_text("\n".join([head, *kept]) + "\n")
    return stem


class Development:
    """Statistics and pasts of the development rows."""

    def __init__(self, data: RunData, use_ratings: bool = False, shown: int | None = None) -> None:
        self.rows = training_rows(data, use_ratings)
        n_items = len(data.rows.items.names)
        self.targets = {name: data.targets[name] for name in ("valid", "test")}
        both = np.concatenate(list(self.targets.values()))
        self.labels, self.users = data.rows.labels[both], data.rows.users.codes[both]
        self.n_valid = len(self.targets["valid"])
        self.few = np.random.default_rng(0).choice(self.n_valid, FEW, replace=False)
        self.pasts: Pasts = pasts_of(data, both, use_ratings)
        if shown is not None:
            self.pasts = self.pasts.last(shown)
        start = time.perf_counter()
        self.items = ItemSums.of(self.rows, n_items)
        self.pairs = PairSums.of(self.rows, pairs_of(self.pasts)[0])
        self.sums_seconds = time.perf_counter() - start
        self.contents = Contents(ItemContent.of_columns(data.texts, data.rows.items.names, "class", "release_year"))

    def figures(self, options: TermOptions, names: tuple[str, ...]) -> dict[str, float]:
        """Of a combination that is fitted on the development validation rows."""
        return self.judged(
            collaborative_terms(self.pasts, self.items, self.pairs, options, self.contents).columns, names
        )

    def judged(self, columns: dict[str, np.ndarray], names: tuple[str, ...]) -> dict[str, float]:
        table = np.stack([columns[name] for name in names], axis=1)
        valid, test = slice(self.n_valid), slice(self.n_valid, None)
        fitted = Logistic.fit(table[valid], self.labels[valid], RIDGE)
        scores, labels = fitted.scores(table[test]), self.labels[test]
        few = Logistic.fit(table[self.few], self.labels[self.few], RIDGE).scores(table[test])
        return {
            "few_auc": or_nan(auc(labels, few)),
            "few_log_loss": mean_log_loss(labels, few),
            "auc": or_nan(auc(labels, scores)),
            "log_loss": mean_log_loss(labels, scores),
            "user_auc": within_users(labels, scores, self.users[test]),
        }


def within_users(labels: np.ndarray, scores: np.ndarray, users: np.ndarray) -> float:
    """Mean AUC of the users who have both labels."""
    found = [auc(labels[users == user], scores[users == user]) for user in np.unique(users)]
    return float(np.mean([value for value in found if value is not None]))
