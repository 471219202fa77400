"""What counts say of a user's next item: similar items of the recent past, and what usually follows them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from recbole_apa.core.system.threads import one_thread
from recbole_apa.next_item.counts.sums import GAP_WEIGHTS, ItemCounts

N_RECENT = 10
"""How many of the last items similar items are looked up for."""
EASE_PENALTY = 600.0
"""EASE's lambda."""
SHRINKAGE = 10.0 * GAP_WEIGHTS[0]
"""Weight that an item's transitions are shrunk by: ten neighbouring pairs."""
SIMILAR, FOLLOWS = "similar items", "what follows"
"""Names of terms."""
LEAST_SIMILAR, LEAST_FOLLOWS = 1e-2, 1e-4
"""What is added before the logarithm; below 0 counts as 0."""


@dataclass(frozen=True)
class CountScores:
    """Derived from counts whenever they are needed; never kept, as it can be had again in every bit."""

    names: ClassVar[tuple[str, ...]] = (SIMILAR, FOLLOWS)
    """Of the terms."""
    similar: Tensor
    """EASE's item-item weights (Steck, 2019), (m, m), float64: row i adds to the scores of a user who has item i."""
    follows: Tensor
    """The share of an item's transitions that lead to each other one, shrunk, (m, m), float64."""

    @classmethod
    def of(cls, counts: ItemCounts) -> "CountScores":
        """On one thread, so that the same counts give the same bits."""
        with one_thread():
            return cls(_ease(counts.together), _shares(counts.followed))

    def terms(self, histories: Sequence[Sequence[int]]) -> Tensor:
        """Terms of some users, (2, b, m), float64: logarithms of what similar items and transitions say.

        Args:
            histories: each user's columns, oldest first.
        """
        similar, follows = (torch.zeros(len(histories), len(self.similar), dtype=torch.float64) for _ in range(2))
        for row, history in enumerate(histories):
            recent = list(history[-len(GAP_WEIGHTS) :])[::-1]  # the latest first
            for item in recent[:N_RECENT]:
                similar[row] += self.similar[item]
            for item, weight in zip(recent, GAP_WEIGHTS, strict=False):
                follows[row] += self.follows[item] * (weight / GAP_WEIGHTS[0])
        return torch.stack([log_term(similar, LEAST_SIMILAR), log_term(follows, LEAST_FOLLOWS)])

    def strongest(self, history: Sequence[int], column: int) -> int | None:
        """The recent item that is most similar to an item; None if none is similar."""
        recent = list(history[-N_RECENT:])
        if not recent:
            return None
        weights = self.similar[recent, column]
        best = int(weights.argmax())
        return recent[best] if float(weights[best]) > 0 else None


def log_term(values: Tensor, least: float) -> Tensor:
    """The logarithm of estimates that may be 0 or below: terms are then factors of a chance."""
    return values.clamp(min=0).add(least).log()


def _ease(together: Tensor) -> Tensor:
    gram = together.double()
    gram.diagonal().add_(EASE_PENALTY)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
    weights = inverse / -inverse.diagonal()
    weights.diagonal().zero_()
    return weights


def _shares(followed: Tensor) -> Tensor:
    values = followed.double()
    return values / (values.sum(1, keepdim=True) + SHRINKAGE)
