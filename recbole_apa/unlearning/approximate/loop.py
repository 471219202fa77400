"""Move a trained adapter by an objective, batch by batch, until forgotten samples look like any others. Pure torch.

Shapes: n samples of a side, b batch.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from recbole_apa.adapters.training import AdapterCourse, ShardHistory
from recbole_apa.core.seeding import generator_for, hash_order
from recbole_apa.unlearning.approximate.losses import Answers, Objective, Teachers

Rows = tuple[list[int], list[int]]


@dataclass(frozen=True)
class Side:
    """The forgotten samples, or the retained ones."""

    ids: Sequence[str]
    """Sample ids; the order within an epoch is drawn from them."""
    labels: Tensor
    """(n,), 1 for a like."""
    logits: Callable[[Sequence[int]], Tensor]
    """The student's, with gradients: rows -> (b, 2), columns no and yes."""
    teachers: Mapping[str, Tensor]
    """Name -> (n, 2)."""
    coins: Tensor
    """A fixed random label for each, (n,)."""
    weights: Tensor
    """How much each counts, (n,); 1 for most methods."""

    def answers(self, rows: Sequence[int]) -> Answers:
        """What the student and the teachers answer on some rows."""
        index = torch.tensor(list(rows), dtype=torch.long)
        teachers = Teachers({name: z[index] for name, z in self.teachers.items()})
        return Answers(lambda: self.logits(rows), self.labels[index], teachers, self.coins[index], self.weights[index])


@dataclass(frozen=True)
class BatchedSides:
    """Both sides, and how they are batched: see :func:`paired_batches`."""

    forget: Side
    retain: Side
    batch_size: int
    seed: int

    @property
    def n_batches(self) -> int:
        """Of one epoch."""
        return -(-len(self.forget.ids) // self.batch_size)

    def batches(self, epoch: int) -> Iterator[Rows]:
        """The batches of one epoch: rows of the forgotten and of the retained samples."""
        return paired_batches(self.forget, self.retain, self.batch_size, self.seed, epoch)


@dataclass(frozen=True)
class DrawnSides(BatchedSides):
    """Every sample of a batch is drawn with replacement: first the side, the retained one ``retain_per_forget`` times
    as often as the other, then one of its samples. An epoch draws as many as both sides have. Retained samples of
    weight 0 are left out."""

    retain_per_forget: float

    @property
    def n_batches(self) -> int:
        """Of one epoch."""
        return -(-self._n_draws // self.batch_size)

    @cached_property
    def _counted(self) -> Tensor:
        return self.retain.weights.cpu().nonzero()[:, 0]

    @property
    def _n_draws(self) -> int:
        return len(self.forget.ids) + len(self._counted)

    def batches(self, epoch: int) -> Iterator[Rows]:
        """See :meth:`BatchedSides.batches`; a batch may have no row of a side."""
        g, n = generator_for(self.seed, "drawn", epoch), self._n_draws
        retained_share = self.retain_per_forget / (1 + self.retain_per_forget) if len(self._counted) else 0.0
        is_retained = torch.rand(n, generator=g) < retained_share
        own = torch.randint(len(self.forget.ids), (n,), generator=g)
        others = self._counted[torch.randint(max(1, len(self._counted)), (n,), generator=g)] if retained_share else own
        for some in torch.arange(n).split(self.batch_size):
            kept = is_retained[some]
            yield own[some][~kept].tolist(), others[some][kept].tolist()


def paired_batches(forget: Side, retain: Side, size: int, seed: int, epoch: int) -> Iterator[Rows]:
    """Every forgotten sample once, paired with as many retained ones, which are drawn again each epoch; ordered by a
    hash of (seed, epoch, sample id)."""
    own = hash_order(list(forget.ids), seed, "forget", epoch)
    others = hash_order(list(retain.ids), seed, "retain", epoch)
    for start in range(0, len(own), size):
        rows = own[start : start + size]
        yield rows, [others[(start + i) % len(others)] for i in range(len(rows))]


def unlearn_adapter(
    course: AdapterCourse, sides: BatchedSides, objective: Objective, enough: Callable[[], bool]
) -> ShardHistory:
    """Train the student's parameters in place.

    Args:
        course: over the student's parameters.
        enough: called after each epoch; True ends the training.

    Raises:
        TrainingError: a loss that is not finite.
    """
    before = 0
    for own, others in course.batches(sides.batches):
        if course.epoch > before and enough():
            break
        before = course.epoch
        course.step_on(objective(sides.forget.answers(own), sides.retain.answers(others), course.epoch))
    return course.history
