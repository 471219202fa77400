"""How well scores tell likes from others: AUC and LogLoss."""

import numpy as np

from recbole_apa.evaluation.measures.measure import ScoreMeasure, register_measure
from recbole_apa.evaluation.metrics import auc, mean_log_loss


@register_measure
class AUC(ScoreMeasure):
    """Area under the ROC curve."""

    name, title = "auc", "AUC"

    def __call__(self, labels: np.ndarray, scores: np.ndarray) -> float | None:
        """See :class:`~recbole_apa.evaluation.measures.measure.ScoreMeasure`."""
        return auc(labels, scores)


@register_measure
class LogLoss(ScoreMeasure):
    """Mean negative log-likelihood of the labels."""

    name, title = "logloss", "LogLoss"
    needs_probabilities = True

    def __call__(self, labels: np.ndarray, scores: np.ndarray) -> float | None:
        """See :class:`~recbole_apa.evaluation.measures.measure.ScoreMeasure`."""
        return mean_log_loss(labels, scores)
