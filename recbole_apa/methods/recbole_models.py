"""RecBole's models as methods; they forget by being trained again on what remains."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from recbole_apa.baselines import TrainedBaseline, baseline_scores, recbole_auc, train_baseline
from recbole_apa.errors import RunError
from recbole_apa.methods.bench import Bench
from recbole_apa.methods.protocol import SCORED, FitFigures, ScoreFigures, UnlearnFigures


class RecBoleMethod:
    """A RecBole model by its name.

    Args:
        options: RecBole options for this model alone, e.g. ``{"epochs": 20}``.
    """

    def __init__(self, bench: Bench, name: str, options: Mapping[str, Any] | None = None) -> None:
        self.bench, self.rows, self.options = bench, (name,), options
        self._seed = 0
        self._trained: TrainedBaseline | None = None

    @property
    def trained(self) -> TrainedBaseline:
        """The model after ``fit``."""
        if self._trained is None:
            raise RunError(f"{self.rows[0]} is not trained yet: call fit first")
        return self._trained

    def fit(self, seed: int) -> FitFigures:
        """See :class:`~recbole_apa.methods.protocol.Method`."""
        self._seed = seed
        self._trained = self._train(self.bench.presplit())
        return FitFigures(self._trained.seconds, self._trained.n_parameters, 1)

    def _train(self, folder: Any) -> TrainedBaseline:
        length = self.bench.config["MAX_ITEM_LIST_LENGTH"]
        return train_baseline(self.rows[0], folder, self.bench.item_columns, length, self._seed, self.options)

    def scores(self, row: str, split: str) -> np.ndarray:
        """See :class:`~recbole_apa.methods.protocol.Method`."""
        return baseline_scores(self.trained, 1 + SCORED.index(split), self.bench.splits[split])

    def recbole_auc(self) -> float:
        """RecBole's own AUC on the test rows."""
        return recbole_auc(self.trained)

    def cost(self, row: str) -> ScoreFigures:
        """See :class:`~recbole_apa.methods.protocol.Method`."""
        start = time.perf_counter()
        scores = self.scores(row, "test")
        return ScoreFigures(1, 1000 * (time.perf_counter() - start) / max(1, len(scores)))

    def is_probability(self, row: str) -> bool:
        """See :class:`~recbole_apa.methods.protocol.Method`."""
        return self.trained.is_probability

    def unlearn(self) -> UnlearnFigures:
        """See :class:`~recbole_apa.methods.protocol.Method`."""
        self._trained = self._train(self.bench.presplit_without(*self.bench.request()))
        return UnlearnFigures(self._trained.seconds, 1)
