"""Views of a decoder that run some of its layers; modules are shared, nothing is copied.

transformers picks a layer's attention mask and rotary base by its place in the decoder's list. So a view's list is as
long as the decoder's own, and a stand-in keeps the place of every layer that belongs to the other part.
"""

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class StandIn(nn.Module):
    """Keeps a layer's place: hands on what it is given, or the states of the part below, (b, t, d).

    Args:
        layer: whose attributes it shows.
        states: handed on instead of what it is given: a decoder may scale its input.
    """

    def __init__(self, layer: nn.Module, activations: Tensor | None = None) -> None:
        super().__init__()
        # past nn.Module's own register: the layer is not a part of this one
        self.__dict__.update(layer=layer, activations=activations)

    def forward(self, hidden_states: Tensor, *given: object, **named: object) -> Tensor:
        """(b, t, d) -> (b, t, d)."""
        activations: Tensor | None = self.activations
        return hidden_states if activations is None else activations

    def __getattr__(self, name: str) -> Any:
        if "layer" not in self.__dict__:  # a copy that is not filled yet
            raise AttributeError(name)
        return getattr(self.layer, name)


def decoder_view(
    decoder: "PreTrainedModel", instead: Mapping[str, nn.Module], left_out: str | None
) -> "PreTrainedModel":
    """The same decoder with other modules in some places.

    Args:
        instead: name -> module, e.g. a list of as many layers as the decoder has.
        left_out: the name of a module that does nothing in the view.
    """
    view = copy.copy(decoder)
    view.__dict__.pop("forward", None)  # accelerate's is bound to the whole decoder
    view._modules = {**decoder._modules, **instead}
    if left_out is not None:
        view._modules[left_out] = nn.Identity()
    return view
