"""Views of a decoder that run some of its layers; modules are shared, nothing is copied.

transformers picks a layer's attention mask and rotary base by its position in the decoder's list. So a view's list is
as long as the decoder's own, with a stand-in at the position of every layer that belongs to the other part.
"""

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class StandIn(nn.Module):
    """Takes a layer's position: returns its input, or the activations of the part below, (b, t, d).

    Args:
        layer: the layer whose attributes it exposes.
        activations: returned instead of the input, which the decoder may have scaled.
    """

    def __init__(self, layer: nn.Module, activations: Tensor | None = None) -> None:
        super().__init__()
        # bypasses nn.Module's registration: the layer is not a submodule of this one
        self.__dict__.update(layer=layer, activations=activations)

    def forward(self, hidden_states: Tensor, *given: object, **named: object) -> Tensor:
        """(b, t, d) -> (b, t, d)."""
        activations: Tensor | None = self.activations
        return hidden_states if activations is None else activations

    def __getattr__(self, name: str) -> Any:
        if "layer" not in self.__dict__:  # a copy that is not initialized yet
            raise AttributeError(name)
        return getattr(self.layer, name)


def decoder_view(
    decoder: "PreTrainedModel", instead: Mapping[str, nn.Module], left_out: str | None
) -> "PreTrainedModel":
    """The same decoder with some modules replaced.

    Args:
        instead: name -> module, e.g. a list with as many layers as the decoder has.
        left_out: the name of a module that is a no-op in the view.
    """
    view = copy.copy(decoder)
    view.__dict__.pop("forward", None)  # accelerate's is bound to the whole decoder
    view._modules = {**decoder._modules, **instead}
    if left_out is not None:
        view._modules[left_out] = nn.Identity()
    return view
