"""Train one adapter on one shard: an optimiser, a schedule, a stopping rule. Pure torch."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from recbole_apa.errors import TrainingError
from recbole_apa.seeding import derive_seed
from recbole_apa.settings import TrainSettings


@dataclass
class ShardHistory:
    """The course of one training."""

    step_losses: list[float] = field(default_factory=list)
    epoch_losses: list[float] = field(default_factory=list)
    stopped_early: bool = False


def rate_factor(step: int, n_steps: int, warmup: int, schedule: str) -> float:
    """Share of the peak learning rate at a step: rises over the first ``warmup`` steps, then falls."""
    if step < warmup:
        return (step + 1) / warmup
    if schedule == "constant":
        return 1.0
    done = (step - warmup) / max(1, n_steps - warmup)
    return 1 - done if schedule == "linear" else 0.5 * (1 + math.cos(math.pi * done))


def train_adapter(
    parameters: list[nn.Parameter],
    batches: Callable[[int], Iterable[Any]],
    n_batches: int,
    loss_of: Callable[[Any], Tensor],
    settings: TrainSettings,
    seed: int,
    shard: int,
    on_step: Callable[[int, int, float], None] | None = None,
) -> ShardHistory:
    """Train ``parameters`` in place.

    Nothing here depends on other shards: batches come by epoch, dropout is seeded by (seed, shard, step),
    and the stopping rule looks at this shard's training loss alone.

    Args:
        batches: epoch -> its batches.
        n_batches: batches per epoch.
        loss_of: batch -> loss, a scalar.
        on_step: called with (epoch, step, loss) after each step.

    Raises:
        TrainingError: a loss that is not finite.
    """
    optimizer = torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    n_steps = settings.epochs * n_batches
    warmup = round(settings.warmup_ratio * n_steps)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: rate_factor(step, n_steps, warmup, settings.lr_schedule)
    )
    history = ShardHistory()
    for epoch in range(settings.epochs):
        losses = []
        for batch in batches(epoch):
            step = len(history.step_losses)
            loss = _step(optimizer, parameters, batch, loss_of, settings.max_grad_norm, (seed, shard, step))
            schedule.step()
            losses.append(loss)
            history.step_losses.append(loss)
            if on_step:
                on_step(epoch, step, loss)
        history.epoch_losses.append(sum(losses) / len(losses))
        if should_stop(history.epoch_losses, settings.stopping_patience, settings.stopping_min_delta):
            history.stopped_early = epoch + 1 < settings.epochs
            break
    return history


def should_stop(losses: list[float], patience: int | None, min_delta: float) -> bool:
    """Whether the last ``patience`` epochs all failed to undercut the best loss before them."""
    if patience is None or len(losses) <= patience:
        return False
    best_before = min(losses[:-patience])
    return min(losses[-patience:]) > best_before - min_delta


def _step(
    optimizer: torch.optim.Optimizer,
    parameters: list[nn.Parameter],
    batch: Any,
    loss_of: Callable[[Any], Tensor],
    max_norm: float | None,
    names: tuple[int, int, int],
) -> float:
    seed, shard, step = names
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(seed, "dropout", shard, step))
        loss = loss_of(batch)
    value = float(loss.detach())
    if not math.isfinite(value):
        raise TrainingError(
            f"shard {shard}, step {step}: the loss is {value}; lower learning_rate, or set dtype: float32"
        )
    optimizer.zero_grad()
    loss.backward()
    if max_norm is not None:
        nn.utils.clip_grad_norm_(parameters, max_norm)
    optimizer.step()
    return value
