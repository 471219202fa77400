"""What users' sequences say of items, as whole numbers that a user can be taken out of exactly, and how that joins the
heads. Knows neither RecBole nor transformers.

Shapes: b users, v validation rows, m items of the catalogue, t terms.
"""

from recbole_apa.next_item.counts.fusion import Fusion, fit_fusion
from recbole_apa.next_item.counts.similar import CountScores, log_term
from recbole_apa.next_item.counts.sums import MOST_ITEMS, ItemCounts

__all__ = ["MOST_ITEMS", "CountScores", "Fusion", "ItemCounts", "fit_fusion", "log_term"]
