"""A backbone too large for one device: spread over devices, main memory and disk by accelerate, with its activations
recomputed in the backward pass."""

import contextlib
import ctypes
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from accelerate.utils import align_module_device
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint, set_checkpoint_early_stop

from recbole_apa.adapters.mixture import Mixture
from recbole_apa.core.errors import BackboneError
from recbole_apa.core.execution import PlacementSettings

_M_MMAP_THRESHOLD = -3
"""From glibc's malloc.h."""


def placed_by(settings: PlacementSettings) -> dict[str, object]:
    """Arguments that tell transformers where weights go; empty if one device holds them all."""
    if settings.device_map is None:
        return {}
    _return_freed_memory()
    given = {"max_memory": settings.max_memory, "offload_folder": settings.offload_folder}
    return {"device_map": settings.device_map, **{k: v for k, v in given.items() if v is not None}}


def is_offloaded(model: nn.Module) -> bool:
    """Whether accelerate loads weights before a module's pass and removes them after it."""
    return any(p.device.type == "meta" for p in model.parameters())


def _return_freed_memory() -> None:
    """Make glibc return freed blocks of the size of a weight, which could add up to the size of the model."""
    with contextlib.suppress(OSError, AttributeError):  # another libc
        ctypes.CDLL("libc.so.6").mallopt(_M_MMAP_THRESHOLD, 1 << 20)


def sorted_tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The entries of ``state_dict`` in order of name; offloaded ones are loaded one at a time."""
    entries = model.state_dict()
    for name in sorted(entries):
        if entries[name].device.type != "meta":
            yield name, entries[name]
            continue
        owner, _, leaf = name.rpartition(".")
        module = model.get_submodule(owner)
        with align_module_device(module):
            yield name, getattr(module, leaf)


def checkpoint_layers(layers: Iterable[nn.Module], mixture: Mixture) -> None:
    """Let layers keep only their input for the backward pass and recompute the rest there; the gradients have the same
    bits.

    Raises:
        BackboneError: transformers' checkpointing does not support the layers.
    """
    layer: Any
    for layer in layers:
        if not hasattr(layer, "gradient_checkpointing"):
            raise BackboneError(
                f"gradient_checkpointing: transformers does not support it for {type(layer).__name__}; set it to False"
            )
        layer.gradient_checkpointing = True
        layer._gradient_checkpointing_func = _computed_again(mixture)


def _computed_again(mixture: Mixture) -> Callable[..., object]:
    """Restores the mixture weights for the second pass, which comes later and, on a GPU, on another thread."""

    def run(function: Callable[..., object], *inputs: Tensor) -> object:
        known = mixture.weights, mixture.mode

        def again(*inputs: Tensor) -> object:
            before = mixture.weights, mixture.mode
            mixture.weights, mixture.mode = known
            try:
                return function(*inputs)
            finally:
                mixture.weights, mixture.mode = before

        # with an early stop, accelerate would not remove the last module's weights
        with set_checkpoint_early_stop(False):
            return checkpoint(again, *inputs, use_reentrant=False)

    return run
