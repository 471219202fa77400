"""Train a shard's adapter to write titles or codes: one sample is a user's sequence, with all of its training targets.

A sample's gradients are computed alone, on one thread; a step adds them in the order of the batch. So an adapter
depends on its shard's sequences, settings and seed, and not on the number of threads, in every bit.

Shapes: t tokens, d hidden size, c children of a node.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from logging import getLogger

import torch
from torch import Tensor

from recbole_apa.adapters.bank import AdapterBank
from recbole_apa.adapters.merging import merged_changes
from recbole_apa.adapters.moments import Moment, Moments, moments_of, no_moments, restore_moments
from recbole_apa.adapters.training import AdapterCourse
from recbole_apa.backbone.merged_layers import merged_layers
from recbole_apa.backbone.path_decoder import PathDecoder
from recbole_apa.backbone.split_decoder import SplitDecoder
from recbole_apa.backbone.threads import map_on_threads
from recbole_apa.core.places import Place
from recbole_apa.core.settings import AdapterSettings
from recbole_apa.core.system.threads import one_thread
from recbole_apa.next_item.backbone_states import HistoryStates
from recbole_apa.next_item.catalogue import Catalogue
from recbole_apa.next_item.draft_training import (
    DraftGround,
    DraftLesson,
    DraftPupil,
    TeacherBeams,
    drawn_pupils,
    taught_draft,
)
from recbole_apa.next_item.generation import ItemCodes
from recbole_apa.next_item.generation.draft_rows import DraftRows
from recbole_apa.next_item.generation.objective import TitleSample, title_loss
from recbole_apa.next_item.identifiers import identifiers_of
from recbole_apa.next_item.sequences import UserSequence, targets_of
from recbole_apa.next_item.settings import NextItemSettings
from recbole_apa.next_item.title_adapters import SCALE, WHOLE, Left, Span, Taught, refuse_device, refuse_layers
from recbole_apa.next_item.title_course import Schedule
from recbole_apa.next_item.title_slices import slices_of

MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class _Learner:
    """A user who teaches an adapter."""

    sequence: UserSequence
    columns: tuple[int, ...]
    """Of the items that are shown."""
    sample: TitleSample


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
        refuse_layers(settings, n_layers)
        self._needs_choices = settings.draft_objective != "none" or settings.draft_kind == "exit"
        refuse_device(settings, str(states.decoder.device))
        self._decoder = SplitDecoder(states.decoder.model, n_layers - settings.adapter_layers)
        PathDecoder(states.decoder, 1)  # a backbone that cannot rank titles is refused before anything is read
        with self._bank():
            pass
        self.identifiers = identifiers_of(catalogue, states.encoder, codes)
        self._trie = self.identifiers.trie
        self._rows: dict[int, tuple[Tensor, Tensor | None]] = {}
        self._schedule = Schedule(settings.adapter_epochs, settings.adapter_learning_rate, settings.adapter_batch)

    def __call__(self, shard: int, sequences: Sequence[UserSequence], span: Span = WHOLE) -> Taught:
        """What some users' sequences teach, slice by slice.

        Args:
            sequences: of all users of the shard, in order of their names.
            span: the slices that are trained.

        Raises:
            SettingsError: a history has more tokens than the backbone reads.
            TrainingError: the loss is not finite.
        """
        slices, n_slices, left = slices_of(self.settings), self.settings.shard_slices, []
        own = sequences if span.end is None else [s for s in sequences if slices.of(s.user) < span.end]
        users = self._users(own)
        with self._bank() as bank:
            moments: Mapping[str, tuple[Moment, ...]] = no_moments(bank.extract(0))
            if span.point is not None:
                bank.load(0, span.point.adapter.pairs)
                moments = span.point.by_layer
            below = self._below(users)
            for cut in range(span.begin, n_slices if span.end is None else span.end):
                rows = [row for row, user in enumerate(users) if slices.of(user.sequence.user) == cut]
                if rows:
                    part = [users[row] for row in rows], [below[row] for row in rows]
                    moments = self._slice_trained(bank, (shard, Place(cut=cut)), *part, moments)
                if cut + 1 < n_slices:
                    left.append(Left(bank.extract(0), moments))
            pairs = bank.extract(0)
            if span.end is not None:
                return Taught(pairs, None, tuple(left))
            choices = self._choices(bank, users, below) if self._needs_choices else []
        return Taught(pairs, self.draft(shard, self._lesson(pairs, users, choices)), tuple(left))

    def _slice_trained(
        self,
        bank: AdapterBank,
        where: tuple[int, Place],
        users: Sequence["_Learner"],
        below: Sequence[Tensor],
        moments: Mapping[str, tuple[Moment, ...]],
    ) -> Moments:
        """Train the bank's adapter on the users of a slice, through all epochs.

        Args:
            where: the shard, and the slice in it.
            moments: of the slices before.

        Returns:
            the moments that this leaves.
        """
        start, (shard, place) = time.perf_counter(), where
        parameters, names = bank.parameters(), [user.sequence.user for user in users]
        course = self._schedule.course(parameters, len(users), shard, place)
        restore_moments(course.optimizer, parameters, moments, list(bank.layers))
        bank.train(True)
        told = ("title batches", shard, *place.names)
        for batch in course.batches(lambda epoch: self._schedule.batches(names, self.settings.seed, *told, epoch)):
            self._step(course, bank, [users[i].sample for i in batch], [below[i] for i in batch])
        bank.train(False)
        cut = f", slice {place.cut + 1} of {self.settings.shard_slices}" if self.settings.shard_slices > 1 else ""
        getLogger().info(
            f"adapter of shard {shard}{cut}: {len(users)} users, {course.step} steps, "
            f"{course.history.epoch_losses[-1]:.3f} nats a target in the last epoch, "
            f"{time.perf_counter() - start:.1f} s"
        )
        return moments_of(course.optimizer, parameters, bank.extract(0))

    def lesson(self, sequences: Sequence[UserSequence], pairs: Mapping[str, tuple[Tensor, ...]]) -> DraftLesson:
        """What the draft that goes with an adapter learns from, as where the adapter was trained.

        Args:
            sequences: of the adapter's users, in order of their names.
            pairs: the adapter: layer -> A and B.
        """
        users = self._users(sequences)
        with self._bank() as bank:
            bank.load(0, pairs)
            bank.train(False)
            choices = self._choices(bank, users, self._below(users))
        return self._lesson(pairs, users, choices)

    def draft(self, shard: int, lesson: DraftLesson, settings: NextItemSettings | None = None) -> dict[str, Tensor]:
        """What a shard's draft has learnt, by name, float32 (:func:`taught_draft`).

        Args:
            settings: other options of drafts than the trainer's.

        Raises:
            TrainingError: the loss is not finite.
        """
        ground = DraftGround(self._trie, len(self._catalogue), self._decoder.hidden_size, self.logits)
        return taught_draft(lesson, shard, settings or self.settings, ground)

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

    def _users(self, sequences: Sequence[UserSequence]) -> list["_Learner"]:
        """Those whose sequences have a decision."""
        users = [self._learner(sequence) for sequence in sequences]
        return [user for user in users if user.sample.decisions]

    def _below(self, users: Sequence["_Learner"]) -> list[Tensor]:
        """States below the layers with adapters, (t, d) of each user."""
        return map_on_threads(lambda user: self._decoder.trunk([user.sample.ids])[0], users)

    def _learner(self, sequence: UserSequence) -> "_Learner":
        items = sequence.shown(self._states.length)
        columns = self._catalogue.columns(items)
        history = self._states.encoded(self.identifiers.lines_of(columns))
        targets = self._catalogue.columns(targets_of(items, sequence.n_held_out))
        sample = self.identifiers.decisions.sample(history.ids, history.ends, targets)
        return _Learner(sequence, tuple(columns), sample)

    def _step(
        self, course: AdapterCourse, bank: AdapterBank, samples: Sequence[TitleSample], below: Sequence[Tensor]
    ) -> None:
        """One step on the mean loss of the batch's targets."""
        parameters = course.parameters

        def gradients(at: int) -> tuple[float, tuple[Tensor, ...]]:
            with torch.enable_grad(), bank.mixed(torch.ones(1, 1), "non_decomposition"):
                hidden = self._decoder.upper([below[at]])[0]
                loss = title_loss(hidden, samples[at].decisions, self.logits)
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

    def _choices(self, bank: AdapterBank, users: Sequence["_Learner"], below: Sequence[Tensor]) -> list[DraftRows]:
        """The frozen states at the users' decisions, and those of the trained model."""
        norm = getattr(self._decoder.decoder, self._decoder.family.norm)

        def rows(at: int) -> DraftRows:
            decisions = users[at].sample.decisions
            places = [decision.place for decision in decisions]
            with bank.mixed(torch.ones(1, 1), "non_decomposition"):
                final = self._decoder.upper([below[at]])[0]
            early = norm(below[at])[places].float()
            return DraftRows.of_choices(users[at].sample, users[at].columns, early, final[places].float())

        return map_on_threads(rows, range(len(users)))

    def _lesson(
        self, pairs: Mapping[str, tuple[Tensor, ...]], users: Sequence["_Learner"], choices: Sequence[DraftRows]
    ) -> DraftLesson:
        chosen = {user.sequence.user: user.columns[: user.sample.n_targets + 1] for user in users}
        drawn = drawn_pupils(list(chosen), self.settings) if choices else []
        pupils = [self._pupil(users[i], choices[i]) for i in drawn]
        unread = [pupil for pupil in pupils if len(set(pupil.history)) < len(self._catalogue)]
        return DraftLesson(chosen, choices, unread, lambda: self._teacher(pairs))

    def _teacher(self, pairs: Mapping[str, tuple[Tensor, ...]]) -> TeacherBeams:
        """Writes with a shard's adapter alone."""
        plain = SplitDecoder(self._decoder.model, 0)
        with one_thread():
            layers = merged_layers(plain, merged_changes([pairs], [1.0], SCALE))
        decoder = PathDecoder(plain, self._trie.depth, layers, self._decoder.n_trunk)
        return TeacherBeams(decoder, self._trie, len(self._catalogue), self.settings.draft_beams)

    def _pupil(self, user: "_Learner", choices: DraftRows) -> DraftPupil:
        """A user before his last training target."""
        before = user.columns[: user.sample.n_targets]
        ids = self._states.encoded(self.identifiers.lines_of(before)).ids
        return DraftPupil(user.sequence.user, ids, before, choices)

    def logits(self, states: Tensor, node: int) -> Tensor:
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
