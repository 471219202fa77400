"""Counts over users' sequences of the training period."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

GAP_WEIGHTS = tuple(27720 // gap for gap in range(1, 21))
"""What a pair of items counts that are 1, 2, 3, ... places apart: 27,720 / distance, rounded down."""
MOST_ITEMS = 20_000
"""Beyond this many items a count of every pair takes some 3 GB each."""
_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class ItemCounts:
    """Sums over users; all int64."""

    together: Tensor
    """How many users have both items, (m, m), symmetric; the diagonal has how many have the item."""
    followed: Tensor
    """Weights of the pairs in which the column's item comes up to 20 places after the row's, (m, m)."""
    n_users: int

    @property
    def n_items(self) -> int:
        """m."""
        return len(self.together)

    @classmethod
    def of(cls, sequences: Iterable[Sequence[int]], n_items: int) -> "ItemCounts":
        """Of some users.

        Args:
            sequences: of each user, the columns of the items of the training period, oldest first.
        """
        pairs, steps = torch.zeros(n_items * n_items, dtype=torch.int64), torch.zeros(n_items**2, dtype=torch.int64)
        n_users = 0
        for sequence in sequences:
            columns = torch.tensor(list(sequence), dtype=torch.int64)
            own = columns.unique()
            for part in own.split(max(1, _AT_ONCE // max(1, len(own)))):
                places = (part[:, None] * n_items + own).flatten()
                pairs.index_add_(0, places, torch.ones_like(places))
            for gap, weight in enumerate(GAP_WEIGHTS, start=1):
                places = columns[:-gap] * n_items + columns[gap:]
                steps.index_add_(0, places, torch.full_like(places, weight))
            n_users += 1
        return cls(pairs.view(n_items, n_items), steps.view(n_items, n_items), n_users)

    def plus(self, other: "ItemCounts") -> "ItemCounts":
        """Of the users of both."""
        return ItemCounts(
            self.together + other.together,
            self.followed + other.followed,
            self.n_users + other.n_users,
        )

    def minus(self, other: "ItemCounts") -> "ItemCounts":
        """Without users who are in it: what the others alone give."""
        return ItemCounts(
            self.together - other.together,
            self.followed - other.followed,
            self.n_users - other.n_users,
        )
