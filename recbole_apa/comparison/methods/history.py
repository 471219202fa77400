"""RecBole's models of item similarities, asked about the user's past before the target instead of a stored user."""

import time

from recbole_apa.comparison.method import Scored
from recbole_apa.comparison.methods.recbole import RecBoleMethod
from recbole_apa.pipeline.item_similarity import past_scores


class HistoryMethod(RecBoleMethod):
    """One of :data:`~recbole_apa.pipeline.item_similarity.TABLES`, trained as its own row is.

    Args:
        row: the row's name.
    """

    def score(self, row: str) -> Scored:
        """See :class:`~recbole_apa.comparison.method.Method`."""
        tested, lists = self.context.tested.samples, self.context.ranking
        pasts, items = self.context.pasts(), [sample.item_id for sample in tested]
        if lists:
            pasts = [pasts[place] for place in lists.rows for _ in range(lists.n_candidates)]
            items = [item for candidates in lists.items for item in candidates]
        start = time.perf_counter()
        scores = past_scores(self.trained, pasts, items)
        return self.context.tested.scored(scores, False, 1, time.perf_counter() - start)
