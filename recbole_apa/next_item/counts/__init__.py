"""Counts of users' sequences, as whole numbers that a user can be taken out of exactly, and how they join the heads.

It may not know RecBole, transformers or files.

Shapes: b users, v validation rows, m items of the catalogue, t terms.
"""

from recbole_apa.next_item.counts.fusion import Fusion, fit_fusion
from recbole_apa.next_item.counts.similar import CountScores, log_term
from recbole_apa.next_item.counts.sums import MOST_ITEMS, ItemCounts

__all__ = ["MOST_ITEMS", "CountScores", "Fusion", "ItemCounts", "fit_fusion", "log_term"]
