"""Train adapters, each on its shard, with an optimiser, a schedule and a stopping rule. Pure torch."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor, nn

from recbole_apa.adapters.kind import ParameterGroup
from recbole_apa.core.errors import TrainingError
from recbole_apa.core.places import FIRST, Place
from recbole_apa.core.seeding import drawn_for
from recbole_apa.core.settings import TrainSettings

B = TypeVar("B")
"""A batch, in whatever form the loss function takes."""

Groups = Callable[[list[nn.Parameter], TrainSettings], list[ParameterGroup]]
"""See :meth:`~recbole_apa.adapters.kind.AdapterKind.parameter_groups`."""


@dataclass
class ShardHistory:
    """The history of one training."""

    step_losses: list[float] = field(default_factory=list)
    epoch_losses: list[float] = field(default_factory=list)
    stopped_early: bool = False
    machine: dict[str, str] = field(default_factory=dict)
    """The :class:`~recbole_apa.core.system.machine.MachineKind` it ran on; empty if unknown."""


def rate_factor(step: int, n_steps: int, warmup: int, schedule: str) -> float:
    """Fraction of the peak learning rate at a step: rises over ``warmup`` steps, then follows ``schedule``."""
    if step < warmup:
        return (step + 1) / warmup
    if schedule == "constant":
        return 1.0
    done = (step - warmup) / max(1, n_steps - warmup)
    return 1 - done if schedule == "linear" else 0.5 * (1 + math.cos(math.pi * done))


class AdapterCourse:
    """The training of one adapter, step by step: optimiser, schedule, stopping rule.

    Nothing here depends on other shards: batches come by epoch, and the stopping rule uses only this shard's training
    loss.

    Args:
        parameters: trained in place.
        n_batches: batches per epoch.
        groups: makes the optimiser's parameter groups; None trains all at one rate.
        place: the part of the shard that is trained; each has its own schedule, and draws other dropout masks.
    """

    def __init__(
        self,
        parameters: list[nn.Parameter],
        n_batches: int,
        settings: TrainSettings,
        shard: int,
        groups: Groups | None = None,
        place: Place = FIRST,
    ) -> None:
        self.parameters, self.settings, self.shard, self.place = parameters, settings, shard, place
        self.history = ShardHistory()
        self.epoch = 0
        self.optimizer = torch.optim.AdamW(
            groups(parameters, settings) if groups else parameters,  # type: ignore[arg-type]
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
        )
        n_steps = settings.epochs * n_batches
        warmup = round(settings.warmup_ratio * n_steps)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: rate_factor(step, n_steps, warmup, settings.lr_schedule)
        )

    @property
    def step(self) -> int:
        """The number of the next step."""
        return len(self.history.step_losses)

    @property
    def dropout_names(self) -> tuple[object, ...]:
        """What the dropout of the next step is seeded by, besides the run's seed."""
        return ("dropout", self.shard, *self.place.names, self.step)

    def batches(self, of_epoch: Callable[[int], Iterable[B]]) -> Iterator[B]:
        """The batches until the last epoch, or until the loss no longer falls. Call :meth:`step_on` or
        :meth:`take_step` after each, before requesting the next."""
        settings, history = self.settings, self.history
        for self.epoch in range(settings.epochs):
            first = self.step
            yield from of_epoch(self.epoch)
            losses = history.step_losses[first:]
            history.epoch_losses.append(sum(losses) / len(losses))
            if should_stop(history.epoch_losses, settings.stopping_patience, settings.stopping_min_delta):
                history.stopped_early = self.epoch + 1 < settings.epochs
                return

    def zero_grad(self) -> None:
        """Clear the gradients of the last step."""
        self.optimizer.zero_grad()

    def check(self, loss: float) -> float:
        """The loss, checked before its gradients are applied.

        Raises:
            TrainingError: not finite.
        """
        if not math.isfinite(loss):
            raise TrainingError(
                f"shard {self.shard}, step {self.step}: the loss is {loss}; lower the learning rate, or use float32"
            )
        return loss

    def step_on(self, loss: Tensor) -> float:
        """Take one step on the loss, which is this adapter's alone; return its value.

        Raises:
            TrainingError: not finite.
        """
        self.zero_grad()
        loss.backward()
        # read back while the backward pass is running: otherwise a GPU would idle in between
        value = self.check(float(loss.detach()))
        self.take_step(value)
        return value

    def take_step(self, loss: float) -> None:
        """Apply the gradients, which have been computed."""
        if self.settings.max_grad_norm is not None:
            nn.utils.clip_grad_norm_(self.parameters, self.settings.max_grad_norm)
        self.optimizer.step()
        self._schedule.step()
        self.history.step_losses.append(loss)


def train_adapter(
    course: AdapterCourse,
    of_epoch: Callable[[int], Iterable[B]],
    loss_of: Callable[[B], Tensor],
    seed: int,
    on_step: Callable[[AdapterCourse, float], None] | None = None,
) -> ShardHistory:
    """Train one adapter on its own; dropout is seeded by (seed, shard, step), in later places by their numbers as
    well.

    Args:
        of_epoch: epoch -> its batches.
        loss_of: batch -> loss, a scalar.
        on_step: called with the course and the loss after each step.

    Raises:
        TrainingError: a loss that is not finite.
    """
    for batch in course.batches(of_epoch):
        with drawn_for(seed, *course.dropout_names):
            loss = loss_of(batch)
        value = course.step_on(loss)
        if on_step:
            on_step(course, value)
    return course.history


def train_together(
    courses: Sequence[AdapterCourse],
    of_epoch: Sequence[Callable[[int], Iterable[B]]],
    losses_of: Callable[[Mapping[int, B]], Mapping[int, Tensor]],
    gather: Callable[[], None],
    on_step: Callable[[AdapterCourse, float], None] | None = None,
) -> list[ShardHistory]:
    """Train several adapters together, one batch of each in a single pass; each has its own steps.

    Without dropout, the same within rounding as training them one after another.

    Args:
        losses_of: maps batches, by index of the unfinished courses, to losses.
        gather: called once gradients are computed; copies each adapter's into the parameters of its course.

    Raises:
        TrainingError: a loss that is not finite.
    """
    walks = [course.batches(epochs) for course, epochs in zip(courses, of_epoch, strict=True)]
    while batches := {i: batch for i, walk in enumerate(walks) if (batch := next(walk, None)) is not None}:
        losses = losses_of(batches)
        for i in losses:
            courses[i].zero_grad()
        all_losses = torch.stack(list(losses.values()))
        all_losses.sum().backward()
        gather()
        values = dict(zip(losses, all_losses.detach().tolist(), strict=True))
        for i, value in values.items():
            courses[i].check(value)
        for i, value in values.items():
            courses[i].take_step(value)
            if on_step:
                on_step(courses[i], value)
    return [course.history for course in courses]


def should_stop(losses: list[float], patience: int | None, min_delta: float) -> bool:
    """Whether none of the last ``patience`` epochs improved on the best loss before them."""
    if patience is None or len(losses) <= patience:
        return False
    best_before = min(losses[:-patience])
    return min(losses[-patience:]) > best_before - min_delta
