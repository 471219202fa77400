"""Gradient ascent on what is to be forgotten, descent on what remains."""

from dataclasses import dataclass

from torch import Tensor

from recbole_apa.unlearning.approximate.losses import Answers, nll
from recbole_apa.unlearning.approximate.method import LossMethod, register_approximate_method


@register_approximate_method
@dataclass(frozen=True)
class GradDiff(LossMethod):
    """L = -forget_weight * NLL_f + retain_weight * NLL_r (open-unlearning; E2URec's NegGrad with .2 and 1)."""

    name = "GradDiff"
    forget_weight: float = 1.0
    retain_weight: float = 1.0

    def __call__(self, forget: Answers, retain: Answers, epoch: int) -> Tensor:
        """See :class:`~recbole_apa.unlearning.approximate.method.LossMethod`."""
        kept = self.retain_weight * nll(retain).mean() if self.retain_weight else 0.0
        return -self.forget_weight * nll(forget).mean() + kept
