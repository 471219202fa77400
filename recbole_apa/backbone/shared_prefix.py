"""Prompts with a common prefix: the prefix is computed once, and the continuations in one batch.

Continuations have no padding before them, and causal attention ignores padding after them, so no mask is needed.
Shapes: m prompts, p tokens in the prefix, c in a continuation, d hidden size.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from recbole_apa.backbone.prompt_encoder import TokenizedPrompt


@dataclass(frozen=True)
class PromptList:
    """Prompts with one prefix, e.g. a user's history before each of many candidates."""

    places: tuple[int, ...]
    """Their positions among the given prompts; short continuations first, so that a batch has little padding."""
    prefix: tuple[int, ...]
    """Token ids, (p,)."""
    rests: tuple[tuple[int, ...], ...]
    """The continuation of each, (c,) token ids."""


def group_by_prefix(prompts: Sequence[TokenizedPrompt]) -> list[PromptList]:
    """Group prompts by their part before the target, in order of first appearance."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for place, prompt in enumerate(prompts):
        groups.setdefault(prompt.ids[: prompt.n_prefix], []).append(place)
    out = []
    for prefix, places in groups.items():
        places.sort(key=lambda i: len(prompts[i].ids))
        out.append(PromptList(tuple(places), prefix, tuple(prompts[i].ids[len(prefix) :] for i in places)))
    return out


class PartCache(DynamicCache):
    """Keys and values for part of a decoder, whose layer numbers begin at ``first``."""

    def __init__(self, first: int) -> None:
        super().__init__()
        self.first = first

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *rest: object, **named: object
    ) -> tuple[Tensor, Tensor]:
        """See transformers' ``Cache``; the part's first layer has number 0 here."""
        return super().update(key_states, value_states, layer_idx - self.first, *rest, **named)

    def repeated(self, m: int) -> "PartCache":
        """A copy for ``m`` continuations; this cache is not changed."""
        out = PartCache(self.first)
        for layer in self.layers:
            # expanded, not copied: the first update makes a new tensor
            row: Any = copy.copy(layer)
            row.keys, row.values = (x.expand(m, -1, -1, -1) for x in (row.keys, row.values))
            out.layers.append(row)
        return out


class SharedPass:
    """Part of a decoder applied to a prefix, which continuations can then extend.

    Args:
        run: the part: activations below it, (b, t, d), and a cache or None -> activations at its top, (b, t, d).
        first_layer: the number of the part's first layer in the whole decoder.
        prefix: activations below the part, (p, d).
        caches_keys: whether to keep the prefix's keys and values; else it is recomputed for every continuation.
    """

    def __init__(
        self,
        run: Callable[[Tensor, PartCache | None], Tensor],
        first_layer: int,
        prefix: Tensor,
        caches_keys: bool = True,
    ) -> None:
        self._run = run
        self._prefix = prefix
        self._cache = PartCache(first_layer) if caches_keys else None
        self.activations = run(prefix[None], self._cache)[0]
        """The prefix's activations at the part's top, (p, d)."""

    def extend(self, rests: Sequence[Tensor]) -> list[Tensor]:
        """Each continuation's activations at the part's top: (c, d) each."""
        if self._cache is None:
            whole = self._run(_padded([torch.cat([self._prefix, rest]) for rest in rests]), None)
            out = whole[:, len(self._prefix) :]  # (m, max c, d)
        else:
            out = self._run(_padded(rests), self._cache.repeated(len(rests)))
        return [row[: len(rest)] for row, rest in zip(out, rests, strict=True)]


def _padded(rows: Sequence[Tensor]) -> Tensor:
    return nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
