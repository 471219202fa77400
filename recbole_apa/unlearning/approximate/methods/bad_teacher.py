"""Bad-T: a teacher that knows nothing about what is to be forgotten."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from recbole_apa.unlearning.approximate.losses import Answers, nll, soft_cross_entropy
from recbole_apa.unlearning.approximate.method import LossMethod, register_approximate_method

Incompetent = Literal["uniform", "base", "random_label"]


@register_approximate_method
@dataclass(frozen=True)
class BadTeacher(LossMethod):
    """Bad-T (Chundawat et al., AAAI 2023): the student follows the original model on retained samples, and an
    incompetent teacher on forgotten ones.

    ``incompetent``: ``uniform`` (half and half), ``base`` (the language model without an adapter), ``random_label`` (a
    label drawn once for each sample).
    """

    name = "BadT"
    teachers = ("original", "base")
    incompetent: Incompetent = "uniform"

    def __call__(self, forget: Answers, retain: Answers, epoch: int) -> Tensor:
        """See :class:`~recbole_apa.unlearning.approximate.method.LossMethod`."""
        kept = soft_cross_entropy(torch.softmax(retain.teachers["original"], 1), retain.z)
        unlearnt = soft_cross_entropy(self.target(forget), forget.z)
        return torch.cat([kept, unlearnt]).mean()

    def target(self, forget: Answers) -> Tensor:
        """The incompetent teacher's answer, (b, 2)."""
        if self.incompetent == "uniform":
            return torch.full_like(forget.z, 0.5)
        if self.incompetent == "base":
            return torch.softmax(forget.teachers["base"], 1)
        return F.one_hot(forget.coins.long(), 2).to(forget.z.dtype)


@register_approximate_method
@dataclass(frozen=True)
class BadTeacherBase(BadTeacher):
    """With ``base``."""

    name = "BadT-base"
    incompetent: Incompetent = "base"


@register_approximate_method
@dataclass(frozen=True)
class BadTeacherRandomLabel(BadTeacher):
    """With ``random_label``."""

    name = "BadT-random_label"
    incompetent: Incompetent = "random_label"


@register_approximate_method
@dataclass(frozen=True)
class BadTeacherFlip(LossMethod):
    """What E2URec's repository calls Bad-T; it has no teacher: L = NLL_r + weight * NLL of the forgotten samples with
    the other label."""

    name = "BadT-flip"
    weight: float = 0.2

    def __call__(self, forget: Answers, retain: Answers, epoch: int) -> Tensor:
        """See :class:`~recbole_apa.unlearning.approximate.method.LossMethod`."""
        flipped = F.cross_entropy(forget.z, 1 - forget.labels.long())
        return nll(retain).mean() + self.weight * flipped
