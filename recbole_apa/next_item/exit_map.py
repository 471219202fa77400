"""An early exit: from the state below the layers with adapters to the one above them, by one linear map of each shard.

Shapes: n decisions, d hidden size.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from recbole_apa.adapters.merging import weighted_sum

RIDGE = 0.01
"""Penalty of the squared map, in times of the mean square of the states."""


def fit_exit_map(pairs: Iterable[tuple[Tensor, Tensor]], size: int) -> Tensor:
    """The ridge regression of final states on early ones; the intercept is not penalised. The caller sees to it that
    one thread computes.

    Args:
        pairs: of each sample early and final states, (n, d) each; their order decides the last bits.
        size: d.

    Returns:
        (d, d + 1), float32; the identity without any pair.
    """
    gram = torch.zeros(size + 1, size + 1, dtype=torch.float64)
    cross = torch.zeros(size + 1, size, dtype=torch.float64)
    n = 0
    for early, final in pairs:
        x = torch.cat([early.double(), torch.ones(len(early), 1, dtype=torch.float64)], 1)
        gram, cross, n = gram + x.T @ x, cross + x.T @ final.double(), n + len(early)
    if not n:
        return torch.eye(size, size + 1)
    gram.diagonal()[:-1] += RIDGE * gram.diagonal()[:-1].mean() + 1e-9 * n
    return torch.cholesky_solve(cross, torch.linalg.cholesky(gram)).T.float().contiguous()


def merged_map(maps: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """The shards' maps with a user's weights of them, in the order of the shards."""
    return weighted_sum(maps, weights)


def through(exit_map: Tensor, state: Tensor) -> Tensor:
    """What a map makes of an early state: (d, d + 1), (d,) -> (d,)."""
    return exit_map[:, :-1] @ state + exit_map[:, -1]
