"""The frozen model with its adapters, from prompt texts to scores. Independent of RecBole.

Shapes: b batch, t tokens, k shards, d hidden size.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor

from recbole_apa.adapters.bank import AdapterBank
from recbole_apa.adapters.mixture import MergeMode
from recbole_apa.backbone.activation_cache import ActivationCache, FrozenPass
from recbole_apa.backbone.answer_head import AnswerHead
from recbole_apa.backbone.history_offset import target_offset, training_offsets
from recbole_apa.backbone.load import Backbone
from recbole_apa.backbone.placement import checkpoint_layers, is_offloaded
from recbole_apa.backbone.prompt_encoder import PromptEncoder, TokenizedPrompt
from recbole_apa.backbone.split_check import check_split
from recbole_apa.backbone.split_decoder import SplitDecoder
from recbole_apa.backbone.threads import map_on_threads
from recbole_apa.core.errors import PromptError
from recbole_apa.core.settings import AdapterSettings, BackboneSettings, PromptSettings, TrainSettings
from recbole_apa.data.prompts import PromptInput, choose_template

Item = TypeVar("Item")
Result = TypeVar("Result")

MAX_ENCODED = 200_000
"""How many prompts' tokens to keep; ranking whole catalogues makes more than should be in RAM."""
LEFT_ON_DEVICE = 256 << 20
"""Up to this many bytes of frozen activations stay on a GPU for the next pass; more are moved to the CPU."""


class ScoringEngine:
    """Backbone, adapters and prompt template together.

    Args:
        cache_bytes: how many bytes of frozen passes to keep in RAM.
        gradient_checkpointing: recompute the upper layers in the backward pass.
    """

    def __init__(
        self,
        backbone: Backbone,
        settings: BackboneSettings,
        prompts: PromptSettings,
        adapters: AdapterSettings,
        cache_bytes: float,
        gradient_checkpointing: bool = False,
    ) -> None:
        self.backbone = backbone
        self.settings = settings
        self.encoder = PromptEncoder(
            backbone.tokenizer, choose_template(prompts.template, prompts.prompt_template), prompts.max_prompt_tokens
        )
        if settings.embedding_pooling == "history" and not self.encoder.template.target_comes_last:
            raise PromptError("embedding_pooling: history needs a frame in which {target} comes last; use last or mean")
        self.adds_offset = prompts.history_offset
        if self.adds_offset and not self.encoder.template.line:
            raise PromptError(
                f"history_offset: found True with template: {prompts.template}, which has no answered lines; expected "
                "list or list_count, or a custom one with {history}"
            )
        self.decoder = SplitDecoder(backbone.model, settings.trunk_layers)
        self.head = AnswerHead(backbone.model, self.encoder.answers)
        self.decoder.skips_unread = settings.skip_unread
        check_split(self.decoder, self.head, prompts.max_prompt_tokens, settings.shared_prefixes)
        self.bank = AdapterBank(backbone.model, self.decoder.layer_prefixes(), adapters)
        self.offloaded = is_offloaded(backbone.model)
        if gradient_checkpointing:
            checkpoint_layers(self.decoder.layers[self.decoder.n_trunk :], self.bank.mixture)
            self.decoder.checkpointed = True
        self.cache = ActivationCache(cache_bytes)
        self._encoded: dict[PromptInput, TokenizedPrompt] = {}

    @property
    def batch_size(self) -> int:
        """Prompts per frozen pass: 1 on a CPU (no padding there), 32 elsewhere."""
        return self.settings.forward_batch_size or (1 if self.decoder.device.type == "cpu" else 32)

    @property
    def step_size(self) -> int:
        """How many prompts to pass at once: enough for all threads of a CPU."""
        on_cpu = self.decoder.device.type == "cpu"
        return self.batch_size * (8 * torch.get_num_threads() if on_cpu else 1)

    def side_by_side(self, job: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """``job`` of each item, without gradients; on a CPU several run at once, each on one thread."""
        if self.decoder.device.type == "cpu":
            return map_on_threads(job, items, self.offloaded)
        with torch.no_grad():
            return [job(item) for item in items]

    def in_batches(self, job: Callable[[list[int]], Sequence[Result]], lengths: Sequence[int]) -> list[Result]:
        """Results of ``job`` for every position, computed in batches of similar length to keep padding small.

        Args:
            lengths: tokens of each prompt.
        """
        order = sorted(range(len(lengths)), key=lambda i: lengths[i]) if self.batch_size > 1 else range(len(lengths))
        chunks = list(_chunks(order, self.batch_size))
        out: dict[int, Result] = {}
        for chunk, results in zip(chunks, self.side_by_side(job, chunks), strict=True):
            out |= zip(chunk, results, strict=True)
        return [out[i] for i in range(len(lengths))]

    def encode(self, samples: Sequence[PromptInput]) -> list[TokenizedPrompt]:
        """The tokens of each sample's prompt."""
        if len(self._encoded) > MAX_ENCODED:
            self._encoded.clear()
        for sample in samples:
            if sample not in self._encoded:
                self._encoded[sample] = self.encoder.encode(sample)
        return [self._encoded[sample] for sample in samples]

    def keep_only(self, prompts: Sequence[TokenizedPrompt]) -> None:
        """Drop the tokens and frozen passes of all prompts except these."""
        self._encoded.clear()
        self.cache.keep_only(p.ids for p in prompts)

    def freeze(self, prompts: Sequence[TokenizedPrompt]) -> list[FrozenPass]:
        """The frozen pass of each prompt, from the cache if present."""
        out = [self.cache.get(p.ids) for p in prompts]
        missing = [i for i, found in enumerate(out) if found is None]
        n_left = 0

        def read(chunk: list[int]) -> list[FrozenPass]:
            nonlocal n_left
            activations = self.decoder.trunk([prompts[missing[j]].ids for j in chunk])
            embeddings = self._embed(activations, [prompts[missing[j]].n_prefix for j in chunk])
            n_left += sum(s.nbytes for s in activations)
            if n_left > LEFT_ON_DEVICE:
                activations = _to_cpu(activations)
            return [FrozenPass(s, h) for s, h in zip(activations, embeddings, strict=True)]

        lengths = [len(prompts[i].ids) for i in missing]
        found = self.in_batches(read, lengths)
        for i, frozen, h in zip(missing, found, _to_cpu([f.embedding for f in found]), strict=True):
            out[i] = frozen = FrozenPass(frozen.activations, h)
            self.cache.put(prompts[i].ids, frozen)
        passes = [frozen for frozen in out if frozen is not None]
        if missing:
            self.cache.put_last({p.ids: frozen for p, frozen in zip(prompts, passes, strict=True)})
        if not self.adds_offset:
            return passes
        return [replace(frozen, offset=target_offset(p)) for p, frozen in zip(prompts, passes, strict=True)]

    def embeddings(self, prompts: Sequence[TokenizedPrompt]) -> Tensor:
        """h of each prompt, (b, d), float32."""
        if not prompts:
            return torch.empty(0, self.decoder.hidden_size)
        return torch.stack([frozen.embedding for frozen in self.freeze(prompts)])

    def scores(self, prompts: Sequence[TokenizedPrompt], weights: Tensor | None, mode: MergeMode) -> Tensor:
        """s in one pass with separate weights for each sample: (b, k) -> (b,), float32 on the CPU.

        With ``weights`` None, the frozen model alone scores.
        """
        return self.score_frozen(self.freeze(prompts), weights, mode)

    def score_frozen(self, frozen: Sequence[FrozenPass], weights: Tensor | None, mode: MergeMode) -> Tensor:
        """As :meth:`scores`, given the prompts' frozen passes."""

        def score(chunk: list[int]) -> Sequence[Tensor]:
            mixed = None if weights is None else self._placed(weights[chunk])
            return self._upper_pass([frozen[i] for i in chunk], mixed, mode).unbind()

        return _stacked(self.in_batches(score, [len(f.activations) for f in frozen]))

    def answer_logits(self, prompts: Sequence[TokenizedPrompt], adapter: bool) -> Tensor:
        """z_no and z_yes of each prompt with the adapter at index 0, or with the frozen model, offset included: (b, 2),
        without gradients, on the CPU."""
        frozen = self.freeze(prompts)

        def answer(chunk: list[int]) -> Sequence[Tensor]:
            weights = torch.ones(len(chunk), 1, device=self.decoder.device) if adapter else None
            return self._answers([frozen[i] for i in chunk], weights, "non_decomposition").unbind()

        return torch.stack(self.in_batches(answer, [len(f.activations) for f in frozen])).cpu()

    def student_logits(self, prompts: Sequence[TokenizedPrompt]) -> Tensor:
        """As :meth:`answer_logits` with the adapter at index 0, with gradients, on the model's device."""
        frozen = self.freeze(prompts)
        return self._answers(frozen, torch.ones(len(frozen), 1, device=self.decoder.device), "non_decomposition")

    def _answers(self, frozen: Sequence[FrozenPass], weights: Tensor | None, mode: MergeMode) -> Tensor:
        with self.bank.mixed(weights, mode):
            last = self.decoder.upper_at([f.activations for f in frozen], [[len(f.activations) - 1] for f in frozen])
        z = self.head.logits(last)
        if not self.adds_offset:
            return z
        return z + torch.tensor([[0.0, f.offset] for f in frozen]).to(z.device)

    def _upper_pass(self, frozen: list[FrozenPass], weights: Tensor | None, mode: MergeMode) -> Tensor:
        z = self._answers(frozen, weights, mode)
        return torch.sigmoid(z[:, 1] - z[:, 0])

    def adapter_scores(self, prompts: Sequence[TokenizedPrompt], which: Sequence[int] | None = None) -> Tensor:
        """s_k of single adapters, (b, len(which)), float32 on the CPU.

        On a CPU each (prompt, adapter) pair runs separately, so that rounding does not depend on the others.

        Args:
            which: the adapters' indices; None means all.
        """
        adapters = list(range(self.bank.n_adapters)) if which is None else list(which)
        pairs = [(i, k) for i in range(len(prompts)) for k in adapters]
        frozen = self._at_hand(self.freeze(prompts))
        one_hot = torch.eye(self.bank.n_adapters)

        def score(chunk: list[int]) -> Sequence[Tensor]:
            rows, ks = zip(*(pairs[j] for j in chunk), strict=True)
            weights = self._placed(one_hot[list(ks)])
            return self._upper_pass([frozen[i] for i in rows], weights, "decomposition").unbind()

        lengths = [len(frozen[i].activations) for i, _ in pairs]
        return _stacked(self.in_batches(score, lengths)).view(len(prompts), len(adapters))

    def _at_hand(self, frozen: list[FrozenPass]) -> list[FrozenPass]:
        """Move the passes to the device if they are few: every adapter's pass uses them."""
        if sum(f.activations.nbytes for f in frozen) > LEFT_ON_DEVICE:
            return frozen
        return [replace(f, activations=f.activations.to(self.decoder.device)) for f in frozen]

    def training_losses(
        self, prompts: Sequence[TokenizedPrompt], labels: Tensor, owners: Sequence[int], settings: TrainSettings
    ) -> list[Tensor]:
        """The loss of each adapter on its own part of one batch.

        Args:
            labels: of the targets, (b,).
            owners: the index of the adapter that each prompt trains, (b,).

        Returns:
            one scalar for each adapter that has prompts, in order of index.
        """
        self.bank.mix(self._placed(torch.eye(self.bank.n_adapters)[list(owners)]), "non_decomposition")
        every = settings.supervise == "all"
        positions = [p.positions if every else p.positions[-1:] for p in prompts]
        hidden = self.decoder.upper_at([f.activations for f in self.freeze(prompts)], positions)
        each = sorted(set(owners))
        if len(each) == 1:  # the usual case: all rows as they are
            return [self._loss(hidden, prompts, labels, settings)]
        parts = hidden.split([len(row) for row in positions])
        out = []
        for owner in each:
            own = [i for i, other in enumerate(owners) if other == owner]
            states = torch.cat([parts[i] for i in own])
            out.append(self._loss(states, [prompts[i] for i in own], labels[own], settings))
        return out

    def _placed(self, weights: Tensor) -> Tensor:
        return weights.to(self.decoder.device)

    def _loss(
        self, hidden: Tensor, prompts: Sequence[TokenizedPrompt], labels: Tensor, settings: TrainSettings
    ) -> Tensor:
        """Of the hidden states at the answers of some prompts, (m, d)."""
        targets = [int(y) for y in labels.tolist()]
        answers = targets
        if settings.supervise == "all":
            answers = [v for p, y in zip(prompts, targets, strict=True) for v in (*p.labels, y)]
        target_alone = settings.supervise == "target"
        offsets = training_offsets(prompts, target_alone).to(hidden.device) if self.adds_offset else None
        return self.head.loss(hidden, torch.tensor(answers).to(hidden.device), settings.answer_loss, offsets)

    def _embed(self, activations: list[Tensor], prefixes: list[int]) -> list[Tensor]:
        """h of prompts, given their trunk activations and prefix lengths (paper, Algorithm 1, line 1)."""
        if self.settings.embedding == "final":
            self.bank.mix(None)
            with torch.no_grad():
                full = self.decoder.upper(activations)
            activations = [row[: len(s)] for row, s in zip(full, activations, strict=True)]
        if self.settings.embedding_pooling == "mean":
            return [s.float().mean(0) for s in activations]
        ends = prefixes if self.settings.embedding_pooling == "history" else [len(s) for s in activations]
        return [s[end - 1].float() for s, end in zip(activations, ends, strict=True)]


def _stacked(values: Sequence[Tensor]) -> Tensor:
    """The values on the CPU, read back all at once so that a GPU does not wait between passes."""
    return torch.stack(list(values)).cpu() if values else torch.empty(0)


def _to_cpu(rows: list[Tensor]) -> list[Tensor]:
    """The rows on the CPU, each with its own storage; rows on a GPU are transferred in one copy."""
    if not rows or rows[0].device.type == "cpu":
        return rows
    whole = torch.cat(rows).cpu()
    return [part.clone() for part in whole.split([len(row) for row in rows])]


def _chunks(items: Sequence[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])
