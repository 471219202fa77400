"""The weights with which a model's adapters are mixed, shared by all of its layers.

Shapes: b batch, k shards.
"""

import threading
from typing import Any, Literal

import torch
from torch import Tensor, nn

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


def home_of(module: nn.Module) -> torch.device:
    """Where a module computes: where its weight lies, or where accelerate brings it before a pass."""
    found: Any = module  # torch does not know what its weight is, nor accelerate's hook
    device: torch.device = found.weight.device
    return torch.device(found._hf_hook.execution_device) if device.type == "meta" else device
