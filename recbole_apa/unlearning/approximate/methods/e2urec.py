"""E2URec: two teachers, one of which undoes what further training would add."""

from dataclasses import dataclass

import torch
from torch import Tensor

from recbole_apa.unlearning.approximate.losses import Answers, nll, soft_cross_entropy
from recbole_apa.unlearning.approximate.method import LossMethod, register_approximate_method
from recbole_apa.unlearning.approximate.methods.grad_diff import GradDiff
from recbole_apa.unlearning.approximate.unlearner import ApproximateUnlearner, Sides


@register_approximate_method
@dataclass(frozen=True)
class E2URec(LossMethod):
    """Two teachers (Wang et al., Frontiers of Computer Science 2025; arXiv 2403.03536).

    The forgetting teacher is z_o - alpha relu(z_a - z_o), where z_a comes from a model trained further on what is to be
    forgotten; the remembering teacher is the original. L = w (CE(P_o, P) + NLL_r) + (1 - w) CE(P_f, P); the first
    ``forget_epochs`` use the forgetting term only.
    """

    name = "E2URec"
    teachers = ("original", "augmented")
    usual_rate_share = 0.1
    alpha: float = 2.0
    weight: float = 0.6
    forget_epochs: int = 1
    augment_epochs: int = 3
    """Passes of the augmented teacher over the forgotten samples."""

    def __call__(self, forget: Answers, retain: Answers, epoch: int) -> Tensor:
        """See :class:`~recbole_apa.unlearning.approximate.method.LossMethod`."""
        original, augmented = forget.teachers["original"], forget.teachers["augmented"]
        target = torch.softmax(forgetting_logits(original, augmented, self.alpha), 1)
        forgetting = soft_cross_entropy(target, forget.z).mean()
        if epoch < self.forget_epochs:
            return forgetting
        kept = soft_cross_entropy(torch.softmax(retain.teachers["original"], 1), retain.z)
        return self.weight * (kept + nll(retain)).mean() + (1 - self.weight) * forgetting

    def taught(self, teacher: str, student: ApproximateUnlearner) -> Sides:
        """See :class:`~recbole_apa.unlearning.approximate.method.LossMethod`; ``augmented`` is the student itself,
        trained further on what is to be forgotten."""
        if teacher != "augmented":
            return super().taught(teacher, student)
        forget, retain = student.sides({}, student.ones())
        further = GradDiff(forget_weight=-1.0, retain_weight=0.0)
        student.train(further, self.batched(student, forget, retain), self.augment_epochs, lambda: False)
        found = student.logits("forget", adapter=True)
        student.restart()
        return found, torch.zeros(len(student.parts["retain"]), 2)


def forgetting_logits(original: Tensor, augmented: Tensor, alpha: float) -> Tensor:
    """E2URec's forgetting teacher: lowers what further training raised, (b, 2)."""
    return original - alpha * torch.relu(augmented - original)
