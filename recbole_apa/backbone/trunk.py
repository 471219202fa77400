"""One decoder in two parts: a trunk of frozen lower layers, and the upper layers that carry adapters.

Prompts are padded on the right. Attention is causal, so no real position sees the padding, and a prompt's
states do not depend on it.
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from recbole_apa.adapters.layer import home_of
from recbole_apa.errors import BackboneError


class SplitDecoder:
    """Runs the trunk and the upper layers of a causal language model separately.

    Args:
        model: a transformers causal language model.
        trunk_layers: layers in the trunk, a count or a share below 1.

    Raises:
        BackboneError: the model's layers are not where they are looked for, or the two parts together do not
            give what the whole gives (some architectures scale or mask by layer number).
    """

    def __init__(self, model: Any, trunk_layers: int | float) -> None:
        self.model = model
        self.decoder = model.get_decoder() if hasattr(model, "get_decoder") else model.model
        self.n_layers = _layer_count(self.decoder)
        share = isinstance(trunk_layers, float) and trunk_layers < 1
        self.n_trunk = round(trunk_layers * self.n_layers) if share else int(trunk_layers)
        if not 0 <= self.n_trunk < self.n_layers:
            raise BackboneError(
                f"trunk_layers: found {self.n_trunk}, expected 0 to {self.n_layers - 1} for this backbone"
            )
        self.checkpointed = False
        """Whether the upper layers are computed again in the backward pass."""
        self.trunk_part = _part(self.decoder, 0, self.n_trunk, keep_norm=False) if self.n_trunk else None
        """The lower layers as a decoder; None where there are none."""
        self._check_equal_to_whole()

    @property
    def device(self) -> torch.device:
        """Where the embedding table lies, or is brought."""
        return home_of(self.model.get_input_embeddings())

    @property
    def hidden_size(self) -> int:
        """d."""
        return self.model.get_input_embeddings().weight.shape[1]

    def layer_prefixes(self) -> list[str]:
        """Names of the layers that carry adapters, as prefixes."""
        if not self.n_trunk:
            return [""]
        path = next(name for name, module in self.model.named_modules() if module is self.decoder.layers)
        return [f"{path}.{i}." for i in range(self.n_trunk, self.n_layers)]

    def upper_layers(self) -> list[int] | None:
        """Numbers of the layers that carry adapters; None for all."""
        return list(range(self.n_trunk, self.n_layers)) if self.n_trunk else None

    @torch.no_grad()
    def trunk(self, prompts: Sequence[Sequence[int]]) -> list[Tensor]:
        """States at the trunk's top for each prompt, (t_i, d)."""
        padded = _pad([torch.tensor(ids, device=self.device) for ids in prompts])
        if self.trunk_part is None:
            states = self.model.get_input_embeddings()(padded)
        else:
            states = self.trunk_part(input_ids=padded, use_cache=False).last_hidden_state
        return [row[: len(ids)].clone() for row, ids in zip(states, prompts, strict=True)]

    def upper(self, states: Sequence[Tensor]) -> Tensor:
        """Final hidden states, (b, max t, d), of prompts whose trunk states are given."""
        padded = _pad([s.to(self.device) for s in states])
        if self.checkpointed and torch.is_grad_enabled():
            for layer in self.decoder.layers[self.n_trunk :]:
                layer.training = True  # of the layer alone, for transformers' sake; RecBole's eval() takes it back
        return self.upper_part(inputs_embeds=padded, use_cache=False).last_hidden_state

    def embed(self, ids: Sequence[int]) -> Tensor:
        """Rows of the embedding table, (len(ids), d)."""
        out: Tensor = self.model.get_input_embeddings()(torch.tensor(ids, device=self.device))
        return out

    @property
    def upper_part(self) -> Any:
        """The upper layers as a decoder."""
        # made anew for each call: adapters replace modules inside the layers, never the layers
        return _part(self.decoder, self.n_trunk, self.n_layers, keep_norm=True) if self.n_trunk else self.decoder

    @torch.no_grad()
    def _check_equal_to_whole(self) -> None:
        ids = torch.arange(2, 10, device=self.device)[None]
        whole = self.decoder(input_ids=ids, use_cache=False).last_hidden_state
        parts = self.upper(self.trunk([ids[0].tolist()]))
        if not torch.allclose(whole.float(), parts.float(), rtol=0.05, atol=0.05):
            raise BackboneError(
                f"this backbone does not give the same states in two parts (trunk_layers = {self.n_trunk}, largest "
                f"difference {float((whole - parts).abs().max()):.3g}); set trunk_layers: 0"
            )


def _layer_count(decoder: Any) -> int:
    layers = getattr(decoder, "layers", None)
    if not isinstance(layers, nn.ModuleList) or not hasattr(decoder, "norm"):
        raise BackboneError(
            f"the backbone's decoder ({type(decoder).__name__}) has no `layers` and `norm`; expected a decoder of "
            "the Llama kind (Llama, Mistral, Qwen, SmolLM, ...)"
        )
    return len(layers)


def _part(decoder: Any, start: int, stop: int, keep_norm: bool) -> Any:
    """The same decoder with some of its layers; modules are shared, nothing is copied."""
    view = copy.copy(decoder)
    view.__dict__.pop("forward", None)  # accelerate's is bound to the whole decoder
    view._modules = dict(decoder._modules)
    view._modules["layers"] = nn.ModuleList(list(decoder.layers)[start:stop])
    if not keep_norm:
        view._modules["norm"] = nn.Identity()
    return view


def _pad(rows: Sequence[Tensor]) -> Tensor:
    """Stack rows of different length, zeros on the right."""
    return nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
