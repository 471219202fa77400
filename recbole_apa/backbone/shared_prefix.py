"""Prompts that begin alike: the beginning is read once, and what follows it in one batch.

Continuations have no padding before them and causal attention sees none after them, so no mask is needed.
Shapes: m prompts, p tokens of the beginning, c of a continuation, d hidden size.
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
    """Prompts with one beginning, e.g. a user's history before each of many candidates."""

    places: tuple[int, ...]
    """Where they stand among the prompts given; short continuations first, so that a batch has little padding."""
    prefix: tuple[int, ...]
    """Token ids, (p,)."""
    rests: tuple[tuple[int, ...], ...]
    """What follows in each, (c,) ids."""


def group_by_prefix(prompts: Sequence[TokenizedPrompt]) -> list[PromptList]:
    """Prompts whose part before the target is the same, in order of first appearance."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for place, prompt in enumerate(prompts):
        groups.setdefault(prompt.ids[: prompt.n_prefix], []).append(place)
    out = []
    for prefix, places in groups.items():
        places.sort(key=lambda i: len(prompts[i].ids))
        out.append(PromptList(tuple(places), prefix, tuple(prompts[i].ids[len(prefix) :] for i in places)))
    return out


class PartCache(DynamicCache):
    """Keys and values of some of a decoder's layers, whose own numbers begin at ``first``."""

    def __init__(self, first: int) -> None:
        super().__init__()
        self.first = first

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *rest: object, **named: object
    ) -> tuple[Tensor, Tensor]:
        """See transformers' ``Cache``; the part's first layer is number 0 here."""
        return super().update(key_states, value_states, layer_idx - self.first, *rest, **named)

    def repeated(self, m: int) -> "PartCache":
        """The same for ``m`` continuations; this one is left as it is."""
        out = PartCache(self.first)
        for layer in self.layers:
            # expanded, not copied: the first update puts them into a tensor of its own
            row: Any = copy.copy(layer)
            row.keys, row.values = (x.expand(m, -1, -1, -1) for x in (row.keys, row.values))
            out.layers.append(row)
        return out


class SharedPass:
    """A part of a decoder over a beginning; continuations go on from there.

    Args:
        run: the part: states below it, (b, t, d), and a cache or None -> states at its top, (b, t, d).
        first_layer: the number that the part's first layer has in the whole.
        prefix: states below the part, (p, d).
        caches_keys: whether the beginning's keys and values are kept; else it is read again before every continuation.
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
        """At the part's top, (p, d)."""

    def extend(self, rests: Sequence[Tensor]) -> list[Tensor]:
        """States at the part's top of each continuation: (c, d) each."""
        if self._cache is None:
            whole = self._run(_padded([torch.cat([self._prefix, rest]) for rest in rests]), None)
            out = whole[:, len(self._prefix) :]  # (m, max c, d)
        else:
            out = self._run(_padded(rests), self._cache.repeated(len(rests)))
        return [row[: len(rest)] for row, rest in zip(out, rests, strict=True)]


def _padded(rows: Sequence[Tensor]) -> Tensor:
    return nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
