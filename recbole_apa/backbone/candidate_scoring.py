"""Scores of lists of candidates: the user's part of the prompt once, candidates as short continuations.

Equal to scoring every prompt alone within rounding. Shapes: n prompts, m candidates of a list, k shards, d hidden size.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from recbole_apa.adapters.mixture import MergeMode
from recbole_apa.backbone.activation_cache import FrozenPass
from recbole_apa.backbone.engine import ScoringEngine
from recbole_apa.backbone.prompt_encoder import TokenizedPrompt
from recbole_apa.backbone.shared_prefix import PromptList, SharedPass, group_by_prefix

CHUNK = 32
"""Continuations in a batch."""

Begun = TypeVar("Begun")
Result = TypeVar("Result")


@dataclass(frozen=True)
class FrozenList:
    """What the frozen model says of a list; the same for every adapter."""

    prompts: PromptList
    prefix: Tensor
    """At the trunk's top, (p, d)."""
    rests: list[Tensor]
    """Likewise, (c, d) each, in the list's order."""
    embeddings: Tensor
    """h, (m, d), or (1, d) where it does not look at the candidate; float32 on the CPU."""


class ListScorer:
    """Reads and scores prompts many of which begin alike.

    Args:
        engine: backbone and adapters; its cache of single prompts is not looked at.
    """

    def __init__(self, engine: ScoringEngine) -> None:
        self.engine = engine

    @torch.no_grad()
    def read(self, prompts: Sequence[TokenizedPrompt]) -> list[FrozenList]:
        """The frozen pass of each list among the prompts."""
        lists = group_by_prefix(prompts)
        decoder = self.engine.decoder
        final = self.engine.settings.embedding == "final"

        def begin(i: int) -> tuple[SharedPass, SharedPass | None]:
            embedded = decoder.embed(lists[i].prefix)
            trunk = SharedPass(decoder.trunk_pass, 0, embedded, decoder.caches_keys)
            return trunk, self._upper(trunk.activations) if final else None

        def extend(i: int, begun: tuple[SharedPass, SharedPass | None], chunk: range) -> tuple[list[Tensor], Tensor]:
            trunk, upper = begun
            activations = trunk.extend(decoder.embed_each([lists[i].rests[j] for j in chunk]))
            if upper is None:
                return activations, self._embed(trunk.activations, activations)
            return activations, self._embed(upper.activations, upper.extend(activations))

        begun, parts = self._in_chunks([len(x.rests) for x in lists], begin, extend)
        out = []
        for one, (trunk, _), chunks in zip(lists, begun, parts, strict=True):
            h = torch.cat([h for _, h in chunks]).cpu()
            if self.engine.settings.embedding_pooling == "history":
                h = h[:1]
            out.append(FrozenList(one, trunk.activations, [s for activations, _ in chunks for s in activations], h))
        return out

    @torch.no_grad()
    def scores(self, lists: Sequence[FrozenList], weights: Sequence[Tensor], mode: MergeMode) -> Tensor:
        """s of every prompt, in the order in which they were read: (n,), float32 on the CPU.

        Args:
            weights: of each list, (m, k), or (1, k) for all its candidates. Where they do not differ, the upper layers,
                too, read the user's part once.
        """
        out = torch.empty(sum(len(x.rests) for x in lists))
        alike = [i for i, w in enumerate(weights) if torch.equal(w, w[:1].expand_as(w))]
        shared = self._shared([lists[i] for i in alike], [weights[i][:1] for i in alike], mode)
        found = dict(zip(alike, shared, strict=True))
        for i, one in enumerate(lists):
            out[list(one.prompts.places)] = found[i] if i in found else self._each_its_own(one, weights[i], mode)
        return out

    @staticmethod
    def spread(lists: Sequence[FrozenList], values: Sequence[Tensor]) -> Tensor:
        """What is known of each list, (m, ...) or (1, ...), for every prompt in the order of reading: (n, ...)."""
        out = torch.empty(sum(len(x.rests) for x in lists), *values[0].shape[1:])
        for one, found in zip(lists, values, strict=True):
            out[list(one.prompts.places)] = found
        return out

    def adapter_scores(self, lists: Sequence[FrozenList]) -> Tensor:
        """s_k of each adapter alone, (n, k), in the order in which the prompts were read."""
        one_hot = torch.eye(self.engine.bank.n_adapters)
        return torch.stack([self.scores(lists, [w[None]] * len(lists), "non_decomposition") for w in one_hot], dim=1)

    def _shared(self, lists: Sequence[FrozenList], weights: Sequence[Tensor], mode: MergeMode) -> list[Tensor]:
        """Scores of lists whose candidates have their weights in common, (m,) each."""
        decoder, mixed = self.engine.decoder, self.engine.bank.mixed
        placed = [w.to(decoder.device) for w in weights]

        def begin(i: int) -> SharedPass:
            with mixed(placed[i], mode):
                return self._upper(lists[i].prefix)

        def extend(i: int, begun: SharedPass, chunk: range) -> Tensor:
            with mixed(placed[i].expand(len(chunk), -1), mode):
                hidden = begun.extend([lists[i].rests[j] for j in chunk])
            return torch.sigmoid(self.engine.head.margins(torch.stack([row[-1] for row in hidden])))

        return [torch.cat(parts).cpu() for parts in self._in_chunks([len(x.rests) for x in lists], begin, extend)[1]]

    def _upper(self, prefix: Tensor) -> SharedPass:
        """The upper layers over the beginning of a list, whose trunk states are given."""
        decoder = self.engine.decoder
        return SharedPass(decoder.upper_pass, decoder.n_trunk, prefix, decoder.caches_keys)

    def _each_its_own(self, one: FrozenList, weights: Tensor, mode: MergeMode) -> Tensor:
        """Adapters differ from one candidate to the next, and with them the upper states of the user's part."""
        whole = [FrozenPass(torch.cat([one.prefix, rest]), one.embeddings[0]) for rest in one.rests]
        return self.engine.score_frozen(whole, weights, mode)

    def _in_chunks(
        self,
        sizes: Sequence[int],
        begin: Callable[[int], Begun],
        extend: Callable[[int, Begun, range], Result],
    ) -> tuple[list[Begun], list[list[Result]]]:
        """``begin`` each list, then ``extend`` with its candidates, a batch at a time; on a CPU side by side."""
        begun = self.engine.side_by_side(begin, range(len(sizes)))
        jobs = [(i, range(a, min(a + CHUNK, n))) for i, n in enumerate(sizes) for a in range(0, n, CHUNK)]
        done = self.engine.side_by_side(lambda job: extend(job[0], begun[job[0]], job[1]), jobs)
        out: list[list[Result]] = [[] for _ in sizes]
        for (i, _), result in zip(jobs, done, strict=True):
            out[i].append(result)
        return begun, out

    def _embed(self, prefix: Tensor, rests: Sequence[Tensor]) -> Tensor:
        """h of continuations, (m, d)."""
        pooled = self.engine.settings.embedding_pooling
        if pooled == "history":
            return prefix[-1:].float()
        if pooled == "last":
            return torch.stack([rest[-1].float() for rest in rests])
        total = prefix.float().sum(0)
        return torch.stack([(total + rest.float().sum(0)) / (len(prefix) + len(rest)) for rest in rests])
