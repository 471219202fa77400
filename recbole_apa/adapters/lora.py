"""K LoRA adapters in one linear layer, mixed with weights of its own for every sample (docs/how-it-works.md).

Shapes: b batch, t tokens, k shards, r rank.
"""

import math
import threading
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MergeMode = Literal["decomposition", "non_decomposition"]


class Mixture(threading.local):
    """What all layers of a model share during one pass; each thread has its own, so that passes can run side by side.

    Attributes:
        weights: w, (b, k), rows summing to 1; None leaves the frozen model as it is.
        mode: how the adapters are merged.
    """

    def __init__(self) -> None:
        self.weights: Tensor | None = None
        self.mode: MergeMode = "decomposition"

    def checked(self, n_samples: int, n_adapters: int) -> Tensor:
        """The weights, which are there.

        Raises:
            ValueError: they are of another batch, or of another number of adapters.
        """
        assert self.weights is not None
        if self.weights.shape != (n_samples, n_adapters):
            raise ValueError(
                f"mixture weights have shape {tuple(self.weights.shape)}, expected (batch, adapters) = "
                f"({n_samples}, {n_adapters})"
            )
        return self.weights


class StackedLoRALinear(nn.Module):
    """A frozen linear layer with K stacked adapters.

    ``decomposition`` APA(D): o = W0 x + s B(x) A(x) x with A(x) = sum_k w_k A_k and B(x) = sum_k w_k B_k.
    ``non_decomposition`` APA(ND): o = W0 x + s sum_k w_k B_k A_k x. (Paper, section 3.3.)
    No sample's d_out x d_in matrix is ever built. Both cost two skinny matrix products with all adapters stacked; where
    nothing is trained, APA(D) merges each sample's two factors instead, which costs what one adapter costs.

    Args:
        base: the frozen layer, weight (d_out, d_in).
        n_adapters: k.
        rank: r.
        alpha: numerator of the scale s = alpha / r.
        mixture: shared with the other layers of the model.
        use_rslora: s = alpha / sqrt(r) (rsLoRA, Kalajdzievski, 2023).
    """

    def __init__(
        self,
        base: nn.Linear,
        n_adapters: int,
        rank: int,
        alpha: float,
        mixture: Mixture,
        dropout: float = 0.0,
        use_rslora: bool = False,
    ) -> None:
        super().__init__()
        self.base = base
        self.mixture = mixture
        self.scale = alpha / (math.sqrt(rank) if use_rslora else rank)
        self.dropout = dropout
        device = home_of(base)
        self.lora_A = nn.Parameter(torch.zeros(n_adapters, rank, base.in_features, device=device))
        self.lora_B = nn.Parameter(torch.zeros(n_adapters, base.out_features, rank, device=device))
        self._kept: tuple[Any, Tensor, Tensor] | None = None

    @property
    def n_adapters(self) -> int:
        """k."""
        return self.lora_A.shape[0]

    @property
    def stacked(self) -> tuple[nn.Parameter, ...]:
        """What an adapter consists of, for all adapters: A, (k, r, d_in), and B, (k, d_out, r)."""
        return self.lora_A, self.lora_B

    def start(self, generator: torch.Generator) -> tuple[Tensor, ...]:
        """A and B from which every adapter of a run is trained."""
        _, rank, d_in = self.lora_A.shape
        return start_factor(rank, d_in, generator), torch.zeros(self.lora_B.shape[1:])

    def forward(self, x: Tensor) -> Tensor:
        """(b, t, d_in) -> (b, t, d_out)."""
        out = self.base(x)
        if self.mixture.weights is None:
            return out
        return out + self.delta(x, self.mixture.checked(x.shape[0], self.n_adapters), self.mixture.mode)

    def delta(self, x: Tensor, weights: Tensor, mode: MergeMode) -> Tensor:
        """What the mixed adapters add: (b, t, d_in), (b, k) -> (b, t, d_out)."""
        # for a single position merging is more work than the products with all adapters
        if mode == "decomposition" and x.shape[1] > 1 and not self._is_trained():
            return self._merged_delta(x, weights)
        n_shards, rank, _ = self.lora_A.shape
        x = F.dropout(x, self.dropout, self.training)
        a_all, b_all = self._factors(x.dtype)
        w = weights.to(x.device, x.dtype)[:, None, :, None]  # (b, 1, k, 1)
        u = F.linear(x, a_all).unflatten(-1, (n_shards, rank))  # (b, t, k, r)
        if mode == "non_decomposition":
            mixed = u * w  # (b, t, k, r)
        else:
            v = (u * w).sum(2, keepdim=True)  # (b, t, 1, r)
            mixed = v * w  # (b, t, k, r)
        return F.linear(mixed.flatten(2), b_all) * self.scale

    def _merged_delta(self, x: Tensor, weights: Tensor) -> Tensor:
        """B(x) A(x) x with each sample's factors merged first: k*r*(d_in + d_out) operations a sample for merging, and
        r*(d_in + d_out) a position for the products, in place of k times as many."""
        w = weights.to(self.lora_A.device, self.lora_A.dtype)
        a = (w @ self.lora_A.flatten(1)).unflatten(1, self.lora_A.shape[1:]).to(x.dtype)  # (b, r, d_in)
        b = (w @ self.lora_B.flatten(1)).unflatten(1, self.lora_B.shape[1:]).to(x.dtype)  # (b, d_out, r)
        return torch.bmm(torch.bmm(x, a.mT), b.mT) * self.scale

    def _factors(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """All A, (k*r, d_in), and all B, (d_out, k*r), as the products take them; kept between passes while nothing is
        trained, for with many adapters making them anew costs as much as the products."""
        n_shards, rank, _ = self.lora_A.shape
        state = (dtype, *((p.data_ptr(), p._version) for p in (self.lora_A, self.lora_B)))
        kept = self._kept
        if kept is not None and kept[0] == state and not self._is_trained():
            return kept[1], kept[2]
        a_all = self.lora_A.reshape(n_shards * rank, -1).to(dtype)
        b_all = self.lora_B.transpose(0, 1).reshape(-1, n_shards * rank).to(dtype)
        self._kept = None if self._is_trained() else (state, a_all, b_all)
        return a_all, b_all

    def _is_trained(self) -> bool:
        return self.training or (self.lora_A.requires_grad and torch.is_grad_enabled())

    def train(self, mode: bool = True) -> "StackedLoRALinear":
        """As torch's; forgets what was kept, for training may change factors through views of them."""
        self._kept = None
        return super().train(mode)


def home_of(module: Any) -> torch.device:
    """Where a module computes: where its weight lies, or where accelerate brings it before a pass."""
    device: torch.device = module.weight.device
    return torch.device(module._hf_hook.execution_device) if device.type == "meta" else device


def start_factor(rank: int, d_in: int, generator: torch.Generator) -> Tensor:
    """A's start, (r, d_in): uniform within 1/sqrt(d_in), as in PEFT (kaiming_uniform with a = sqrt(5)).

    B starts at zero. Every adapter of a run starts from the same factors: merged factors mean something
    only from a common start.
    """
    bound = 1 / math.sqrt(d_in)
    return torch.empty(rank, d_in).uniform_(-bound, bound, generator=generator)
