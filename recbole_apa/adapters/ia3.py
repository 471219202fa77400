"""K (IA)3 adapters in one linear layer (Liu et al., 2022), averaged with weights of its own for every sample.

Shapes: b batch, t tokens, k shards.
"""

import torch
from torch import Tensor, nn

from recbole_apa.adapters.lora import Mixture, home_of


class StackedIA3Linear(nn.Module):
    """A frozen linear layer with K stacked vectors of scales.

    o = (W0 x) * sum_k w_k l_k, or, in a feed-forward layer, o = W0 (x * sum_k w_k l_k). A scale enters linearly, so the
    average of the scales is the average of the updated weights, too: APA(D) and APA(ND) are one.

    Args:
        base: the frozen layer.
        n_adapters: k.
        mixture: shared with the other layers of the model.
        feedforward: scale what goes in, and not what comes out.
    """

    def __init__(self, base: nn.Linear, n_adapters: int, mixture: Mixture, feedforward: bool) -> None:
        super().__init__()
        self.base, self.mixture, self.feedforward = base, mixture, feedforward
        size = base.in_features if feedforward else base.out_features
        self.ia3_l = nn.Parameter(torch.ones(n_adapters, size, device=home_of(base)))

    @property
    def n_adapters(self) -> int:
        """k."""
        return self.ia3_l.shape[0]

    @property
    def stacked(self) -> tuple[nn.Parameter, ...]:
        """What an adapter consists of, for all adapters: l, (k, d)."""
        return (self.ia3_l,)

    def start(self, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Scales of one, which change nothing."""
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
        """sum_k w_k l_k of each sample, (b, 1, d)."""
        weights = self.mixture.checked(x.shape[0], self.n_adapters)
        return (weights.to(self.ia3_l.device, self.ia3_l.dtype) @ self.ia3_l)[:, None].to(x.dtype)
