"""Adapters of several shards as one change of weights: LoRA's two factors are averaged, then multiplied (APA(D), paper,
section 3.3). Pure torch.

Shapes: k shards, r rank.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

Pairs = Mapping[str, tuple[Tensor, ...]]
"""One adapter: layer name -> A, (r, d_in), and B, (d_out, r)."""


def merged_changes(adapters: Sequence[Pairs], weights: Sequence[float], scale: float) -> dict[str, Tensor]:
    """What the merged adapters add to the weight of each layer: s (sum_k w_k B_k) (sum_k w_k A_k), (d_out, d_in).

    Args:
        adapters: of each shard, with the same layers, (k,).
        weights: w, (k,).
        scale: s.

    Raises:
        ValueError: no adapters, another number of weights, or other layers.
    """
    if not adapters or len(adapters) != len(weights) or any(set(a) != set(adapters[0]) for a in adapters):
        raise ValueError(f"found {len(adapters)} adapters and {len(weights)} weights, expected as many, of like layers")
    out = {}
    for name in adapters[0]:
        a, b = (weighted_sum([adapter[name][part] for adapter in adapters], weights) for part in (0, 1))
        out[name] = (b @ a) * scale
    return out


def weighted_sum(parts: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """In the order of the shards; a part of no weight is not added, so that one alone is that part in every bit."""
    out = torch.zeros_like(parts[0])
    for part, weight in zip(parts, weights, strict=True):
        if weight:
            out = out + part * weight
    return out
