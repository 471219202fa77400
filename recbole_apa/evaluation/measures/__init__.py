"""What a comparison measures; others can add their own with :func:`register_measure`.

Works on scores and labels only, without models. A measure is one class: key, title, format, function.
"""

# in the order of the tables' columns
from recbole_apa.evaluation.measures.scores import AUC, LogLoss  # isort: skip
from recbole_apa.evaluation.measures.distance import activation_distance, half_jeffreys, js_divergence, local_residual  # isort: skip
from recbole_apa.evaluation.measures.quality import confidence  # isort: skip
from recbole_apa.evaluation.measures.membership import entropy_membership, membership_auc, offline_rmia, rmia_auc  # isort: skip
from recbole_apa.evaluation.measures.answers import own_label
from recbole_apa.evaluation.measures.measure import (
    FORGETTING_MEASURES,
    SCORE_MEASURES,
    Answers,
    ForgettingMeasure,
    Measure,
    ScoreMeasure,
    Seen,
    register_measure,
)
from recbole_apa.evaluation.measures.taking import Taken, take

__all__ = [
    "AUC",
    "FORGETTING_MEASURES",
    "SCORE_MEASURES",
    "Answers",
    "ForgettingMeasure",
    "LogLoss",
    "Measure",
    "ScoreMeasure",
    "Seen",
    "Taken",
    "activation_distance",
    "confidence",
    "entropy_membership",
    "half_jeffreys",
    "js_divergence",
    "local_residual",
    "membership_auc",
    "offline_rmia",
    "own_label",
    "register_measure",
    "rmia_auc",
    "take",
]
