"""Gradient ascent on what is to be forgotten."""

from dataclasses import dataclass

from torch import Tensor

from recbole_apa.unlearning.approximate.losses import Answers, nll
from recbole_apa.unlearning.approximate.method import LossMethod, register_approximate_method


@register_approximate_method
@dataclass(frozen=True)
class GradAscent(LossMethod):
    """Gradient ascent on the forgotten samples (NegGrad without a retain term): L = -NLL_f. Unbounded."""

    name = "GradAscent"

    def __call__(self, forget: Answers, retain: Answers, epoch: int) -> Tensor:
        """See :class:`~recbole_apa.unlearning.approximate.method.LossMethod`."""
        return -nll(forget).mean()
