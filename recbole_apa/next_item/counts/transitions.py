"""Which item follows which, for catalogues in which a count of every pair would not fit: only pairs that occur."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from recbole_apa.next_item.counts.similar import FOLLOWS, LEAST_FOLLOWS, SHRINKAGE, log_term
from recbole_apa.next_item.counts.sums import GAP_WEIGHTS

_AT_ONCE = 1 << 22
"""Pairs between two summations."""


@dataclass(frozen=True)
class TransitionCounts:
    """Sums over users; all int64. p pairs."""

    pairs: Tensor
    """Row times m plus column of each pair that occurs, ascending, (p,)."""
    weights: Tensor
    """As :attr:`~recbole_apa.next_item.counts.sums.ItemCounts.followed`, above 0, (p,)."""
    n_items: int
    n_users: int

    @classmethod
    def of(cls, sequences: Iterable[Sequence[int]], n_items: int) -> "TransitionCounts":
        """Of some users.

        Args:
            sequences: of each user, the columns of the items of the training period, oldest first.
        """
        places, weights = [torch.zeros(0, dtype=torch.int64)], [torch.zeros(0, dtype=torch.int64)]
        n_users = n_pairs = 0
        for sequence in sequences:
            columns = torch.tensor(list(sequence), dtype=torch.int64)
            for gap, weight in enumerate(GAP_WEIGHTS[: max(0, len(columns) - 1)], start=1):
                places.append(columns[:-gap] * n_items + columns[gap:])
                weights.append(torch.full_like(places[-1], weight))
                n_pairs += len(places[-1])
            if n_pairs > _AT_ONCE:
                summed = _summed(torch.cat(places), torch.cat(weights))
                places, weights, n_pairs = [summed[0]], [summed[1]], 0
            n_users += 1
        return cls(*_summed(torch.cat(places), torch.cat(weights)), n_items, n_users)

    def plus(self, other: "TransitionCounts") -> "TransitionCounts":
        """Of the users of both."""
        return self._with(other, 1)

    def minus(self, other: "TransitionCounts") -> "TransitionCounts":
        """Without users who are in it: what the others alone give; a pair that occurs no more goes."""
        return self._with(other, -1)

    def _with(self, other: "TransitionCounts", sign: int) -> "TransitionCounts":
        weights = torch.cat([self.weights, sign * other.weights])
        found = _summed(torch.cat([self.pairs, other.pairs]), weights)
        return TransitionCounts(*found, self.n_items, self.n_users + sign * other.n_users)


def _summed(places: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """The sum of each place's weights, places ascending; without those whose sum is 0."""
    pairs, number = places.unique(return_inverse=True)
    sums = torch.zeros(len(pairs), dtype=torch.int64).index_add_(0, number, weights)
    return pairs[sums != 0], sums[sums != 0]


@dataclass(frozen=True)
class TransitionScores:
    """Derived from counts whenever they are needed; never kept. The same shares, in every bit, as
    :attr:`~recbole_apa.next_item.counts.similar.CountScores.follows`."""

    names: ClassVar[tuple[str, ...]] = (FOLLOWS,)
    """Of the terms."""
    starts: Tensor
    """Where each item's transitions begin, and the end, (m + 1,), int64."""
    columns: Tensor
    """(p,), int64."""
    shares: Tensor
    """(p,), float64."""

    @classmethod
    def of(cls, counts: TransitionCounts) -> "TransitionScores":
        """Whole numbers below 2^53 are summed, exactly and in any order."""
        rows, columns = counts.pairs // counts.n_items, counts.pairs % counts.n_items
        starts = torch.searchsorted(rows, torch.arange(counts.n_items + 1))
        totals = torch.zeros(counts.n_items, dtype=torch.int64).index_add_(0, rows, counts.weights).double()
        return cls(starts, columns, counts.weights.double() / (totals[rows] + SHRINKAGE))

    def terms(self, histories: Sequence[Sequence[int]]) -> Tensor:
        """The term of some users, (1, b, m), float64: the logarithm of what transitions say.

        Args:
            histories: each user's columns, oldest first.
        """
        out = torch.zeros(len(histories), len(self.starts) - 1, dtype=torch.float64)
        for row, history in enumerate(histories):
            for item, weight in zip(list(history[-len(GAP_WEIGHTS) :])[::-1], GAP_WEIGHTS, strict=False):
                own = slice(int(self.starts[item]), int(self.starts[item + 1]))
                out[row].index_add_(0, self.columns[own], self.shares[own] * (weight / GAP_WEIGHTS[0]))
        return log_term(out, LEAST_FOLLOWS)[None]

    def strongest(self, history: Sequence[int], column: int) -> int | None:
        """The recent item after which an item comes most often, by what it adds; None if it never did."""
        added: dict[int, float] = {}
        for item, weight in zip(list(history[-len(GAP_WEIGHTS) :])[::-1], GAP_WEIGHTS, strict=False):
            own = slice(int(self.starts[item]), int(self.starts[item + 1]))
            share = float(self.shares[own][self.columns[own] == column].sum())
            added[item] = max(added.get(item, 0.0), share * weight)
        best = max(added, key=lambda item: added[item], default=None)
        return best if best is not None and added[best] > 0 else None
