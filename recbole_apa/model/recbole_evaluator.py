"""RecBole's evaluator, for rows on which a metric may have no meaning: an AUC of labels that are all alike."""

import math

from recbole.evaluator import Evaluator
from recbole.evaluator.collector import DataStruct
from recbole.evaluator.register import metric_types
from recbole.utils import EvaluatorType


class PatientEvaluator(Evaluator):
    """As RecBole's; a metric that fails or is not finite is NaN, and the others are there all the same."""

    def evaluate(self, dataobject: DataStruct) -> dict[str, float]:
        """Figures by RecBole's names."""
        out: dict[str, float] = {}
        for name in self.metrics:
            try:
                found = self.metric_class[name].calculate_metric(dataobject)
            # of a single row RecBole makes a number without a length; scikit-learn refuses a curve of one point
            except (ValueError, IndexError, TypeError, ZeroDivisionError):
                found = dict.fromkeys(self._names(name), math.nan)
            out |= found
        return out

    def _names(self, metric: str) -> list[str]:
        if metric_types[metric] == EvaluatorType.VALUE:
            return [metric]
        return [f"{metric}@{k}" for k in self.config["topk"]]
