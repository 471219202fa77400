"""The places of one shard in the order of their training, and how far that has come."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from recbole_apa.adapters.bank import Factors
from recbole_apa.core.places import Place
from recbole_apa.data.dataloader import ShardBatches
from recbole_apa.model.shard_trainer import NEW, Start, Trained
from recbole_apa.runs.manifest import ShardRecord


@dataclass(frozen=True)
class ShardPlace:
    """Samples of a shard, to be trained after those of its earlier places."""

    place: Place
    batches: ShardBatches
    key: str
    """A digest that changes with its samples and those before it."""


@dataclass
class ShardChain:
    """The places of a shard that have samples, of which the first ``n_done`` have been trained."""

    shard: int
    places: Sequence[ShardPlace]
    end: Place | None = None
    """Where its training ends: before this place; None after the last one."""
    n_done: int = 0
    start: Start = NEW
    """What the last of those left."""
    record: ShardRecord | None = None
    """Of the training of the last addition's places, as far as it was done; None before any."""
    is_moved: bool = False
    """Whether an approximate method moved its adapter; then it has no restart points."""

    @property
    def next(self) -> ShardPlace:
        """The first place that has not been trained."""
        return self.places[self.n_done]

    @property
    def is_whole(self) -> bool:
        """Whether all places have been trained."""
        return self.n_done == len(self.places)

    @property
    def is_done(self) -> bool:
        """Whether all that are to be trained have been."""
        return self.is_whole or (self.end is not None and self.next.place >= self.end)

    @property
    def adapter(self) -> Factors | None:
        """The adapter so far; None before any training."""
        return self.start.factors if self.n_done else None

    def goes_on(self, i: int) -> bool:
        """Whether what place ``i`` leaves is continued with its optimiser's moments: within one addition."""
        return i + 1 < len(self.places) and self.places[i + 1].place.piece == self.places[i].place.piece

    def took(self, record: ShardRecord) -> None:
        """Note the training of the next place, before it counts as done; the record covers the places of one
        addition."""
        continued = self.n_done > 0 and self.goes_on(self.n_done - 1)
        self.record = _joined(self.record, record) if continued and self.record else record

    def trained(self, found: Trained, seconds: float) -> None:
        """The next place was trained."""
        record: Any = {"train_seconds": seconds, **vars(found.history)}
        self.took(record)
        self.start = Start(found.factors, found.moments if self.goes_on(self.n_done) else None)
        self.n_done += 1

    def moved(self, factors: Factors, record: ShardRecord) -> None:
        """All its places are behind this adapter, which an approximate method moved."""
        self.start, self.record, self.is_moved = Start(factors), record, True
        self.n_done = len(self.places)


def _joined(one: ShardRecord, other: ShardRecord) -> ShardRecord:
    """One record of two trainings, the second of which went on from the first."""
    seconds = sum(record.get("train_seconds", 0.0) for record in (one, other))
    both: dict[str, Any] = {**one, **other, "train_seconds": seconds}
    for name in ("step_losses", "epoch_losses"):
        if name in one or name in other:
            both[name] = [*one.get(name, []), *other.get(name, [])]
    return cast(ShardRecord, both)
