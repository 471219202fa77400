"""What a decoder needs in order to be run in two parts, and the families that differ from the usual.

Most decoders are like Llama's and need no class of their own: :class:`Family` describes them.
Shapes: b batch, t tokens, d hidden size.
"""

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from recbole_apa.backbone.decoder_parts import decoder_view
from recbole_apa.core.errors import BackboneError
from recbole_apa.core.registry import Registry, require

if TYPE_CHECKING:
    from transformers import Cache, PreTrainedModel


@dataclass(frozen=True)
class LogitScale:
    """What a model does to the outputs of its last linear layer."""

    factor: float = 1.0
    cap: float | None = None
    """Logits z become cap * tanh(z / cap); None leaves them unchanged."""

    def __call__(self, products: Tensor) -> Tensor:
        """Logits, of the same shape."""
        logits = products * self.factor if self.factor != 1.0 else products
        return logits if self.cap is None else torch.tanh(logits / self.cap) * self.cap


class Family:
    """The Llama kind: a causal decoder with a list of layers followed by a norm, which accepts ``inputs_embeds``.

    Other families override what differs. Before a run the two parts are compared with the whole model
    (``split_check.py``), which catches an incorrect family.
    """

    name: ClassVar[str] = ""
    """The ``model_type`` of transformers' configuration."""
    layers: ClassVar[str] = "layers"
    """The decoder's attribute with its layers, a ``ModuleList``."""
    norm: ClassVar[str] = "norm"
    """The decoder's attribute with the norm after the layers."""

    def decoder(self, model: "PreTrainedModel") -> "PreTrainedModel":
        """The part of a causal language model that outputs hidden states.

        Raises:
            BackboneError: the layers and norm are not where they are expected.
        """
        decoder = model.get_decoder() if hasattr(model, "get_decoder") else model.model
        if not isinstance(getattr(decoder, self.layers, None), nn.ModuleList) or not hasattr(decoder, self.norm):
            raise BackboneError(
                f"the backbone's decoder ({type(decoder).__name__}) has no `{self.layers}` and `{self.norm}`; expected "
                "a decoder of the Llama kind (Llama, Mistral, Qwen, SmolLM, ...), or a family registered for "
                f"{model.config.model_type!r}: docs/extending.md"
            )
        return decoder

    def layers_of(self, decoder: "PreTrainedModel") -> nn.ModuleList:
        """The decoder's layers, in order."""
        out: nn.ModuleList = getattr(decoder, self.layers)
        return out

    def embeddings(self, model: "PreTrainedModel") -> nn.Embedding:
        """The token embedding table."""
        return model.get_input_embeddings()

    def head(self, model: "PreTrainedModel") -> nn.Linear:
        """The output layer: a weight, (vocabulary, d), and possibly a bias."""
        return model.get_output_embeddings()

    def view(self, decoder: "PreTrainedModel", layers: Sequence[nn.Module], keep_norm: bool) -> "PreTrainedModel":
        """The decoder with other modules in place of its layers, and as many of them: masks and rotary bases are chosen
        by position.

        Args:
            keep_norm: whether the norm is applied after the layers.
        """
        return decoder_view(decoder, {self.layers: nn.ModuleList(layers)}, None if keep_norm else self.norm)

    def run(self, decoder: "PreTrainedModel", embedded: Tensor, cache: "Cache | None") -> Tensor:
        """The hidden states at the top of a decoder, or of a view of one: (b, t, d) -> (b, t, d).

        Args:
            cache: a transformers cache of the preceding tokens' keys and values; None caches nothing.
        """
        named = {} if cache is None else {_cache_argument(type(decoder).forward): cache}
        out: Tensor = decoder(inputs_embeds=embedded, use_cache=cache is not None, **named).last_hidden_state
        return out

    def logit_scale(self, model: "PreTrainedModel") -> LogitScale:
        """The scale of the logits, under the names in the configurations of Cohere, Granite and Gemma 2."""
        config = model.config.get_text_config()
        factor = getattr(config, "logit_scale", None) or 1.0  # Cohere
        factor /= getattr(config, "logits_scaling", None) or 1.0  # Granite
        return LogitScale(factor, getattr(config, "final_logit_softcapping", None))  # Gemma 2


FAMILIES: Registry[Family] = Registry("backbone family")
F = TypeVar("F", bound=type[Family])


def register_family(cls: F) -> F:
    """Class decorator that registers a family under its ``name``, the ``model_type`` it is for.

    Raises:
        SettingsError: the name is taken, or the class is incomplete.
    """
    require(cls, Family, name=str, layers=str, norm=str)
    FAMILIES.add(cls.name, cls)
    return cls


def family_of(model: "PreTrainedModel") -> Family:
    """The family of a model; :class:`Family` itself if none is registered for its ``model_type``."""
    return FAMILIES.get(model.config.model_type, Family)()


@functools.cache
def _cache_argument(forward: Callable[..., object]) -> str:
    """The name of a decoder's cache argument: transformers renamed it in 5.24."""
    return "cache" if "cache" in inspect.signature(forward).parameters else "past_key_values"
