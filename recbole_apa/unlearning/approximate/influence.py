"""RapidUn (Zhao, Lin, Zhao; arXiv 2512.04457): how much each sample's gradient helps or harms the others', as weights.

Shapes: f forgotten and r retained samples, p parameters.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def sample_gradients(value_of: Callable[[int], Tensor], n: int, parameters: list[nn.Parameter]) -> Tensor:
    """The gradient of something of each sample's own, flattened: (n, p), float32 on the CPU."""
    out = torch.empty(n, sum(p.numel() for p in parameters))
    for i in range(n):
        found = torch.autograd.grad(value_of(i), parameters)
        torch.cat([g.detach().float().flatten().cpu() for g in found], out=out[i])
    return out


def scores_of_influence(forget: Tensor, retain: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    """S_f = ff - fr and S_r = rr - rf, (f,) and (r,): how much a sample moves its own side, less how much it moves the
    other.

    Each of the four is a median over the samples that are influenced. Of the influences on one of them only the
    ``top_k`` highest count, the others are 0 (released code: 40).

    Args:
        forget, retain: gradients, (f, p) and (r, p).
    """

    def likeness(train: Tensor, judged: Tensor) -> Tensor:
        influence = train @ judged.T  # (train, judged)
        if top_k < len(influence):
            kept = influence.topk(top_k, dim=0).indices
            influence = torch.zeros_like(influence).scatter(0, kept, influence.gather(0, kept))
        return median(influence)

    return likeness(forget, forget) - likeness(forget, retain), likeness(retain, retain) - likeness(retain, forget)


def influence_weights(scores: Tensor, tau: float) -> Tensor:
    """exp(z / tau) of the scores' robust z (median and MAD), clipped to [0.2, 3], then divided by its mean: (n,)."""
    gaps = scores - median(scores)
    spread = (1.4826 * median(gaps.abs())).clamp_min(1e-3)
    weights = torch.exp(gaps / spread / tau).clamp(0.2, 3.0)
    return weights / weights.mean()


def median(values: Tensor) -> Tensor:
    """The median along the last dimension; of an even number the mean of the two in the middle, as in numpy
    (:func:`torch.median` takes the lower one)."""
    ordered, n = values.sort(dim=-1).values, values.shape[-1]
    return (ordered[..., (n - 1) // 2] + ordered[..., n // 2]) / 2
