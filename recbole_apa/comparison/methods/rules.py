"""The trivial rules as methods: nothing is trained."""

import time

from recbole_apa.comparison.context import ComparisonContext
from recbole_apa.comparison.method import FitFigures, Scored, UnlearnFigures
from recbole_apa.evaluation.simple_rules import HISTORY_LIKE_RATE, rule_scores


class RuleMethod:
    """One of :data:`~recbole_apa.evaluation.simple_rules.RULES`."""

    def __init__(self, context: ComparisonContext, name: str) -> None:
        self.context, self.rows = context, (name,)

    def fit(self, seed: int) -> FitFigures:
        """See :class:`~recbole_apa.comparison.method.Method`."""
        tested = self.context.splits["test"]
        counts_items = self.rows[0] != HISTORY_LIKE_RATE or not all(sample.history for sample in tested)
        return FitFigures(0.0, 0, 1, len(self.context.train_rows) if counts_items else 0)

    def score(self, row: str) -> Scored:
        """See :class:`~recbole_apa.comparison.method.Method`."""
        start = time.perf_counter()
        scores = rule_scores(row, self.context.judged(self.context.tested.samples), self.context.train_rows)
        return self.context.tested.scored(scores, True, 0, time.perf_counter() - start)

    def unlearn(self) -> UnlearnFigures:
        """Nothing is stored, so nothing is forgotten: the rules count the rows that are there."""
        return UnlearnFigures(0.0, 0)
