"""RecBole's models as methods; they forget by being trained again on what remains."""

import time
from collections.abc import Mapping
from pathlib import Path

from recbole_apa.comparison.context import ComparisonContext
from recbole_apa.comparison.method import FitFigures, Scored, UnlearnFigures
from recbole_apa.core.errors import RunError
from recbole_apa.pipeline.recbole_models import (
    PresplitFiles,
    TrainedBaseline,
    baseline_scores,
    train_baseline,
)
from recbole_apa.pipeline.recbole_scores import candidate_scores, recbole_auc, users_unseen

HISTORY = "+history"
"""Ends the names of rows that are asked about a user's past: ``EASE+history``."""


def model_of(row: str) -> str:
    """The RecBole model behind a row's name."""
    return row.removesuffix(HISTORY)


class RecBoleMethod:
    """A RecBole model by its name.

    Args:
        row: the row's name: the model's, or ``MODEL+history``.
        options: RecBole options for this model alone, e.g. ``{"epochs": 20}``.
    """

    def __init__(self, context: ComparisonContext, row: str, options: Mapping[str, object] | None = None) -> None:
        self.context, self.rows, self.options = context, (row,), options
        self._seed = 0
        self._trained: TrainedBaseline | None = None

    @property
    def trained(self) -> TrainedBaseline:
        """The model after ``fit``."""
        if self._trained is None:
            raise RunError(f"{self.rows[0]} is not trained yet: call fit first")
        return self._trained

    def fit(self, seed: int) -> FitFigures:
        """See :class:`~recbole_apa.comparison.method.Method`."""
        self._seed = seed
        self._trained = self._train(self.context.presplit())
        made = self._trained
        return FitFigures(made.seconds, made.n_parameters, 1, made.n_rows, n_stopping=made.n_stopping)

    def _train(self, folder: Path) -> TrainedBaseline:
        context = self.context
        length = context.config["MAX_ITEM_LIST_LENGTH"]
        files = PresplitFiles(folder, context.item_columns, length, context.layout)
        return train_baseline(model_of(self.rows[0]), files, self._seed, self.options)

    def score(self, row: str) -> Scored:
        """See :class:`~recbole_apa.comparison.method.Method`."""
        start = time.perf_counter()
        if self.context.ranking:
            lists = self.context.ranking
            scores = candidate_scores(self.trained, lists.rows, lists.items)
        else:
            scores = baseline_scores(self.trained, 2, self.context.tested.samples)
        seconds = time.perf_counter() - start
        asked = self.context.ranking.rows if self.context.ranking else self.context.tested.drawn
        return self.context.tested.scored(
            scores, self.trained.is_probability, 1, seconds, users_unseen(self.trained, asked)
        )

    def recbole_auc(self) -> float | None:
        """RecBole's own AUC on the rows that were scored; None if all labels are the same."""
        return recbole_auc(self.trained)

    def unlearn(self) -> UnlearnFigures:
        """See :class:`~recbole_apa.comparison.method.Method`."""
        self._trained = self._train(self.context.presplit_without(*self.context.request()))
        return UnlearnFigures(self._trained.seconds, 1)
