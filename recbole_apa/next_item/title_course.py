"""The optimiser and schedule of what a shard trains for titles: its adapter, and its draft."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import nn

from recbole_apa.adapters.training import AdapterCourse
from recbole_apa.core.places import FIRST, Place
from recbole_apa.core.seeding import hash_order
from recbole_apa.core.settings import TrainSettings

WARMUP, CLIP = 0.1, 1.0
"""Share of the steps over which the rate rises, and the greatest norm of a step's gradients."""


@dataclass(frozen=True)
class Schedule:
    """How long, at what rate and on how much at a time something is trained."""

    epochs: int
    rate: float
    batch: int
    """Users of one step."""

    def course(self, parameters: list[nn.Parameter], n_users: int, shard: int, place: Place = FIRST) -> AdapterCourse:
        """AdamW; the rate rises, then falls linearly.

        Args:
            place: the slice that is trained.
        """
        settings = TrainSettings(
            epochs=self.epochs,
            learning_rate=self.rate,
            loraplus_lr_ratio=1.0,
            train_batch_size=self.batch,
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
        return AdapterCourse(parameters, -(-n_users // self.batch), settings, shard, place=place)

    def batches(self, users: Sequence[str], seed: int, *names: object) -> Iterator[list[int]]:
        """Numbers of users, in an order that their own names decide.

        Args:
            names: of the epoch and what is trained.
        """
        order = hash_order(users, seed, *names)
        for first in range(0, len(order), self.batch):
            yield order[first : first + self.batch]
