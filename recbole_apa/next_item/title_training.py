"""Train a shard's adapter to write titles or codes: one sample is a user's sequence, with all of its training targets.

A sample's gradients are computed alone, on one thread; a step adds them in the order of the batch. So an adapter
depends on its shard's sequences, settings and seed, and not on the number of threads, in every bit.

Shapes: t tokens, d hidden size, c children of a node.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from logging import getLogger

import torch
from torch import Tensor

from recbole_apa.adapters.bank import AdapterBank
from recbole_apa.adapters.training import AdapterCourse
from recbole_apa.backbone.path_decoder import PathDecoder
from recbole_apa.backbone.split_decoder import SplitDecoder
from recbole_apa.backbone.threads import map_on_threads
from recbole_apa.core.errors import SettingsError
from recbole_apa.core.seeding import hash_order
from recbole_apa.core.settings import AdapterSettings, TrainSettings
from recbole_apa.core.system.threads import one_thread
from recbole_apa.next_item.backbone_states import HistoryStates
from recbole_apa.next_item.catalogue import Catalogue
from recbole_apa.next_item.exit_map import fit_exit_map
from recbole_apa.next_item.generation import ItemCodes
from recbole_apa.next_item.generation.objective import TitleSample, title_loss
from recbole_apa.next_item.identifiers import identifiers_of
from recbole_apa.next_item.sequences import UserSequence, targets_of
from recbole_apa.next_item.settings import NextItemSettings
from recbole_apa.next_item.title_adapters import SCALE, Taught, refuse_device

MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
WARMUP, CLIP = 0.1, 1.0
"""Share of the steps over which the rate rises, and the greatest norm of a step's gradients."""


class TitleTrainer:
    """Trains adapters on a backbone, which is as before after each.

    Args:
        states: reads histories with the backbone.
        codes: None trains titles.

    Raises:
        BackboneError: the backbone is not of the Llama kind.
        SettingsError: it has fewer layers than are to get adapters, or is not on a CPU, or its tokenizer has too few
            tokens to write codes with.
        ValueError: titles cannot be told apart.
    """

    def __init__(
        self,
        states: HistoryStates,
        catalogue: Catalogue,
        settings: NextItemSettings,
        codes: ItemCodes | None = None,
    ) -> None:
        self.settings, self.codes, self._catalogue, self._states = settings, codes, catalogue, states
        n_layers = states.decoder.n_layers
        if settings.adapter_layers > n_layers:
            raise SettingsError(f"adapter_layers: found {settings.adapter_layers}, the backbone has {n_layers} layers")
        refuse_device(settings, str(states.decoder.device))
        self._decoder = SplitDecoder(states.decoder.model, n_layers - settings.adapter_layers)
        PathDecoder(states.decoder, 1)  # a backbone that cannot rank titles is refused before anything is read
        with self._bank():
            pass
        self.identifiers = identifiers_of(catalogue, states.encoder, codes)
        self._trie = self.identifiers.trie
        self._rows: dict[int, tuple[Tensor, Tensor | None]] = {}

    def __call__(self, shard: int, sequences: Sequence[UserSequence]) -> Taught:
        """What some users' sequences teach, from the start that all shards have.

        Args:
            sequences: in order of the users' names.

        Raises:
            SettingsError: a history has more tokens than the backbone reads.
            TrainingError: the loss is not finite.
        """
        start = time.perf_counter()
        samples = [self._sample(sequence) for sequence in sequences]
        users = [s.user for s, sample in zip(sequences, samples, strict=True) if sample.decisions]
        samples = [sample for sample in samples if sample.decisions]
        with self._bank() as bank:
            if not samples:
                return Taught(bank.extract(0), fit_exit_map([], self._decoder.hidden_size))
            below = map_on_threads(lambda sample: self._decoder.trunk([sample.ids])[0], samples)
            course = self._course(bank, shard, len(samples))
            bank.train(True)
            for batch in course.batches(lambda epoch: self._epoch(shard, epoch, users)):
                self._step(course, bank, [samples[i] for i in batch], [below[i] for i in batch])
            bank.train(False)
            loss = course.history.epoch_losses[-1]
            getLogger().info(
                f"adapter of shard {shard}: {len(samples)} users, {course.step} steps, {loss:.3f} nats a target in the "
                f"last epoch, {time.perf_counter() - start:.1f} s"
            )
            return Taught(bank.extract(0), self._exit_map(bank, samples, below))

    @contextmanager
    def _bank(self) -> Iterator[AdapterBank]:
        """One adapter in the backbone, with the common start."""
        rank = self.settings.adapter_rank
        adapters = AdapterSettings("lora", rank, SCALE * rank, False, 0.0, MODULES, ())
        bank = AdapterBank(self._decoder.model, self._decoder.layer_prefixes(), adapters)
        try:
            bank.load(0, bank.start(self.settings.seed))
            yield bank
        finally:
            bank.remove()

    def _sample(self, sequence: UserSequence) -> TitleSample:
        items = sequence.shown(self._states.length)
        history = self._states.encoded(self.identifiers.lines_of(self._catalogue.columns(items)))
        targets = self._catalogue.columns(targets_of(items, sequence.n_held_out))
        return self.identifiers.decisions.sample(history.ids, history.ends, targets)

    def _epoch(self, shard: int, epoch: int, users: Sequence[str]) -> Iterator[list[int]]:
        """Batches in an order that the users' own names decide."""
        order = hash_order(users, self.settings.seed, "title batches", shard, epoch)
        size = self.settings.adapter_batch
        for first in range(0, len(order), size):
            yield order[first : first + size]

    def _course(self, bank: AdapterBank, shard: int, n_users: int) -> AdapterCourse:
        settings = self.settings
        rates = TrainSettings(
            epochs=settings.adapter_epochs,
            learning_rate=settings.adapter_learning_rate,
            loraplus_lr_ratio=1.0,
            train_batch_size=settings.adapter_batch,
            fused_shards=1,
            shard_slices=1,
            weight_decay=0.0,
            lr_schedule="linear",
            warmup_ratio=WARMUP,
            max_grad_norm=CLIP,
            answer_loss="full",
            supervise="all",
            stopping_patience=None,
            stopping_min_delta=0.0,
        )
        return AdapterCourse(bank.parameters(), -(-n_users // settings.adapter_batch), rates, shard)

    def _step(
        self, course: AdapterCourse, bank: AdapterBank, samples: Sequence[TitleSample], below: Sequence[Tensor]
    ) -> None:
        """One step on the mean loss of the batch's targets."""
        parameters = course.parameters

        def gradients(at: int) -> tuple[float, tuple[Tensor, ...]]:
            with torch.enable_grad(), bank.mixed(torch.ones(1, 1), "non_decomposition"):
                hidden = self._decoder.upper([below[at]])[0]
                loss = title_loss(hidden, samples[at].decisions, self._logits)
                return float(loss.detach()), torch.autograd.grad(loss, parameters)

        found = map_on_threads(gradients, range(len(samples)))
        n_targets = sum(sample.n_targets for sample in samples)
        with one_thread():  # a norm that several threads add up has other last bits
            for parameter, *each in zip(parameters, *(own for _, own in found), strict=True):
                total = each[0]
                for gradient in each[1:]:
                    total = total + gradient
                parameter.grad = total / n_targets
            course.take_step(course.check(sum(loss for loss, _ in found) / n_targets))

    def _exit_map(self, bank: AdapterBank, samples: Sequence[TitleSample], below: Sequence[Tensor]) -> Tensor:
        """From the frozen states at the decisions to those of the trained model."""
        norm = getattr(self._decoder.decoder, self._decoder.family.norm)

        def states(at: int) -> tuple[Tensor, Tensor]:
            places = [decision.place for decision in samples[at].decisions]
            with bank.mixed(torch.ones(1, 1), "non_decomposition"):
                final = self._decoder.upper([below[at]])[0]
            return norm(below[at])[places].float(), final[places].float()

        pairs = map_on_threads(states, range(len(samples)))
        with one_thread():
            return fit_exit_map(pairs, self._decoder.hidden_size)

    def _logits(self, states: Tensor, node: int) -> Tensor:
        """Of a node's children: (n, d) -> (n, c), float32."""
        rows, bias = self._rows_of(node)
        products = states.float() @ rows.T
        family = self._decoder.family
        return family.logit_scale(self._decoder.model)(products if bias is None else products + bias)

    def _rows_of(self, node: int) -> tuple[Tensor, Tensor | None]:
        if node not in self._rows:
            head = self._decoder.family.head(self._decoder.model)
            tokens = torch.tensor([self._trie.tokens[child] for child in self._trie.children[node]])
            bias = None if head.bias is None else head.bias.detach()[tokens].float()
            self._rows[node] = (head.weight.detach()[tokens].float(), bias)
        return self._rows[node]
