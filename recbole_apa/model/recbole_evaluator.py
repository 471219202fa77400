"""RecBole's evaluator, for rows on which a metric may be undefined, e.g. an AUC if all labels are the same."""

import math

from recbole.evaluator import Evaluator
from recbole.evaluator.collector import DataStruct
from recbole.evaluator.register import metric_types
from recbole.utils import EvaluatorType


class PatientEvaluator(Evaluator):
    """As RecBole's, but a metric that fails or is not finite becomes NaN, without affecting the others."""

    def evaluate(self, dataobject: DataStruct) -> dict[str, float]:
        """The figures under RecBole's names."""
        out: dict[str, float] = {}
        for name in self.metrics:
            try:
                found = self.metric_class[name].calculate_metric(dataobject)
            # for a single row RecBole makes a scalar array; scikit-learn rejects a curve of one point
            except (ValueError, IndexError, TypeError, ZeroDivisionError):
                found = dict.fromkeys(self._names(name), math.nan)
            out |= found
        return out

    def _names(self, metric: str) -> list[str]:
        if metric_types[metric] == EvaluatorType.VALUE:
            return [metric]
        return [f"{metric}@{k}" for k in self.config["topk"]]
