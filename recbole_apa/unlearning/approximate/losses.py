"""Losses that approximate methods minimise, over the two answers. Pure torch.

Shapes: b batch. Logits are (b, 2), columns no and yes; labels (b,), 1 for yes. The papers' distributions are over the
vocabulary; here they are over the two answers, like the score.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from recbole_apa.core.errors import TrainingError


class Teachers(dict[str, Tensor]):
    """Teachers' logits by name; asking for one that the method did not declare is an error that says so."""

    def __missing__(self, name: str) -> Tensor:
        """
        Raises:
            TrainingError: always.
        """
        raise TrainingError(
            f"the loss asks for teacher {name!r}, which its method does not declare; found teachers = {tuple(self)}, "
            f"expected {name!r} among them"
        )


@dataclass(frozen=True)
class Answers:
    """What the student and the teachers answer on a batch."""

    logits: Callable[[], Tensor]
    """Computes the student's logits, (b, 2)."""
    labels: Tensor
    teachers: Mapping[str, Tensor]
    """By name, (b, 2), without gradients: ``original`` (before the request), ``base`` (no adapter), ``augmented``
    (trained further on what is to be forgotten)."""
    coins: Tensor
    """A fixed random label for each sample, (b,)."""
    weights: Tensor
    """How much each sample counts, (b,); 1 for most methods."""

    @cached_property
    def z(self) -> Tensor:
        """The student's logits, (b, 2); computed only when an objective uses them."""
        return self.logits()


class Objective(Protocol):
    """A loss over a batch of forgotten and one of retained samples."""

    def __call__(self, forget: Answers, retain: Answers, epoch: int) -> Tensor:
        """A scalar."""
        ...


def nll(answers: Answers) -> Tensor:
    """Negative log-likelihood of the samples' own labels, (b,)."""
    return F.cross_entropy(answers.z, answers.labels.long(), reduction="none")


def soft_cross_entropy(target: Tensor, z: Tensor) -> Tensor:
    """-sum P log softmax(z), (b,): the KL divergence up to the teacher's entropy, with the same gradient."""
    return -(target * torch.log_softmax(z, 1)).sum(1)
