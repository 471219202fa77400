"""Layers of a decoder with other weights: copies that share all the rest, so that the model itself does not change."""

import copy
from collections.abc import Mapping

from torch import Tensor, nn

from recbole_apa.backbone.split_decoder import SplitDecoder
from recbole_apa.core.errors import BackboneError


def merged_layers(decoder: SplitDecoder, changes: Mapping[str, Tensor]) -> list[nn.Module]:
    """The decoder's layers, in order.

    Args:
        changes: full name of a linear layer -> what is added to its weight, (d_out, d_in).

    Raises:
        BackboneError: the decoder has no such linear layer, or one of another shape.
    """
    names = {id(module): name for name, module in decoder.model.named_modules()}
    known = {name: change for name, change in changes.items() if _fits(decoder.model, name, change)}
    if len(known) < len(changes):
        other = min(set(changes) - set(known))
        raise BackboneError(f"the adapter does not fit the backbone: found no linear layer {other} of its shape")
    return [_view(layer, names[id(layer)], known) for layer in decoder.layers]


def _fits(model: nn.Module, name: str, change: Tensor) -> bool:
    try:
        layer = model.get_submodule(name)
    except AttributeError:
        return False
    return isinstance(layer, nn.Linear) and layer.weight.shape == change.shape and layer.weight.is_floating_point()


def _view(module: nn.Module, name: str, changes: Mapping[str, Tensor]) -> nn.Module:
    """A copy of a module in which the named layers have other weights; the module itself if there are none in it."""
    if not any(changed == name or changed.startswith(f"{name}.") for changed in changes):
        return module
    view = copy.copy(module)
    if name in changes:
        weight = module.get_parameter("weight")
        merged = (weight.detach().float() + changes[name]).to(weight.dtype)
        view._parameters = {**module._parameters, "weight": nn.Parameter(merged, requires_grad=False)}
    else:
        children = {n: m if m is None else _view(m, f"{name}.{n}", changes) for n, m in module._modules.items()}
        view._modules = children
    return view
