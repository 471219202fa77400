"""A backbone that one device cannot hold: spread over devices, main memory and disk by accelerate, and its activations
computed again in the backward pass."""

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
"""Of glibc's malloc.h."""


def placed_by(settings: PlacementSettings) -> dict[str, object]:
    """What transformers is told of where weights go; nothing where one device is to hold them all."""
    if settings.device_map is None:
        return {}
    _return_freed_memory()
    given = {"max_memory": settings.max_memory, "offload_folder": settings.offload_folder}
    return {"device_map": settings.device_map, **{k: v for k, v in given.items() if v is not None}}


def is_offloaded(model: nn.Module) -> bool:
    """Whether accelerate brings weights in before a module's pass and takes them away after it."""
    return any(p.device.type == "meta" for p in model.parameters())


def _return_freed_memory() -> None:
    """glibc keeps freed blocks of the size of a weight for later, up to the whole model's; let it hand them back."""
    with contextlib.suppress(OSError, AttributeError):  # of another libc
        ctypes.CDLL("libc.so.6").mallopt(_M_MMAP_THRESHOLD, 1 << 20)


def sorted_tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The entries of ``state_dict`` in order of name; those that are offloaded are brought in one at a time."""
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
    """Let layers keep their input alone for the backward pass, and compute the rest again there; the gradients are the
    same bits.

    Raises:
        BackboneError: layers that transformers' checkpointing does not know.
    """
    layer: Any
    for layer in layers:
        if not hasattr(layer, "gradient_checkpointing"):
            raise BackboneError(
                f"gradient_checkpointing: transformers' does not know {type(layer).__name__}; set it to False"
            )
        layer.gradient_checkpointing = True
        layer._gradient_checkpointing_func = _computed_again(mixture)


def _computed_again(mixture: Mixture) -> Callable[..., object]:
    """The second pass comes when the weights of the first may be gone, and on a GPU on another thread."""

    def run(function: Callable[..., object], *inputs: Tensor) -> object:
        known = mixture.weights, mixture.mode

        def again(*inputs: Tensor) -> object:
            before = mixture.weights, mixture.mode
            mixture.weights, mixture.mode = known
            try:
                return function(*inputs)
            finally:
                mixture.weights, mixture.mode = before

        # stopping early would leave the last module's weights where accelerate has brought them
        with set_checkpoint_early_stop(False):
            return checkpoint(again, *inputs, use_reentrant=False)

    return run
