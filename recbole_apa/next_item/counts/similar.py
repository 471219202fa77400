"""What counts say of a user's next item: similar items of the recent past, and what usually follows them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from recbole_apa.core.system.threads import one_thread
from recbole_apa.next_item.counts.sums import GAP_WEIGHTS, ItemCounts

N_RECENT = 10
"""How many of the last items are looked at."""
EASE_PENALTY = 50.0
"""EASE's lambda."""
SHRINKAGE = 600.0
"""Weight that an item's transitions are shrunk by: ten neighbouring pairs."""


@dataclass(frozen=True)
class CountScores:
    """Derived from counts whenever they are needed; never kept, as it can be had again in every bit."""

    similar: Tensor
    """EASE's item-item weights (Steck, 2019), (m, m), float64: row i adds to the scores of a user who has item i."""
    follows: Tensor
    """The share of an item's transitions that lead to each other one, shrunk, (m, m), float64."""
    log_seen: Tensor
    """log(1 + rows), (m,), float64."""

    @classmethod
    def of(cls, counts: ItemCounts) -> "CountScores":
        """On one thread, so that the same counts give the same bits."""
        with one_thread():
            return cls(_ease(counts.together), _shares(counts.followed), counts.seen.double().log1p())

    def terms(self, histories: Sequence[Sequence[int]]) -> Tensor:
        """Terms of some users, (3, b, m), float64: similar items, transitions, how often items were seen.

        Args:
            histories: each user's columns, oldest first.
        """
        similar, follows = (torch.zeros(len(histories), len(self.log_seen), dtype=torch.float64) for _ in range(2))
        for row, history in enumerate(histories):
            recent = list(history[-N_RECENT:])[::-1]  # the latest first
            for item in recent:
                similar[row] += self.similar[item]
            for item, weight in zip(recent, GAP_WEIGHTS, strict=False):
                follows[row] += self.follows[item] * (weight / GAP_WEIGHTS[0])
        return torch.stack([similar, follows, self.log_seen.expand(len(histories), -1)])


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
