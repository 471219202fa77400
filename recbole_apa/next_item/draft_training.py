"""Train a shard's draft: an early exit's map that is aligned with the shard's own adapter, on the shard's own users.

The map starts as the closed form of the shard (:mod:`~recbole_apa.next_item.exit_map`); states are computed once. All
of it is computed on one thread a user, and on one thread in all where users meet: its bits do not depend on how many
there are.

Shapes: d hidden size.
"""

from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class DraftTrainer:
    """Aligns exits by ``settings.draft_objective``."""

    settings: NextItemSettings
    logits: Logits

    def chosen(self, users: Sequence[str]) -> list[int]:
        """The numbers of the users who teach: drawn by a hash of their names, in the order given."""
        return sorted(hash_order(users, self.settings.seed, "draft")[: self.settings.draft_users])

    def __call__(self, shard: int, start: Tensor, pupils: Sequence[DraftPupil], beams: TeacherBeams) -> Tensor:
        """The aligned map, (d, d + 1), float32.

        Args:
            start: the map to begin with.
            pupils: at least one.

        Raises:
            TrainingError: the loss is not finite.
        """
        settings, objective = self.settings, OBJECTIVES[self.settings.draft_objective]
        written = map_on_threads(beams, pupils) if objective.on_beams else None
        users = [pupil.user for pupil in pupils]
        schedule = Schedule(settings.draft_epochs, settings.draft_learning_rate, BATCH)
        exit_map = nn.Parameter(start.clone())
        with one_thread(), torch.enable_grad():
            course = schedule.course([exit_map], len(pupils), shard)
            for batch in course.batches(
                lambda epoch: schedule.batches(users, settings.seed, "draft batches", shard, epoch)
            ):
                loss = draft_loss(
                    exit_map,
                    DraftRows.together([pupils[i].choices for i in batch]),
                    None if written is None else DraftRows.together([written[i] for i in batch]),
                    objective,
                    settings.draft_beams,
                    self.logits,
                )
                course.step_on(loss)
        return exit_map.detach()
