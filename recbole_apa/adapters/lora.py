"""LoRA (Hu et al., 2021): K adapters in one linear layer, mixed with separate weights for every sample
(docs/how-it-works.md).

Shapes: b batch, t tokens, k shards, r rank.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recbole_apa.adapters.kind import AdapterKind, ParameterGroup, StackedLayer, register_adapter_kind
from recbole_apa.adapters.mixture import MergeMode, Mixture, home_of
from recbole_apa.core.settings import AdapterSettings, TrainSettings


@dataclass(frozen=True)
class LowRank:
    """Rank and scale of LoRA's factors."""

    rank: int
    """r."""
    alpha: float
    """Numerator of the scale s = alpha / r."""
    use_rslora: bool = False
    """s = alpha / sqrt(r) (rsLoRA, Kalajdzievski, 2023)."""

    @property
    def scale(self) -> float:
        """s."""
        return self.alpha / (math.sqrt(self.rank) if self.use_rslora else self.rank)


class StackedLoRALinear(StackedLayer):
    """A frozen linear layer with K stacked adapters.

    ``decomposition`` APA(D): o = W0 x + s B(x) A(x) x with A(x) = sum_k w_k A_k and B(x) = sum_k w_k B_k.
    ``non_decomposition`` APA(ND): o = W0 x + s sum_k w_k B_k A_k x. (Paper, section 3.3.)
    No sample's d_out x d_in matrix is ever built. Both cost two skinny matrix products with all adapters stacked;
    outside training, APA(D) merges each sample's two factors instead, which costs as much as one adapter.

    Args:
        base: the frozen layer, weight (d_out, d_in).
        n_adapters: k.
        factors: their rank r and scale s.
        mixture: shared with the other layers of the model.
    """

    def __init__(
        self, base: nn.Linear, n_adapters: int, factors: LowRank, mixture: Mixture, dropout: float = 0.0
    ) -> None:
        super().__init__(base, mixture)
        rank = factors.rank
        self.scale = factors.scale
        self.dropout = dropout
        device = home_of(base)
        self.lora_A = nn.Parameter(torch.zeros(n_adapters, rank, base.in_features, device=device))
        self.lora_B = nn.Parameter(torch.zeros(n_adapters, base.out_features, rank, device=device))
        self._kept: tuple[Any, Tensor, Tensor] | None = None

    @property
    def stacked(self) -> tuple[nn.Parameter, ...]:
        """The tensors of all adapters: A, (k, r, d_in), and B, (k, d_out, r)."""
        return self.lora_A, self.lora_B

    def start(self, generator: torch.Generator) -> tuple[Tensor, ...]:
        """The initial A and B of every adapter in a run."""
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
        # for a single position, merging costs more than the products with all adapters
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
        """B(x) A(x) x with each sample's factors merged first: k*r*(d_in + d_out) operations per sample to merge, and
        r*(d_in + d_out) per position for the products, instead of k times as many."""
        w = weights.to(self.lora_A.device, self.lora_A.dtype)
        a = (w @ self.lora_A.flatten(1)).unflatten(1, self.lora_A.shape[1:]).to(x.dtype)  # (b, r, d_in)
        b = (w @ self.lora_B.flatten(1)).unflatten(1, self.lora_B.shape[1:]).to(x.dtype)  # (b, d_out, r)
        return torch.bmm(torch.bmm(x, a.mT), b.mT) * self.scale

    def _factors(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """All A, (k*r, d_in), and all B, (d_out, k*r), as used in the products; cached between passes outside training,
        because with many adapters rebuilding them costs as much as the products."""
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
        """As in torch; also clears the cache, because training may change factors through views of them."""
        self._kept = None
        return super().train(mode)


def start_factor(rank: int, d_in: int, generator: torch.Generator) -> Tensor:
    """Initial A, (r, d_in): uniform within 1/sqrt(d_in), as in PEFT (kaiming_uniform with a = sqrt(5)).

    B starts at zero. Every adapter of a run starts from the same factors: merging factors makes sense only with a
    common start.
    """
    bound = 1 / math.sqrt(d_in)
    return torch.empty(rank, d_in).uniform_(-bound, bound, generator=generator)


@register_adapter_kind
class LoRA(AdapterKind):
    """Two factors per layer, as in PEFT's ``LoraConfig``."""

    name = "lora"
    tensors: ClassVar[Mapping[str, tuple[str, ...]]] = {
        ".lora_A.weight": ("rows", "columns"),
        ".lora_B.weight": ("rows", "columns"),
    }
    has_factors = True

    def layer(
        self, base: nn.Linear, n_adapters: int, mixture: Mixture, settings: AdapterSettings, name: str
    ) -> StackedLayer:
        """See :class:`~recbole_apa.adapters.kind.AdapterKind`."""
        factors = LowRank(settings.lora_rank, settings.lora_alpha, settings.use_rslora)
        return StackedLoRALinear(base, n_adapters, factors, mixture, settings.lora_dropout)

    def peft_config(
        self, settings: AdapterSettings, names: Sequence[str], layers: Sequence[int] | None
    ) -> dict[str, object]:
        """See :class:`~recbole_apa.adapters.kind.AdapterKind`."""
        return {
            "peft_type": "LORA",
            "r": settings.lora_rank,
            "lora_alpha": settings.lora_alpha,
            "lora_dropout": settings.lora_dropout,
            "target_modules": list(settings.target_modules),
            "layers_to_transform": list(layers) if layers is not None else None,
            "bias": "none",
            "init_lora_weights": True,
            # only if set: the files of older runs, without the key, must stay the same
            **({"use_rslora": True} if settings.use_rslora else {}),
        }

    def from_peft(self, parts: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """See :class:`~recbole_apa.adapters.kind.AdapterKind`: A, (r, d_in), and B, (d_out, r)."""
        a, b = parts
        if a.shape[0] != b.shape[1] or not a.shape[0]:
            raise ValueError(f"do not match: {tuple(a.shape)} and {tuple(b.shape)}")
        return parts

    def parameter_groups(self, parameters: list[nn.Parameter], settings: TrainSettings) -> list[ParameterGroup]:
        """See :class:`~recbole_apa.adapters.kind.AdapterKind`. With LoRA+ (Hayou et al., 2024) B has its own
        learning rate."""
        if settings.loraplus_lr_ratio == 1.0:
            return [{"params": parameters}]
        faster = settings.learning_rate * settings.loraplus_lr_ratio
        return [{"params": parameters[0::2]}, {"params": parameters[1::2], "lr": faster}]
