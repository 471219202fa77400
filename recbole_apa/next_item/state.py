"""Everything that a run of APANext has learnt, and how it scores.

Shapes: b users, v validation rows, m items of the catalogue, k shards, d hidden size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from recbole_apa.next_item.counts import Counts, Fusion, Scores, log_term
from recbole_apa.next_item.generation import ItemCodes
from recbole_apa.next_item.heads import Heads, HeadSums, ShardWeights, StateGrid
from recbole_apa.next_item.title_adapters import RestartPoint, TitleAdapter
from recbole_apa.next_item.title_drafts import TitleDraft

AT_ONCE = 512
"""Users scored together."""
LEAST_CHANCE = 1e-3
"""What is added to a head's estimate before the logarithm."""


def head_term(scores: Tensor) -> Tensor:
    """The term of the heads beside counts: (b, m) -> (b, m)."""
    return log_term(scores, LEAST_CHANCE)


@dataclass(frozen=True)
class SplitStates:
    """The states before the targets of a split."""

    users: tuple[str, ...]
    """In order of their names."""
    states: Tensor
    """On the grid, (v, d + 1), int16."""


@dataclass(frozen=True)
class Learnt:
    """What is summed up over users or trained on them, and what identifies their part in it."""

    shard_of: Mapping[str, int]
    """User -> shard, of every user with a training row."""
    sums: tuple[HeadSums, ...]
    """Of each shard."""
    counts: Counts | None
    """Of all users' training periods; None without evidence."""
    valid: SplitStates
    test: SplitStates
    lineage: Mapping[str, tuple[str, str]]
    """User -> digest of the sequence, digest of the states."""
    adapters: tuple[TitleAdapter | None, ...] = ()
    """Of each shard, None where a request at once has dropped it; none at all, unless titles or codes are trained."""
    drafts: tuple[TitleDraft | None, ...] = ()
    """Likewise; None where a request that is not done, or one at once, has taken it away."""
    ends: Mapping[int, int] = field(default_factory=dict)
    """After a request at once: shard -> the slice before which its training has ended; 0 leaves no adapter."""
    points: tuple[tuple[RestartPoint, ...], ...] = ()
    """Of each shard with an adapter, those before its slices 1, 2, ...: to the last, or to where its training ended."""


@dataclass(frozen=True)
class NextItemState:
    """A trained run."""

    grid: StateGrid
    learnt: Learnt
    heads: Heads
    errors: Tensor
    """Of each head alone on the validation rows, (v, k), float64."""
    tau: float
    n_neighbors: int
    fusion: Fusion | None
    """None without evidence: heads alone are served."""
    codes: ItemCodes | None = None
    """What adapters write; None, unless codes are trained. Of public texts, as the grid is."""

    @property
    def weights(self) -> ShardWeights:
        """What looks up a user's weights of the heads."""
        return ShardWeights(self.learnt.valid.states, self.errors, self.heads.active, self.tau, self.n_neighbors)

    @property
    def title_weights(self) -> ShardWeights | None:
        """What looks up a user's weights of the adapters: a missing one counts for nothing, the others share what it
        had. None if none is left."""
        there = torch.tensor([adapter is not None for adapter in self.learnt.adapters], dtype=torch.bool)
        if not len(there) or not bool((there & self.heads.active).any()):
            return None
        return replace(self.weights, active=there & self.heads.active)

    def own_rows(self, users: Sequence[str]) -> Tensor:
        """The number of each user's own validation row, -1 without one, (b,)."""
        numbers = {user: number for number, user in enumerate(self.learnt.valid.users)}
        return torch.tensor([numbers.get(user, -1) for user in users], dtype=torch.int64)

    def head_scores(self, users: Sequence[str], states: Tensor) -> Tensor:
        """What the merged heads say, (b, m), float64.

        Args:
            states: of the users, on the grid, (b, d + 1).
        """
        weights = self.weights(states, self.own_rows(users))
        return self.heads.merged(states, weights)

    def scores(
        self,
        users: Sequence[str],
        states: Tensor,
        histories: Sequence[Sequence[int]],
        counts: Scores | None,
    ) -> Tensor:
        """What is served, (b, m), float64.

        Args:
            histories: each user's columns, oldest first.
            counts: derived from the run's counts; needed if there is a fusion.
        """
        parts = []
        for start in range(0, len(users), AT_ONCE):
            rows = slice(start, start + AT_ONCE)
            heads = self.head_scores(users[rows], states[rows])
            parts.append(heads if self.fusion is None else self._fused(heads, histories[rows], counts))
        return torch.cat(parts)

    def _fused(self, heads: Tensor, histories: Sequence[Sequence[int]], counts: Scores | None) -> Tensor:
        assert self.fusion is not None and counts is not None
        return self.fusion(torch.cat([head_term(heads)[None], counts.terms(histories)]))
