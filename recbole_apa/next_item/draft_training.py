"""Train a shard's draft: an early exit's map, or a small model of its own, on the shard's own users; and align it with
the shard's own adapter.

The map starts as the closed form of the shard (:mod:`~recbole_apa.next_item.exit_map`), whose states are computed once;
the model as what the shard's users chose makes of it (:mod:`~recbole_apa.next_item.draft_model`). All of it is computed
on one thread a user, and on one thread in all where users meet: its bits do not depend on how many there are.

Shapes: d hidden size.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from logging import getLogger

import torch
from torch import Tensor

from recbole_apa.backbone.path_decoder import PathDecoder
from recbole_apa.backbone.threads import map_on_threads
from recbole_apa.core.seeding import digest_of, hash_order
from recbole_apa.core.system.threads import one_thread
from recbole_apa.next_item.draft_model import BATCH, train_network
from recbole_apa.next_item.exit_map import fit_exit_map
from recbole_apa.next_item.generation import NodeChances, NodeReader, Trie, beam_search
from recbole_apa.next_item.generation.alignment import OBJECTIVES
from recbole_apa.next_item.generation.draft_rows import (
    DraftRows,
    Logits,
    StateReader,
    Student,
    draft_loss,
    rows_at,
    taken_by_beams,
)
from recbole_apa.next_item.generation.draft_students import ExitStudent, ModelStudent, OwnReader
from recbole_apa.next_item.generation.item_network import ItemNetwork, SumsBelow
from recbole_apa.next_item.settings import NextItemSettings
from recbole_apa.next_item.title_course import Schedule
from recbole_apa.next_item.titles import PromptReader


@dataclass(frozen=True)
class DraftGround:
    """What drafts of all shards have in common."""

    trie: Trie
    n_items: int
    hidden_size: int
    logits: Logits
    """Of the language model's head."""


@dataclass(frozen=True)
class DraftPupil:
    """What one user has to teach."""

    user: str
    prompt: tuple[int, ...]
    """The tokens of his history before his last training target."""
    history: tuple[int, ...]
    """The columns of the items in it: no beam may end there, as none may when the run is used."""
    choices: DraftRows
    """Where he made his choices."""


@dataclass(frozen=True)
class TeacherBeams:
    """Beams that a shard's own teacher writes, or sees written."""

    decoder: PathDecoder
    """With the shard's merged adapter alone; it keeps the states below it."""
    trie: Trie
    n_items: int
    width: int

    def __call__(self, pupil: DraftPupil) -> DraftRows:
        """Rows of all branching nodes that the teacher's best beams after a user's prompt went through."""
        reader = self.start(pupil)
        return self.rows(pupil, reader, reader)

    def start(self, pupil: DraftPupil) -> PromptReader:
        """The teacher after a user's prompt."""
        return PromptReader(self.decoder, self.trie, self.decoder.start(pupil.prompt))

    def rows(self, pupil: DraftPupil, teacher: StateReader, guided: NodeReader) -> DraftRows:
        """Rows of all branching nodes that the best beams of whoever guides the search went through.

        Args:
            teacher: after the pupil's prompt; has the nodes that ``guided`` has read.
        """
        read = set(pupil.history)
        allowed = [column not in read for column in range(self.n_items)]
        found = beam_search(NodeChances(self.trie, guided), self.width, self.width, allowed)
        return rows_at(teacher, taken_by_beams(self.trie, [one.node for one in found]), pupil.history)


@dataclass
class DraftLesson:
    """What a draft of a shard learns from."""

    chosen: Mapping[str, tuple[int, ...]]
    """Of each of the shard's users, in order of their names, the columns that he chose, oldest first: the first item
    that is shown, and the training targets."""
    choices: Sequence[DraftRows]
    """Where they chose; none, where nothing needs their states."""
    pupils: Sequence[DraftPupil]
    """Users with whom the draft is aligned."""
    teacher: Callable[[], TeacherBeams]
    """Merges the shard's adapter into copies of its layers, which only beams need."""
    _readers: dict[int, PromptReader] = field(default_factory=dict)

    @cached_property
    def _teacher(self) -> TeacherBeams:
        return self.teacher()

    @cached_property
    def written(self) -> list[DraftRows]:
        """What the teacher writes for each pupil: computed where an objective asks for beams."""
        return map_on_threads(self._teacher, self.pupils)

    def written_by(self, draft: Student, at: int) -> DraftRows:
        """What the draft itself writes for a pupil, now, with the teacher's states. The prompt is read once and kept.

        Args:
            at: the pupil's number.
        """
        if at not in self._readers:
            self._readers[at] = self._teacher.start(self.pupils[at])
        pupil, reader = self.pupils[at], self._readers[at]
        return self._teacher.rows(pupil, reader, OwnReader(draft, reader, pupil.history))


def drawn_pupils(users: Sequence[str], settings: NextItemSettings) -> list[int]:
    """The numbers of the users of a shard who teach its draft: drawn by a hash of their names, in the order given."""
    return sorted(hash_order(users, settings.seed, "draft")[: settings.draft_users])


def taught_draft(lesson: DraftLesson, shard: int, settings: NextItemSettings, ground: DraftGround) -> dict[str, Tensor]:
    """What a shard's draft has learnt, by name, float32: of an exit the map in closed form, (d, d + 1), of a model what
    the shard's users chose; then aligned as ``settings.draft_objective`` says, where there are pupils.

    Raises:
        TrainingError: the loss is not finite.
    """
    draft = first_draft(lesson, shard, settings, ground)
    if settings.draft_objective != "none" and lesson.pupils:
        _align(draft, lesson, shard, settings, ground)
    return draft.tensors()


def first_draft(lesson: DraftLesson, shard: int, settings: NextItemSettings, ground: DraftGround) -> Student:
    """A shard's draft before it is aligned."""
    if settings.draft_kind == "model":
        network = ItemNetwork(ground.n_items, settings.history_length, settings.draft_model_size, settings.seed)
        train_network(network, lesson.chosen, shard, settings)
        return ModelStudent(network, SumsBelow(ground.trie))
    with one_thread():
        closed = fit_exit_map([(rows.early, rows.final) for rows in lesson.choices], ground.hidden_size)
    return ExitStudent(closed, ground.logits)


def _align(draft: Student, lesson: DraftLesson, shard: int, settings: NextItemSettings, ground: DraftGround) -> None:
    objective = OBJECTIVES[settings.draft_objective]
    positions = _Positions(draft, lesson, settings, lesson.written if objective.on_beams else None)
    users = [pupil.user for pupil in lesson.pupils]
    rate = settings.draft_model_learning_rate if settings.draft_kind == "model" else settings.draft_learning_rate
    schedule = Schedule(settings.draft_epochs, rate, BATCH)
    with one_thread(), torch.enable_grad():
        course = schedule.course(draft.trained, len(users), shard)
        for batch in course.batches(
            lambda epoch: schedule.batches(users, settings.seed, "draft batches", shard, epoch)
        ):
            choices = DraftRows.together([lesson.pupils[i].choices for i in batch])
            rows = DraftRows.together([positions(i, course.epoch) for i in batch])
            course.step_on(draft_loss(draft, choices, rows, objective, settings.draft_beams, ground.logits))
    first, last = course.history.epoch_losses[0], course.history.epoch_losses[-1]
    getLogger().info(
        f"draft of shard {shard}, by {settings.draft_objective}: {len(users)} users, loss {first:.3f} in the first "
        f"epoch, {last:.3f} in the last"
    )


@dataclass(frozen=True)
class _Positions:
    """Where a draft is aligned with its teacher."""

    draft: Student
    lesson: DraftLesson
    settings: NextItemSettings
    written: Sequence[DraftRows] | None
    """By the teacher, for each pupil; None aligns where users made their choices."""

    def __call__(self, at: int, epoch: int) -> DraftRows:
        """Of a pupil in an epoch: where he made his choices, or along the draft's beams as it is now, or along the
        teacher's, by two draws (the release's ``r_original`` and ``r_student``, in this order)."""
        pupil = self.lesson.pupils[at]
        original, student = draws_of(pupil.user, epoch, self.settings.seed)
        if self.written is None or original < self.settings.draft_true:
            return pupil.choices
        return self.lesson.written_by(self.draft, at) if student < self.settings.draft_student else self.written[at]


def draws_of(user: str, epoch: int, seed: int) -> tuple[float, float]:
    """Two numbers from 0 to 1, below 1, that a user's name and the epoch decide."""
    drawn = digest_of(seed, "draft positions", user, epoch)
    return int.from_bytes(drawn[:6], "big") / 2**48, int.from_bytes(drawn[6:12], "big") / 2**48
