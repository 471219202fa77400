"""Scores -> figures: metrics, intervals, and the simple rules that a model must beat.

It may not know how a run is built, nor workers or requests: those are ``pipeline`` and the rooms above.
"""

from recbole_apa.evaluation.candidates import CandidateLists, draw_candidates
from recbole_apa.evaluation.measures import activation_distance, js_divergence, membership_auc, register_measure
from recbole_apa.evaluation.metrics import auc, interval, mean_log_loss
from recbole_apa.evaluation.ranking import ranking_figures
from recbole_apa.evaluation.simple_rules import rule_scores, trivial_scores
from recbole_apa.evaluation.variants import score_split, split_figures

__all__ = [
    "CandidateLists",
    "activation_distance",
    "auc",
    "draw_candidates",
    "interval",
    "js_divergence",
    "mean_log_loss",
    "membership_auc",
    "ranking_figures",
    "register_measure",
    "rule_scores",
    "score_split",
    "split_figures",
    "trivial_scores",
]
