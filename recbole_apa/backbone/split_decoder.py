"""One decoder in two parts: a trunk of frozen lower layers, and the upper layers that carry adapters.

Prompts are padded on the right. Attention is causal, so no real position sees the padding, and a prompt's
activations do not depend on it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from recbole_apa.adapters.mixture import home_of
from recbole_apa.backbone.decoder_parts import StandIn
from recbole_apa.backbone.family import family_of
from recbole_apa.backbone.last_layer import Places, reading_at
from recbole_apa.core.errors import BackboneError

if TYPE_CHECKING:
    from transformers import Cache, PreTrainedModel


class SplitDecoder:
    """Runs the trunk and the upper layers of a causal language model separately.

    Whether the two parts together give the same as the whole is checked in ``split_check.py``.

    Args:
        model: a transformers causal language model.
        trunk_layers: layers in the trunk, a count or a fraction below 1.

    Raises:
        BackboneError: the model's layers are not where they are expected, or ``trunk_layers`` is out of range.
    """

    def __init__(self, model: "PreTrainedModel", trunk_layers: int | float) -> None:
        self.model = model
        self.family = family_of(model)
        self.decoder = self.family.decoder(model)
        self.layers = list(self.family.layers_of(self.decoder))
        self.n_layers = len(self.layers)
        share = isinstance(trunk_layers, float) and trunk_layers < 1
        self.n_trunk = round(trunk_layers * self.n_layers) if share else int(trunk_layers)
        if not 0 <= self.n_trunk < self.n_layers:
            raise BackboneError(
                f"trunk_layers: found {self.n_trunk}, expected 0 to {self.n_layers - 1} for this backbone"
            )
        self.checkpointed = False
        """Whether the upper layers are recomputed in the backward pass."""
        self.caches_keys = True
        """Whether a prefix shared by prompts is cached as keys and values."""
        self.skips_unread = False
        """Whether the last layer leaves out what :meth:`upper_at` does not read."""
        self._stand_ins = [StandIn(layer) for layer in self.layers]
        trunk = [*self.layers[: self.n_trunk], *self._stand_ins[self.n_trunk :]]
        self._trunk_view = self.family.view(self.decoder, trunk, keep_norm=False)

    @property
    def device(self) -> torch.device:
        """The device of the embedding table, or where accelerate loads it."""
        return home_of(self.family.embeddings(self.model))

    @property
    def hidden_size(self) -> int:
        """d."""
        return int(self.family.embeddings(self.model).weight.shape[1])

    def layer_prefixes(self) -> list[str]:
        """Name prefixes of the layers that carry adapters."""
        if not self.n_trunk:
            return [""]
        path = next(
            name for name, module in self.model.named_modules() if module is self.family.layers_of(self.decoder)
        )
        return [f"{path}.{i}." for i in range(self.n_trunk, self.n_layers)]

    def upper_layers(self) -> list[int] | None:
        """Numbers of the layers that carry adapters; None for all."""
        return list(range(self.n_trunk, self.n_layers)) if self.n_trunk else None

    @torch.no_grad()
    def trunk(self, prompts: Sequence[Sequence[int]]) -> list[Tensor]:
        """The activations at the top of the trunk for each prompt, (t_i, d)."""
        padded = _pad([torch.tensor(ids) for ids in prompts]).to(self.device)
        if self.n_trunk:
            activations = self._trunk_view(input_ids=padded, use_cache=False).last_hidden_state
        else:
            activations = self.family.embeddings(self.model)(padded)
        return [row[: len(ids)].clone() for row, ids in zip(activations, prompts, strict=True)]

    def upper(self, activations: Sequence[Tensor]) -> Tensor:
        """Final hidden states, (b, max t, d), of prompts whose trunk activations are given."""
        return self.upper_pass(self._placed(activations))

    def upper_at(self, activations: Sequence[Tensor], positions: Sequence[Sequence[int]]) -> Tensor:
        """As :meth:`upper`, at the given positions of each prompt, concatenated: (m, d)."""
        given = self._placed(activations)
        places = Places.of(positions, given.device)
        last = reading_at(self.layers[-1], places) if self.skips_unread else None
        return places.gather(self.upper_pass(given, last=last))

    def _placed(self, activations: Sequence[Tensor]) -> Tensor:
        """Activations padded on the device, (b, max t, d); the upper layers are made ready for them."""
        if any(s.device.type != "cpu" for s in activations):
            activations = [s.to(self.device) for s in activations]
        padded = _pad(activations).to(self.device)  # one copy from the CPU for all
        if self.checkpointed and torch.is_grad_enabled():
            for layer in self.layers[self.n_trunk :]:
                layer.training = True  # of the layer alone, as transformers requires; RecBole's eval() resets it
        return padded

    def embed(self, ids: Sequence[int]) -> Tensor:
        """Rows of the embedding table, (len(ids), d)."""
        out: Tensor = self.family.embeddings(self.model)(torch.tensor(ids).to(self.device))
        return out

    def embed_each(self, rows: Sequence[Sequence[int]]) -> list[Tensor]:
        """The same for several rows of ids, looked up together: (len(row), d) each."""
        return list(self.embed([i for row in rows for i in row]).split([len(row) for row in rows]))

    def trunk_pass(self, embedded: Tensor, cache: "Cache | None" = None) -> Tensor:
        """The activations at the top of the trunk for rows of embeddings: (b, t, d) -> (b, t, d).

        Args:
            cache: a transformers cache of the preceding tokens' keys and values; the new ones are added.
        """
        return embedded if not self.n_trunk else self.family.run(self._trunk_view, embedded, cache)

    def upper_pass(self, activations: Tensor, cache: "Cache | None" = None, last: nn.Module | None = None) -> Tensor:
        """Final hidden states for rows of trunk activations: (b, t, d) -> (b, t, d).

        Args:
            cache: as in :meth:`trunk_pass`.
            last: in place of the last layer.
        """
        upper = [*self.layers[self.n_trunk : -1], last or self.layers[-1]]
        if not self.n_trunk:
            whole = self.decoder if last is None else self.family.view(self.decoder, upper, keep_norm=True)
            return self.family.run(whole, activations, cache)
        # created per call: other calls run at the same time, with their own activations
        given = StandIn(self.layers[self.n_trunk - 1], activations)
        layers = [*self._stand_ins[: self.n_trunk - 1], given, *upper]
        return self.family.run(self.family.view(self.decoder, layers, keep_norm=True), activations, cache)


def _pad(rows: Sequence[Tensor]) -> Tensor:
    """Stack rows of different length, zeros on the right."""
    return nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
