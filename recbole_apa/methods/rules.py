"""The trivial rules as methods: nothing is trained."""

import time

import numpy as np

from recbole_apa.evaluation.trivial_rules import rule_scores
from recbole_apa.methods.bench import Bench
from recbole_apa.methods.protocol import FitFigures, ScoreFigures, UnlearnFigures


class RuleMethod:
    """One of :data:`~recbole_apa.evaluation.trivial_rules.RULES`."""

    def __init__(self, bench: Bench, name: str) -> None:
        self.bench, self.rows = bench, (name,)

    def fit(self, seed: int) -> FitFigures:
        """See :class:`~recbole_apa.methods.protocol.Method`."""
        return FitFigures(0.0, 0, 1)

    def scores(self, row: str, split: str) -> np.ndarray:
        """See :class:`~recbole_apa.methods.protocol.Method`."""
        return rule_scores(row, self.bench.splits[split], self.bench.train_rows)

    def cost(self, row: str) -> ScoreFigures:
        """See :class:`~recbole_apa.methods.protocol.Method`."""
        start = time.perf_counter()
        self.scores(row, "test")
        return ScoreFigures(0, 1000 * (time.perf_counter() - start) / max(1, len(self.bench.splits["test"])))

    def is_probability(self, row: str) -> bool:
        """See :class:`~recbole_apa.methods.protocol.Method`."""
        return True

    def unlearn(self) -> UnlearnFigures:
        """Nothing is stored: the rules are counts of what is there."""
        return UnlearnFigures(0.0, 0)
