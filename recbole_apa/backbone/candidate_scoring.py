"""Score lists of candidates: the user's part of the prompt is computed once, candidates as short continuations.

Same as scoring every prompt alone, within rounding. Shapes: n prompts, m candidates in a list, k shards, d hidden size.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from recbole_apa.adapters.mixture import MergeMode
from recbole_apa.backbone.activation_cache import FrozenPass
from recbole_apa.backbone.engine import ScoringEngine
from recbole_apa.backbone.history_offset import target_offset
from recbole_apa.backbone.prompt_encoder import TokenizedPrompt
from recbole_apa.backbone.shared_prefix import PromptList, SharedPass, group_by_prefix

CHUNK = 32
"""Continuations per batch."""

Begun = TypeVar("Begun")
Result = TypeVar("Result")


@dataclass(frozen=True)
class FrozenList:
    """The frozen model's result for a list; the same for every adapter."""

    prompts: PromptList
    prefix: Tensor
    """Activations of the prefix at the top of the trunk, (p, d)."""
    rests: list[Tensor]
    """Likewise for the continuations, (c, d) each, in the list's order."""
    embeddings: Tensor
    """h, (m, d), or (1, d) if it does not depend on the candidate; float32 on the CPU."""
    offsets: list[float]
    """What is added to the log odds of each continuation's answer, (m,)."""


class ListScorer:
    """Embeds and scores prompts many of which have a common prefix.

    Args:
        engine: backbone and adapters; its cache of single prompts is not used.
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
            rests = [s for activations, _ in chunks for s in activations]
            out.append(FrozenList(one, trunk.activations, rests, h, self._offsets(one, prompts)))
        return out

    @torch.no_grad()
    def scores(self, lists: Sequence[FrozenList], weights: Sequence[Tensor], mode: MergeMode) -> Tensor:
        """s of every prompt, in the order of :meth:`read`: (n,), float32 on the CPU.

        Args:
            weights: of each list, (m, k), or (1, k) for all its candidates. With common weights, the upper layers
                process the user's part only once, too.
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
        """Values per list, (m, ...) or (1, ...), expanded to every prompt in the order of :meth:`read`: (n, ...)."""
        out = torch.empty(sum(len(x.rests) for x in lists), *values[0].shape[1:])
        for one, found in zip(lists, values, strict=True):
            out[list(one.prompts.places)] = found
        return out

    def adapter_scores(self, lists: Sequence[FrozenList]) -> Tensor:
        """s_k of each adapter alone, (n, k), in the order of :meth:`read`."""
        one_hot = torch.eye(self.engine.bank.n_adapters)
        return torch.stack([self.scores(lists, [w[None]] * len(lists), "non_decomposition") for w in one_hot], dim=1)

    def _shared(self, lists: Sequence[FrozenList], weights: Sequence[Tensor], mode: MergeMode) -> list[Tensor]:
        """Scores of lists whose candidates share their weights, (m,) each."""
        decoder, mixed = self.engine.decoder, self.engine.bank.mixed
        placed = [w.to(decoder.device) for w in weights]

        def begin(i: int) -> SharedPass:
            with mixed(placed[i], mode):
                return self._upper(lists[i].prefix)

        def extend(i: int, begun: SharedPass, chunk: range) -> Tensor:
            with mixed(placed[i].expand(len(chunk), -1), mode):
                hidden = begun.extend([lists[i].rests[j] for j in chunk])
            margins = self.engine.head.margins(torch.stack([row[-1] for row in hidden]))
            if self.engine.adds_offset:
                margins = margins + torch.tensor([lists[i].offsets[j] for j in chunk]).to(margins.device)
            return torch.sigmoid(margins)

        return [torch.cat(parts).cpu() for parts in self._in_chunks([len(x.rests) for x in lists], begin, extend)[1]]

    def _offsets(self, one: PromptList, prompts: Sequence[TokenizedPrompt]) -> list[float]:
        adds = self.engine.adds_offset
        return [target_offset(prompts[place]) if adds else 0.0 for place in one.places]

    def _upper(self, prefix: Tensor) -> SharedPass:
        """The upper layers over the prefix of a list, given its trunk activations."""
        decoder = self.engine.decoder
        return SharedPass(decoder.upper_pass, decoder.n_trunk, prefix, decoder.caches_keys)

    def _each_its_own(self, one: FrozenList, weights: Tensor, mode: MergeMode) -> Tensor:
        """Scores if weights differ between candidates, and so do the upper activations of the user's part."""
        told = zip(one.rests, one.offsets, strict=True)
        whole = [FrozenPass(torch.cat([one.prefix, rest]), one.embeddings[0], offset) for rest, offset in told]
        return self.engine.score_frozen(whole, weights, mode)

    def _in_chunks(
        self,
        sizes: Sequence[int],
        begin: Callable[[int], Begun],
        extend: Callable[[int, Begun, range], Result],
    ) -> tuple[list[Begun], list[list[Result]]]:
        """``begin`` each list, then ``extend`` it with its candidates, batch by batch; in parallel on a CPU."""
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
