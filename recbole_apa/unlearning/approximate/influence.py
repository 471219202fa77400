"""RapidUn (Zhao, Lin, Zhao; arXiv 2512.04457): how much each sample's gradient helps or harms the others', as weights.

Shapes: f forgotten and r retained samples, p parameters.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def sample_gradients(loss_of: Callable[[int], Tensor], n: int, parameters: list[nn.Parameter]) -> Tensor:
    """The gradient of each sample's own loss, flattened: (n, p)."""
    rows = []
    for i in range(n):
        found = torch.autograd.grad(loss_of(i), parameters)
        rows.append(torch.cat([g.detach().float().flatten().cpu() for g in found]))
    return torch.stack(rows)


def scores_of_influence(forget: Tensor, retain: Tensor) -> tuple[Tensor, Tensor]:
    """S_f = ff - fr and S_r = rr - rf, (f,) and (r,): how much a sample moves its own side, less how much it moves the
    other.

    Args:
        forget, retain: gradients, (f, p) and (r, p). The released code counts only the 40 strongest influences on a
            sample, which ignores most samples of small sets; here all count.
    """

    def likeness(train: Tensor, judged: Tensor) -> Tensor:
        return (train @ judged.T).median(dim=1).values

    return likeness(forget, forget) - likeness(forget, retain), likeness(retain, retain) - likeness(retain, forget)


def influence_weights(scores: Tensor, tau: float) -> Tensor:
    """exp(z / tau) of the scores' robust z (median and MAD), clipped to [0.2, 3], then divided by its mean: (n,)."""
    gaps = scores - scores.median()
    spread = (1.4826 * gaps.abs().median()).clamp_min(1e-3)
    weights = torch.exp(gaps / spread / tau).clamp(0.2, 3.0)
    return weights / weights.mean()
