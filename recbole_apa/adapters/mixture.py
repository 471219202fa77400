"""The weights for mixing a model's adapters, shared by all of its layers.

Shapes: b batch, k shards.
"""

import threading
from typing import Any, Literal

import torch
from torch import Tensor, nn

MergeMode = Literal["decomposition", "non_decomposition"]


class Mixture(threading.local):
    """What all layers of a model share during one pass; each thread has its own, so that passes can run in parallel.

    Attributes:
        weights: w, (b, k), rows summing to 1; None uses the frozen model alone.
        mode: how the adapters are merged.
    """

    def __init__(self) -> None:
        self.weights: Tensor | None = None
        self.mode: MergeMode = "decomposition"

    def checked(self, n_samples: int, n_adapters: int) -> Tensor:
        """The weights, which must be set.

        Raises:
            ValueError: they are for another batch size, or another number of adapters.
        """
        assert self.weights is not None
        if self.weights.shape != (n_samples, n_adapters):
            raise ValueError(
                f"mixture weights have shape {tuple(self.weights.shape)}, expected (batch, adapters) = "
                f"({n_samples}, {n_adapters})"
            )
        return self.weights


def home_of(module: nn.Module) -> torch.device:
    """Where a module computes: on its weight's device, or the one accelerate moves the weight to before a pass."""
    found: Any = module  # torch has no types for its weight, nor for accelerate's hook
    device: torch.device = found.weight.device
    return torch.device(found._hf_hook.execution_device) if device.type == "meta" else device
