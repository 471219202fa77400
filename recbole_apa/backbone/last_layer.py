"""A decoder's last layer whose feed-forward part computes those positions alone that are read: attention needs every
position of the layers below, but of the last layer's own output nothing else is used.

Shapes: b batch, t tokens, n positions of a row, d hidden size.
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

FEED_FORWARD = "mlp"
"""What transformers calls the part in most families; in others all positions are computed."""


class AtPositions(nn.Module):
    """A module that treats each position by itself, applied to some of them; the output is 0 elsewhere.

    Args:
        module: (b, n, d) -> (b, n, d).
        positions: of each row, (b, n), no number twice in a row.
    """

    def __init__(self, module: nn.Module, positions: Tensor) -> None:
        super().__init__()
        self.module = module
        self.positions = positions

    def forward(self, hidden: Tensor) -> Tensor:
        """(b, t, d) -> (b, t, d)."""
        rows = torch.arange(len(hidden), device=hidden.device)[:, None]
        places = rows, self.positions.to(hidden.device)
        found = self.module(hidden[places])
        return torch.zeros_like(found[:, :1]).expand_as(hidden).clone().index_put(places, found)


def reading_at(layer: nn.Module, positions: Tensor) -> nn.Module:
    """A copy of a decoder's layer, with the same modules in it, whose output is right at the given positions, (b, n);
    the layer itself if it has no part of the usual name."""
    part = layer._modules.get(FEED_FORWARD)
    if part is None:
        return layer
    view = copy.copy(layer)
    view._modules = {**layer._modules, FEED_FORWARD: AtPositions(part, positions)}
    return view


def as_rectangle(positions: Sequence[Sequence[int]]) -> Tensor:
    """Positions of each row, distinct and (b, n), filled up with the lowest others where a row has fewer: a position
    that stood there twice would get its gradient twice."""
    n = max(len(row) for row in positions)
    return torch.tensor([[*row, *_others(row, n - len(row))] for row in positions])


def _others(row: Sequence[int], n: int) -> list[int]:
    taken = set(row)
    return [i for i in range(n + len(row)) if i not in taken][:n]
