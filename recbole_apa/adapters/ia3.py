"""(IA)3 (Liu et al., 2022): K adapters in one linear layer, averaged with separate weights for every sample.

Shapes: b batch, t tokens, k shards.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from recbole_apa.adapters.kind import AdapterKind, StackedLayer, register_adapter_kind
from recbole_apa.adapters.mixture import Mixture, home_of
from recbole_apa.core.settings import AdapterSettings


class StackedIA3Linear(StackedLayer):
    """A frozen linear layer with K stacked vectors of scales.

    o = (W0 x) * sum_k w_k l_k, or, in a feed-forward layer, o = W0 (x * sum_k w_k l_k). Scales enter linearly, so
    averaging the scales also averages the updated weights: APA(D) and APA(ND) are the same.

    Args:
        base: the frozen layer.
        n_adapters: k.
        mixture: shared with the other layers of the model.
        feedforward: scale the input, not the output.
    """

    def __init__(self, base: nn.Linear, n_adapters: int, mixture: Mixture, feedforward: bool) -> None:
        super().__init__(base, mixture)
        self.feedforward = feedforward
        size = base.in_features if feedforward else base.out_features
        self.ia3_l = nn.Parameter(torch.ones(n_adapters, size, device=home_of(base)))

    @property
    def stacked(self) -> tuple[nn.Parameter, ...]:
        """The tensors of all adapters: l, (k, d)."""
        return (self.ia3_l,)

    def start(self, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Scales of one, which have no effect."""
        return (torch.ones(self.ia3_l.shape[1]),)

    def forward(self, x: Tensor) -> Tensor:
        """(b, t, d_in) -> (b, t, d_out)."""
        out: Tensor
        if self.mixture.weights is None:
            out = self.base(x)
        elif self.feedforward:
            out = self.base(x * self._scales(x))
        else:
            out = self.base(x)
            out = out * self._scales(out)
        return out

    def _scales(self, x: Tensor) -> Tensor:
        """sum_k w_k l_k for each sample, (b, 1, d)."""
        weights = self.mixture.checked(x.shape[0], self.n_adapters)
        return (weights.to(self.ia3_l.device, self.ia3_l.dtype) @ self.ia3_l)[:, None].to(x.dtype)


@register_adapter_kind
class IA3(AdapterKind):
    """One vector of scales per layer, as in PEFT's ``IA3Config``."""

    name = "ia3"
    tensors: ClassVar[Mapping[str, tuple[str, ...]]] = {".ia3_l": ("rows", "columns")}

    def layer(
        self, base: nn.Linear, n_adapters: int, mixture: Mixture, settings: AdapterSettings, name: str
    ) -> StackedLayer:
        """See :class:`~recbole_apa.adapters.kind.AdapterKind`."""
        return StackedIA3Linear(base, n_adapters, mixture, settings.is_feedforward(name))

    def peft_config(
        self, settings: AdapterSettings, names: Sequence[str], layers: Sequence[int] | None
    ) -> dict[str, object]:
        """See :class:`~recbole_apa.adapters.kind.AdapterKind`. PEFT's config has no layers_to_transform: modules
        are given by full name."""
        return {
            "peft_type": "IA3",
            "target_modules": sorted(names),
            "feedforward_modules": [n for n in sorted(names) if settings.is_feedforward(n)],
            "init_ia3_weights": True,
        }

    def to_peft(self, name: str, parts: tuple[Tensor, ...], settings: AdapterSettings) -> tuple[Tensor, ...]:
        """See :class:`~recbole_apa.adapters.kind.AdapterKind`: a row if the input is scaled, else a column."""
        return (parts[0][None] if settings.is_feedforward(name) else parts[0][:, None],)

    def from_peft(self, parts: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """See :class:`~recbole_apa.adapters.kind.AdapterKind`."""
        return (parts[0].flatten(),)
