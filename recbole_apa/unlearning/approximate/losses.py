"""What approximate methods minimise, over the two answers. Pure torch.

Shapes: b batch. Logits are (b, 2), columns no and yes; labels (b,), 1 for yes. The distributions of the papers are over
the vocabulary; here they are over the two answers, as the score is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Answers:
    """What student and teachers say of a batch."""

    logits: Callable[[], Tensor]
    """Computes the student's logits, (b, 2)."""
    labels: Tensor
    teachers: Mapping[str, Tensor]
    """By name, (b, 2), without gradients: ``original`` (before the request), ``base`` (no adapter), ``augmented``
    (trained further on what is to be forgotten)."""
    coins: Tensor
    """A fixed random label of each sample, (b,)."""
    weights: Tensor
    """How much each sample counts, (b,); 1 for most methods."""

    @cached_property
    def z(self) -> Tensor:
        """The student's logits, (b, 2); a side that an objective does not look at costs nothing."""
        return self.logits()


class Objective(Protocol):
    """A loss over a batch of forgotten and one of retained samples."""

    @property
    def teachers(self) -> tuple[str, ...]:
        """Names of the teachers it looks at."""
        ...

    def __call__(self, forget: Answers, retain: Answers, epoch: int) -> Tensor:
        """A scalar."""
        ...


def nll(answers: Answers) -> Tensor:
    """Negative log-likelihood of the samples' own labels, (b,)."""
    return F.cross_entropy(answers.z, answers.labels.long(), reduction="none")


def soft_cross_entropy(target: Tensor, z: Tensor) -> Tensor:
    """-sum P log softmax(z), (b,): the KL divergence but for the teacher's own entropy, so its gradient."""
    return -(target * torch.log_softmax(z, 1)).sum(1)


@dataclass(frozen=True)
class GradAscent:
    """Gradient ascent on the forgotten samples (NegGrad without a retain term): L = -NLL_f. Unbounded."""

    teachers: tuple[str, ...] = ()

    def __call__(self, forget: Answers, retain: Answers, epoch: int) -> Tensor:
        return -nll(forget).mean()


@dataclass(frozen=True)
class GradDiff:
    """L = -forget_weight * NLL_f + retain_weight * NLL_r (open-unlearning; E2URec's NegGrad with .2 and 1)."""

    forget_weight: float = 1.0
    retain_weight: float = 1.0
    teachers: tuple[str, ...] = ()

    def __call__(self, forget: Answers, retain: Answers, epoch: int) -> Tensor:
        kept = self.retain_weight * nll(retain).mean() if self.retain_weight else 0.0
        return -self.forget_weight * nll(forget).mean() + kept


@dataclass(frozen=True)
class RapidUn:
    """L = -w NLL_f + w NLL_r with weights of the samples' influence (approximate/influence.py). A genuine interaction
    has no cleaned answer, so the term that would teach one is left out (beta = 0 in the released code)."""

    teachers: tuple[str, ...] = ()

    def __call__(self, forget: Answers, retain: Answers, epoch: int) -> Tensor:
        return (retain.weights * nll(retain)).mean() - (forget.weights * nll(forget)).mean()


@dataclass(frozen=True)
class NPO:
    """Negative preference optimisation: L = -(2/beta) log sigmoid(-beta (log pi - log pi_ref)) + retain_weight * NLL_r,
    where pi is the probability of the sample's own label and pi_ref the original model's. As beta goes to 0 its
    gradient is gradient ascent's."""

    beta: float = 0.1
    retain_weight: float = 1.0
    teachers: tuple[str, ...] = ("original",)

    def __call__(self, forget: Answers, retain: Answers, epoch: int) -> Tensor:
        reference = F.cross_entropy(forget.teachers["original"], forget.labels.long(), reduction="none")
        ratio = reference - nll(forget)  # log pi - log pi_ref
        forgotten = -(2 / self.beta) * F.logsigmoid(-self.beta * ratio).mean()
        return forgotten + (self.retain_weight * nll(retain).mean() if self.retain_weight else 0.0)


@dataclass(frozen=True)
class SimNPO:
    """NPO without a reference: L = -forget_weight * (2/beta) log sigmoid(beta (NLL_f - delta)) + NLL_r."""

    beta: float = 4.5
    delta: float = 0.0
    forget_weight: float = 0.125
    retain_weight: float = 1.0
    teachers: tuple[str, ...] = ()

    def __call__(self, forget: Answers, retain: Answers, epoch: int) -> Tensor:
        forgotten = -(2 / self.beta) * F.logsigmoid(self.beta * (nll(forget) - self.delta)).mean()
        return self.forget_weight * forgotten + self.retain_weight * nll(retain).mean()


@dataclass(frozen=True)
class BadTeacher:
    """Bad-T (Chundawat et al., AAAI 2023): the student keeps to the original model on retained samples, and to a
    teacher that knows nothing on forgotten ones.

    ``incompetent``: ``uniform`` (half and half), ``base`` (the language model without an adapter), ``random_label`` (a
    label drawn once for each sample), ``flip`` (E2URec's variant: the other label).
    """

    incompetent: Literal["uniform", "base", "random_label", "flip"] = "uniform"
    teachers: tuple[str, ...] = ("original", "base")

    def __call__(self, forget: Answers, retain: Answers, epoch: int) -> Tensor:
        kept = soft_cross_entropy(torch.softmax(retain.teachers["original"], 1), retain.z)
        unlearnt = soft_cross_entropy(self.target(forget), forget.z)
        return torch.cat([kept, unlearnt]).mean()

    def target(self, forget: Answers) -> Tensor:
        """What the incompetent teacher says, (b, 2)."""
        if self.incompetent == "uniform":
            return torch.full_like(forget.z, 0.5)
        if self.incompetent == "base":
            return torch.softmax(forget.teachers["base"], 1)
        labels = forget.coins if self.incompetent == "random_label" else 1 - forget.labels
        return F.one_hot(labels.long(), 2).to(forget.z.dtype)


@dataclass(frozen=True)
class E2URec:
    """Two teachers (Wang et al., Frontiers of Computer Science 2025; arXiv 2403.03536).

    The forgetting teacher is z_o - alpha relu(z_a - z_o), with z_a of a model trained further on what is to be
    forgotten; the remembering one is the original. L = w (CE(P_o, P) + NLL_r) + (1 - w) CE(P_f, P); the first
    ``forget_epochs`` have the forgetting term alone.
    """

    alpha: float = 2.0
    weight: float = 0.6
    forget_epochs: int = 1
    teachers: tuple[str, ...] = ("original", "augmented")

    def __call__(self, forget: Answers, retain: Answers, epoch: int) -> Tensor:
        original, augmented = forget.teachers["original"], forget.teachers["augmented"]
        target = torch.softmax(forgetting_logits(original, augmented, self.alpha), 1)
        forgetting = soft_cross_entropy(target, forget.z).mean()
        if epoch < self.forget_epochs:
            return forgetting
        kept = soft_cross_entropy(torch.softmax(retain.teachers["original"], 1), retain.z)
        return self.weight * (kept + nll(retain)).mean() + (1 - self.weight) * forgetting


def forgetting_logits(original: Tensor, augmented: Tensor, alpha: float) -> Tensor:
    """E2URec's forgetting teacher: what training further raised is taken down, (b, 2)."""
    return original - alpha * torch.relu(augmented - original)


OBJECTIVES: dict[str, Objective] = {
    "GradAscent": GradAscent(),
    "GradDiff": GradDiff(),
    "NPO": NPO(),
    "SimNPO": SimNPO(),
    "RapidUn": RapidUn(),
    "BadT": BadTeacher(),
    "BadT-base": BadTeacher("base"),
    "BadT-random_label": BadTeacher("random_label"),
    "BadT-flip": BadTeacher("flip"),
    "E2URec": E2URec(),
}
