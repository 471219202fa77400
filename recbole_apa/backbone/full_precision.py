"""Run a decoder's layers in float32 for a few passes, one layer at a time, and restore the original weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from recbole_apa.backbone.family import family_of

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

HALVES = (torch.bfloat16, torch.float16)


def can_be_float32(model: "PreTrainedModel") -> bool:
    """Whether the weights can be cast to float32: they are neither quantized nor offloaded."""
    if getattr(model, "hf_quantizer", None) is not None:
        return False
    return all(p.device.type != "meta" and p.dtype in (*HALVES, torch.float32) for p in model.parameters())


@contextmanager
def in_float32(model: "PreTrainedModel", decoder: "PreTrainedModel") -> Iterator[None]:
    """Compute passes inside this context in float32, whatever the weights' type.

    Args:
        decoder: the model's decoder; its other modules are cast as well, but only those rows of the embedding table
            that are looked up.
    """
    family = family_of(model)
    table, layers = family.embeddings(model), family.layers_of(decoder)
    modules = [child for child in decoder.children() if child is not layers and child is not table]
    casts = [_Cast(module) for module in (*modules, *layers)]
    hooks = [table.register_forward_hook(lambda module, given, rows: rows.float())]
    for cast in casts:
        hooks.append(cast.module.register_forward_pre_hook(cast.take))
        hooks.append(cast.module.register_forward_hook(cast.give_back, always_call=True))
    try:
        with _kernels_for_float32(decoder.config):
            yield
    finally:
        for hook in hooks:
            hook.remove()
        for cast in casts:
            cast.give_back()


class _Cast:
    """Gives a module float32 copies of its weights during its pass."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self._own: list[tuple[dict[str, Any], str, Tensor]] = []

    def take(self, *_: object) -> None:
        """Replace the weights with float32 copies."""
        for module in self.module.modules():
            for places in (module._parameters, module._buffers):
                for name, tensor in places.items():
                    if tensor is not None and tensor.dtype in HALVES:
                        self._lend(places, name, tensor)

    def give_back(self, *_: object) -> None:
        """Restore the original weights."""
        for places, name, tensor in self._own:
            places[name] = tensor
        self._own.clear()

    def _lend(self, places: dict[str, Any], name: str, tensor: Tensor) -> None:
        self._own.append((places, name, tensor))
        copy = tensor.detach().float()
        places[name] = nn.Parameter(copy, requires_grad=False) if isinstance(tensor, nn.Parameter) else copy


@contextmanager
def _kernels_for_float32(config: "PretrainedConfig") -> Iterator[None]:
    """Use torch's own attention instead of flash attention, which does not support float32."""
    asked = config._attn_implementation
    if asked is not None and "flash" in asked:
        config._attn_implementation = "sdpa"
    try:
        yield
    finally:
        if config._attn_implementation != asked:
            config._attn_implementation = asked
