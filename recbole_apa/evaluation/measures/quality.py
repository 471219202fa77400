"""The quality of a model after unlearning, part by part.

Scores s are probabilities of a like, (n,).
"""

from typing import ClassVar

import numpy as np

from recbole_apa.evaluation.measures.answers import own_label
from recbole_apa.evaluation.measures.measure import ForgettingMeasure, Seen, register_measure
from recbole_apa.evaluation.metrics import auc, mean_log_loss


def confidence(scores: np.ndarray, labels: np.ndarray) -> float:
    """Mean probability of the samples' own labels."""
    return float(own_label(scores, labels).mean())


@register_measure
class Confidence(ForgettingMeasure):
    """Mean probability of the forgotten samples' own labels."""

    name, title = "forget_confidence", "confidence"

    def __call__(self, seen: Seen) -> float | None:
        """See :class:`~recbole_apa.evaluation.measures.measure.ForgettingMeasure`."""
        return confidence(seen.after["forget"], seen.labels["forget"])


class PartAUC(ForgettingMeasure):
    """AUC on one part of the samples."""

    part: ClassVar[str]

    def __call__(self, seen: Seen) -> float | None:
        """See :class:`~recbole_apa.evaluation.measures.measure.ForgettingMeasure`."""
        return auc(seen.labels[self.part], seen.after[self.part]) if self.part in seen.after else None


@register_measure
class ForgetAUC(PartAUC):
    """AUC on what was forgotten."""

    name, title, part = "forget_auc", "AUC forgotten", "forget"


@register_measure
class RetainAUC(PartAUC):
    """AUC on training samples that remain."""

    name, title, part = "retain_auc", "AUC retained", "retain"


@register_measure
class NeighboursAUC(PartAUC):
    """AUC on the remaining samples nearest to a forgotten one."""

    name, title, part = "neighbours_auc", "AUC neighbours", "neighbours"


@register_measure
class AUCOnTest(PartAUC):
    """AUC on the test samples."""

    name, title, part = "auc", "AUC test", "test"
    spread = True


@register_measure
class LogLossOnTest(ForgettingMeasure):
    """LogLoss on the test samples."""

    name, title = "logloss", "LogLoss test"

    def __call__(self, seen: Seen) -> float | None:
        """See :class:`~recbole_apa.evaluation.measures.measure.ForgettingMeasure`."""
        return mean_log_loss(seen.labels["test"], seen.after["test"])
