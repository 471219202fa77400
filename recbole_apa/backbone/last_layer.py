"""A decoder's last layer whose feed-forward part computes those positions alone that are read: attention needs every
position of the layers below, but of the last layer's own output nothing else is used.

Shapes: b batch, t tokens, n positions of a row, m positions in all, d hidden size.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from accelerate.hooks import ModelHook

FEED_FORWARD = "mlp"
"""What transformers calls the part in most families; in others all positions are computed."""


@dataclass(frozen=True)
class Places:
    """Which positions of each row are read."""

    each: Tensor
    """(b, n), distinct in a row: a position that stood there twice would get its gradient twice."""
    read: Tensor
    """Which of these b * n are read, (m,); the others fill rows up."""

    @classmethod
    def of(cls, positions: Sequence[Sequence[int]], device: torch.device) -> "Places":
        """Both in one copy to the device; a row with fewer positions is filled up with the lowest others."""
        n = max(len(row) for row in positions)
        each = [p for row in positions for p in (*row, *_others(row, n - len(row)))]
        read = [i * n + j for i, row in enumerate(positions) for j in range(len(row))]
        told = torch.tensor([*each, *read]).to(device)
        return cls(told[: len(each)].view(-1, n), told[len(each) :])

    def of_rows(self, hidden: Tensor) -> Tensor:
        """What stands at each row's positions: (b, t, d) -> (b, n, d)."""
        return hidden[self.indices(hidden.device)]

    def gather(self, hidden: Tensor) -> Tensor:
        """What is read, row by row: (b, t, d) -> (m, d)."""
        return self.of_rows(hidden).flatten(0, 1)[self.read.to(hidden.device)]

    def indices(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Rows and positions, (b, 1) and (b, n), where the last layer is: layers may be on several devices."""
        return torch.arange(len(self.each), device=device)[:, None], self.each.to(device)


def _others(row: Sequence[int], n: int) -> list[int]:
    taken = set(row)
    return [i for i in range(n + len(row)) if i not in taken][:n]


class AtPlaces(nn.Module):
    """A module that treats each position by itself, (b, n, d) -> (b, n, d), applied to some; others become 0."""

    def __init__(self, module: nn.Module, places: Places) -> None:
        super().__init__()
        self.module = module
        self.places = places

    def forward(self, hidden: Tensor) -> Tensor:
        """(b, t, d) -> (b, t, d)."""
        found = self.module(self.places.of_rows(hidden))
        return (
            torch.zeros_like(found[:, :1])
            .expand_as(hidden)
            .clone()
            .index_put(self.places.indices(hidden.device), found)
        )


def reading_at(layer: nn.Module, places: Places) -> nn.Module:
    """A copy of a decoder's layer, with the same modules in it, whose output is right at the given places; the layer
    itself if it has no part of the usual name."""
    part = layer._modules.get(FEED_FORWARD)
    if part is None:
        return layer
    view: Any = copy.copy(layer)
    view._modules = {**layer._modules, FEED_FORWARD: AtPlaces(part, places)}
    if view.__dict__.pop("forward", None) is not None:  # accelerate's is bound to the layer itself
        view.forward = _hooked(view, layer._hf_hook)
    out: nn.Module = view
    return out


def _hooked(view: nn.Module, hook: "ModelHook") -> Callable[..., object]:
    """The layer's own forward between the two halves of accelerate's hook, which place what it is given."""

    def forward(*given: object, **named: object) -> object:
        given, named = hook.pre_forward(view, *given, **named)
        return hook.post_forward(view, type(view).forward(view, *given, **named))

    return forward
