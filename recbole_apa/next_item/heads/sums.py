"""What a shard's head is solved from: sums over its users' rows, whole numbers."""

from dataclasses import dataclass

import torch
from torch import Tensor

from recbole_apa.next_item.heads.grid import GREATEST

MOST_ROWS = 2**53 // GREATEST**2
"""Up to so many rows every sum is below 2^53, and so exact in float64."""
_AT_ONCE = 1 << 15
"""Rows in float64 at a time."""


@dataclass(frozen=True)
class HeadSums:
    """X'X and X'Y of a shard: X are its states on the grid, Y its targets as rows of 0 and a single 1."""

    gram: Tensor
    """X'X, (d + 1, d + 1), int64."""
    cross: Tensor
    """Y'X, (m, d + 1), int64: for each item the sum of the states before it."""
    n_rows: int

    @classmethod
    def zero(cls, n_items: int, width: int) -> "HeadSums":
        """Of no rows.

        Args:
            width: d + 1.
        """
        return cls(torch.zeros(width, width, dtype=torch.int64), torch.zeros(n_items, width, dtype=torch.int64), 0)

    @classmethod
    def of(cls, states: Tensor, targets: Tensor, n_items: int) -> "HeadSums":
        """Of some rows.

        Args:
            states: on the grid, (n, d + 1), int16.
            targets: columns of the catalogue, (n,), int64.

        Raises:
            ValueError: more than :data:`MOST_ROWS`.
        """
        _refuse_too_many(len(states))
        width = states.shape[1]
        gram, cross = (torch.zeros(n, width, dtype=torch.int64) for n in (width, n_items))
        for some, of_some in zip(states.split(_AT_ONCE), targets.split(_AT_ONCE), strict=True):
            values = some.double()
            gram += (values.T @ values).to(torch.int64)  # exact: every partial sum is a whole number below 2^53
            cross.index_add_(0, of_some, some.to(torch.int64))
        return cls(gram, cross, len(states))

    def plus(self, other: "HeadSums") -> "HeadSums":
        """Of the rows of both.

        Raises:
            ValueError: more than :data:`MOST_ROWS`.
        """
        _refuse_too_many(self.n_rows + other.n_rows)
        return HeadSums(self.gram + other.gram, self.cross + other.cross, self.n_rows + other.n_rows)

    def minus(self, other: "HeadSums") -> "HeadSums":
        """Without rows that are in it: what the others alone give, in every bit."""
        return HeadSums(self.gram - other.gram, self.cross - other.cross, self.n_rows - other.n_rows)


def _refuse_too_many(n_rows: int) -> None:
    if n_rows > MOST_ROWS:
        raise ValueError(f"found {n_rows} rows in one shard, expected at most {MOST_ROWS}: use more shards")
