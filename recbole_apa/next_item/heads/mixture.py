"""K heads merged for each user with weights of his own: heads that ranked similar users' next items well count more
(the paper's section 3.3, on heads)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from recbole_apa.adapters.aggregation import adaptive_weights, direction, neighbor_errors
from recbole_apa.next_item.heads.grid import as_numbers

TAUS = (0.0, 1.0, 3.0, 10.0, 30.0)
NEIGHBORS = (20, 50, 100)
GRID = tuple((tau, n) for n in NEIGHBORS for tau in TAUS)
"""What is tried: tau and n."""


@dataclass(frozen=True)
class Heads:
    """A head of each shard."""

    weights: Tensor
    """(k, m, d + 1), float64; zeros for a shard without rows."""

    @property
    def active(self) -> Tensor:
        """Which shards have a head, (k,), bool."""
        return self.weights.flatten(1).any(1)

    def each(self, states: Tensor) -> Tensor:
        """What every head alone says: (b, d + 1), on the grid -> (k, b, m), float64."""
        x = as_numbers(states)
        return torch.stack([x @ of_shard.T for of_shard in self.weights])

    def merged(self, states: Tensor, weights: Tensor) -> Tensor:
        """(b, d + 1), on the grid, and (b, k) -> (b, m), float64. Products are linear in the head, so merging heads and
        merging what they say is the same; a head of no weight is not multiplied."""
        x = as_numbers(states)
        out = torch.zeros(len(x), self.weights.shape[1], dtype=torch.float64)
        for k, of_shard in enumerate(self.weights):
            if bool(weights[:, k].any()):
                out += weights[:, k : k + 1] * (x @ of_shard.T)
        return out


@dataclass(frozen=True)
class ShardWeights:
    """Looks weights up in the validation memory."""

    states: Tensor
    """Of the memory's users, one row each, on the grid, (v, d + 1), in order of their names."""
    errors: Tensor
    """1 - the reciprocal rank that each head alone gives the row's target, (v, k), float64."""
    active: Tensor
    """(k,), bool."""
    tau: float
    n_neighbors: int

    def __call__(self, states: Tensor, own: Tensor) -> Tensor:
        """Weights for users, (b, k): rows sum to 1.

        Args:
            states: on the grid, (b, d + 1).
            own: the number of each user's own row in the memory, which is not looked up; -1 without one: (b,).
        """
        if not len(self.states) or self.tau == 0:
            return adaptive_weights(torch.zeros(len(states), len(self.active), dtype=torch.float64), 0.0, self.active)
        similarity = similarities(states, self.states, own)
        return adaptive_weights(neighbor_errors(similarity, self.errors, self.n_neighbors), self.tau, self.active)


def similarities(states: Tensor, memory: Tensor, own: Tensor) -> Tensor:
    """Cosine similarity of each state to the memory's, -inf to the user's own row: (b, v), float64."""
    out = direction(as_numbers(states)[:, :-1]) @ direction(as_numbers(memory)[:, :-1]).T
    known = own >= 0
    out[known.nonzero()[:, 0], own[known]] = float("-inf")
    return out


def choose_weights(
    states: Tensor,
    scores: Tensor,
    errors: Tensor,
    ranks_of: Callable[[Tensor], Tensor],
    active: Tensor,
    grid: Sequence[tuple[float, int]] = GRID,
) -> tuple[float, int]:
    """tau and n with the best mean reciprocal rank on the memory itself, each row by rows of other users; ties go to
    the smaller tau, then n.

    Args:
        states: as :attr:`ShardWeights.states`, (v, d + 1).
        scores: of every head alone, (k, v, m).
        errors: (v, k).
        ranks_of: the ranks of the rows' targets under merged scores: (v, m) -> (v,).
    """
    if not len(states):
        return 0.0, min(n for _, n in grid)
    similarity = similarities(states, states, torch.arange(len(states)))
    error_of = {n: neighbor_errors(similarity, errors, n) for n in {n for _, n in grid}}
    found = []
    for tau, n in grid:
        merged = torch.einsum("vk,kvm->vm", adaptive_weights(error_of[n], tau, active), scores)
        found.append((-float((1.0 / ranks_of(merged)).mean()), tau, n))
    _, tau, n = min(found)
    return tau, n
