"""Train a shard's draft: an early exit's map that is aligned with the shard's own adapter, on the shard's own users.

The map starts as the closed form of the shard (:mod:`~recbole_apa.next_item.exit_map`); states are computed once. All
of it is computed on one thread a user, and on one thread in all where users meet: its bits do not depend on how many
there are.

Shapes: d hidden size.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from logging import getLogger

import torch
from torch import Tensor, nn

from recbole_apa.backbone.path_decoder import PathDecoder
from recbole_apa.backbone.threads import map_on_threads
from recbole_apa.core.seeding import hash_order
from recbole_apa.core.system.threads import one_thread
from recbole_apa.next_item.generation import NodeChances, Trie, beam_search
from recbole_apa.next_item.generation.alignment import OBJECTIVES
from recbole_apa.next_item.generation.draft_rows import DraftRows, Logits, draft_loss, taken_by_beams
from recbole_apa.next_item.settings import NextItemSettings
from recbole_apa.next_item.title_course import Schedule
from recbole_apa.next_item.titles import PromptReader

BATCH = 8
"""Users of one step."""


@dataclass(frozen=True)
class DraftPupil:
    """What one user has to teach."""

    user: str
    prompt: tuple[int, ...]
    """The tokens of his history before his last training target."""
    read: frozenset[int]
    """The columns of the items in it: no beam may end there, as none may when the run is used."""
    choices: DraftRows
    """Where he made his choices."""


@dataclass(frozen=True)
class TeacherBeams:
    """Beams that a shard's own teacher writes."""

    decoder: PathDecoder
    """With the shard's merged adapter alone; it keeps the states below it."""
    trie: Trie
    n_items: int
    width: int

    def __call__(self, pupil: DraftPupil) -> DraftRows:
        """Rows of all branching nodes that the best beams after a user's prompt went through."""
        reader = PromptReader(self.decoder, self.trie, self.decoder.start(pupil.prompt))
        allowed = [column not in pupil.read for column in range(self.n_items)]
        found = beam_search(NodeChances(self.trie, reader), self.width, self.width, allowed)
        taken = taken_by_beams(self.trie, [one.node for one in found])
        return DraftRows(tuple(taken), tuple(taken.values()), *reader.states(list(taken)))


@dataclass
class DraftLesson:
    """What a draft of a shard learns from."""

    closed: Tensor
    """The map in closed form, (d, d + 1), float32: where training starts."""
    pupils: Sequence[DraftPupil]
    teacher: Callable[[], TeacherBeams]
    """Merges the shard's adapter into copies of its layers, which only beams need."""

    @cached_property
    def written(self) -> list[DraftRows]:
        """What the teacher writes for each pupil: computed where an objective asks for beams."""
        return map_on_threads(self.teacher(), self.pupils)


def drawn_pupils(users: Sequence[str], settings: NextItemSettings) -> list[int]:
    """The numbers of the users of a shard who teach its draft: drawn by a hash of their names, in the order given."""
    return sorted(hash_order(users, settings.seed, "draft")[: settings.draft_users])


def aligned(lesson: DraftLesson, shard: int, settings: NextItemSettings, logits: Logits) -> Tensor:
    """The map that ``settings.draft_objective`` gives, (d, d + 1), float32; without pupils the one in closed form.

    Args:
        logits: of the language model's head.

    Raises:
        TrainingError: the loss is not finite.
    """
    if settings.draft_objective == "none" or not lesson.pupils:
        return lesson.closed
    objective = OBJECTIVES[settings.draft_objective]
    written = lesson.written if objective.on_beams else None
    users = [pupil.user for pupil in lesson.pupils]
    schedule = Schedule(settings.draft_epochs, settings.draft_learning_rate, BATCH)
    exit_map = nn.Parameter(lesson.closed.clone())
    with one_thread(), torch.enable_grad():
        course = schedule.course([exit_map], len(users), shard)
        for batch in course.batches(
            lambda epoch: schedule.batches(users, settings.seed, "draft batches", shard, epoch)
        ):
            choices = DraftRows.together([lesson.pupils[i].choices for i in batch])
            beams = None if written is None else DraftRows.together([written[i] for i in batch])
            course.step_on(draft_loss(exit_map, choices, beams, objective, settings.draft_beams, logits))
    first, last = course.history.epoch_losses[0], course.history.epoch_losses[-1]
    getLogger().info(
        f"draft of shard {shard}, by {settings.draft_objective}: {len(users)} users, loss {first:.3f} in the first "
        f"epoch, {last:.3f} in the last"
    )
    return exit_map.detach()
