"""RapidUn: gradient ascent and descent, each sample weighted by its influence."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from recbole_apa.unlearning.approximate.influence import influence_weights, sample_gradients, scores_of_influence
from recbole_apa.unlearning.approximate.loop import BatchedSides, DrawnSides, Side
from recbole_apa.unlearning.approximate.losses import Answers, nll
from recbole_apa.unlearning.approximate.method import LossMethod, register_approximate_method
from recbole_apa.unlearning.approximate.unlearner import ApproximateUnlearner, Sides


@register_approximate_method
@dataclass(frozen=True)
class RapidUn(LossMethod):
    """L = -w NLL_f + w NLL_r, with weights from the samples' influence (approximate/influence.py), over batches drawn
    from both sides with replacement, at a rate that falls to zero as a cosine. A genuine interaction has no cleaned
    answer, so the term that teaches one is left out (beta = 0 in the released code)."""

    name = "RapidUn"
    lr_schedule = "cosine"
    tau_forget: float = 0.7
    """Sharpness of the forgotten samples' weights."""
    tau_retain: float = 1.2
    """Of the retained ones'."""
    retain_per_forget: int = 3
    """Retained samples per forgotten one: so many are drawn by hash and the others left out, and so much more often do
    batches draw a retained sample."""
    top_k: int = 40
    """Of the influences on a sample, how many of the highest count."""

    def __call__(self, forget: Answers, retain: Answers, epoch: int) -> Tensor:
        """See :class:`~recbole_apa.unlearning.approximate.method.LossMethod`."""
        signed = [sign * side.weights * nll(side) for sign, side in ((1, retain), (-1, forget)) if len(side.labels)]
        return torch.cat(signed).mean()

    def batched(self, student: ApproximateUnlearner, forget: Side, retain: Side) -> BatchedSides:
        """See :class:`~recbole_apa.unlearning.approximate.method.LossMethod`."""
        size = student.settings.batch_size
        return DrawnSides(forget, retain, size, student.seed, self.retain_per_forget)

    def weights(self, student: ApproximateUnlearner) -> Sides:
        """See :class:`~recbole_apa.unlearning.approximate.method.LossMethod`; retained samples that were not drawn
        count 0."""
        chosen = student.retained_order()[: self.retain_per_forget * len(student.parts["forget"])]
        of_forget = self._gradients(student, "forget", range(len(student.parts["forget"])))
        of_retain = self._gradients(student, "retain", chosen)
        forget_scores, retain_scores = scores_of_influence(of_forget, of_retain, self.top_k)
        weights = torch.zeros(len(student.parts["retain"]))
        weights[chosen] = influence_weights(retain_scores, self.tau_retain)
        return influence_weights(forget_scores, self.tau_forget), weights

    @staticmethod
    def _gradients(student: ApproximateUnlearner, part: str, rows: Sequence[int]) -> Tensor:
        with student.differentiable() as parameters:
            return sample_gradients(lambda i: student.loss(part, [rows[i]]), len(rows), parameters)
