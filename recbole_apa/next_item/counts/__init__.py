"""Counts of users' sequences, as whole numbers that a user can be taken out of exactly, and how they join the heads.

It may not know RecBole, transformers or files.

Shapes: b users, v validation rows, m items of the catalogue, t terms.
"""

from recbole_apa.next_item.counts.fusion import Fusion, fit_fusion
from recbole_apa.next_item.counts.similar import CountScores, log_term
from recbole_apa.next_item.counts.sums import MOST_ITEMS, ItemCounts
from recbole_apa.next_item.counts.transitions import TransitionCounts, TransitionScores

Counts = ItemCounts | TransitionCounts
"""What a run counts, of its option ``evidence``."""
Scores = CountScores | TransitionScores
"""What is derived from either."""


def scores_of(counts: Counts) -> Scores:
    """What counts say of users' next items."""
    return TransitionScores.of(counts) if isinstance(counts, TransitionCounts) else CountScores.of(counts)


def exchanged(counts: Counts, gone: Counts, come: Counts) -> Counts:
    """Without some users, who are in it, and with others.

    Raises:
        TypeError: counts of different kinds.
    """
    if isinstance(counts, TransitionCounts):
        if isinstance(gone, TransitionCounts) and isinstance(come, TransitionCounts):
            return counts.minus(gone).plus(come)
    elif isinstance(gone, ItemCounts) and isinstance(come, ItemCounts):
        return counts.minus(gone).plus(come)
    raise TypeError(
        f"found counts of {type(gone).__name__} and {type(come).__name__}, expected {type(counts).__name__}"
    )


__all__ = [
    "MOST_ITEMS",
    "CountScores",
    "Counts",
    "Fusion",
    "ItemCounts",
    "Scores",
    "TransitionCounts",
    "TransitionScores",
    "exchanged",
    "fit_fusion",
    "log_term",
    "scores_of",
]
