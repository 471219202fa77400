"""Negative preference optimisation (Zhang et al., COLM 2024), with and without a reference."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from recbole_apa.unlearning.approximate.losses import Answers, nll
from recbole_apa.unlearning.approximate.method import LossMethod, register_approximate_method


@register_approximate_method
@dataclass(frozen=True)
class NPO(LossMethod):
    """Negative preference optimisation: L = -(2/beta) log sigmoid(-beta (log pi - log pi_ref)) + retain_weight * NLL_r,
    where pi is the probability of the sample's own label and pi_ref the original model's. As beta goes to 0 its
    gradient is gradient ascent's."""

    name = "NPO"
    teachers = ("original",)
    beta: float = 0.1
    retain_weight: float = 1.0

    def __call__(self, forget: Answers, retain: Answers, epoch: int) -> Tensor:
        """See :class:`~recbole_apa.unlearning.approximate.method.LossMethod`."""
        reference = F.cross_entropy(forget.teachers["original"], forget.labels.long(), reduction="none")
        ratio = reference - nll(forget)  # log pi - log pi_ref
        forgotten = -(2 / self.beta) * F.logsigmoid(-self.beta * ratio).mean()
        return forgotten + (self.retain_weight * nll(retain).mean() if self.retain_weight else 0.0)


@register_approximate_method
@dataclass(frozen=True)
class SimNPO(LossMethod):
    """NPO without a reference: L = -forget_weight * (2/beta) log sigmoid(beta (NLL_f - delta)) + NLL_r."""

    name = "SimNPO"
    beta: float = 4.5
    delta: float = 0.0
    forget_weight: float = 0.125
    retain_weight: float = 1.0

    def __call__(self, forget: Answers, retain: Answers, epoch: int) -> Tensor:
        """See :class:`~recbole_apa.unlearning.approximate.method.LossMethod`."""
        forgotten = -(2 / self.beta) * F.logsigmoid(self.beta * (nll(forget) - self.delta)).mean()
        return self.forget_weight * forgotten + self.retain_weight * nll(retain).mean()
