"""Collaborative statistics of a run's training period, and what they say about a target.

Sums over users of integers, from which users can be subtracted exactly; similarities and terms are derived from them
when they are asked for. It may not know RecBole, torch, or language models.
"""

from recbole_apa.collaborative.alone import Alone, Source
from recbole_apa.collaborative.combination import ALONE, BOTH, MODEL, Combination, left_out
from recbole_apa.collaborative.content import ItemContent
from recbole_apa.collaborative.contents import NOTHING, Contents
from recbole_apa.collaborative.counted import CountedRows, RowCount
from recbole_apa.collaborative.fitted import (
    JUDGED,
    LOOKED_AT,
    TEST,
    Fitted,
    model_key,
    model_names,
    needed_items,
    needed_pairs,
    splits_scored,
    targets_of,
)
from recbole_apa.collaborative.item_states import EmbedTexts, ItemStates
from recbole_apa.collaborative.item_sums import ItemSums
from recbole_apa.collaborative.logistic import Logistic, left_out_scores
from recbole_apa.collaborative.options import TermOptions
from recbole_apa.collaborative.pair_sums import Pairs, PairSums
from recbole_apa.collaborative.pasts import Pasts, pasts_of, pasts_with
from recbole_apa.collaborative.rows import ItemCodes, TrainingRows, known_rows, training_rows
from recbole_apa.collaborative.statistics import Statistics
from recbole_apa.collaborative.targets import Targets
from recbole_apa.collaborative.terms import DEFAULT_TERMS, Terms, collaborative_terms, pairs_of

__all__ = [
    "ALONE",
    "BOTH",
    "DEFAULT_TERMS",
    "JUDGED",
    "LOOKED_AT",
    "MODEL",
    "NOTHING",
    "TEST",
    "Alone",
    "Combination",
    "Contents",
    "CountedRows",
    "EmbedTexts",
    "Fitted",
    "ItemCodes",
    "ItemContent",
    "ItemStates",
    "ItemSums",
    "Logistic",
    "PairSums",
    "Pairs",
    "Pasts",
    "RowCount",
    "Source",
    "Statistics",
    "Targets",
    "TermOptions",
    "Terms",
    "TrainingRows",
    "collaborative_terms",
    "known_rows",
    "left_out",
    "left_out_scores",
    "model_key",
    "model_names",
    "needed_items",
    "needed_pairs",
    "pairs_of",
    "pasts_of",
    "pasts_with",
    "splits_scored",
    "targets_of",
    "training_rows",
]
