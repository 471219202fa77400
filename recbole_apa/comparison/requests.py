"""What a method with shards is asked to forget, and what requests drawn by hash would cost it."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from recbole_apa.comparison.row import KINDS
from recbole_apa.core.places import FIRST, Place, Places
from recbole_apa.core.seeding import hash_order
from recbole_apa.data.samples import Sample
from recbole_apa.model.fit_context import FitContext
from recbole_apa.pipeline.build import RunResult
from recbole_apa.runs.manifest import TrainingCost
from recbole_apa.unlearning.plan import seconds_for

Pair = tuple[str, str]
MOST_DRAWN = 1000
"""Requests of each kind, at most."""


def single_shard_requests(made: RunResult) -> list[Pair]:
    """Interactions (user, item) that occur in the training samples of exactly one shard, in hash order: the efficiency
    protocol of RecEraser and APA, one shard per request.

    If every interaction is in several shards (a random partition scatters a user's overlapping histories), those in the
    fewest.
    """
    partition = made.trainer.partition
    assert partition is not None
    shards = shards_of_interactions(made.data.train_set.samples, partition.shard_of)
    fewest = min(len(ks) for ks in shards.values())
    alone = sorted(pair for pair, ks in shards.items() if len(ks) == fewest)
    return [alone[i] for i in hash_order([f"{u}:{i}" for u, i in alone], 0, "requests")]


def shards_of_interactions(samples: Iterable[Sample], shard_of: Mapping[str, int]) -> dict[Pair, set[int]]:
    """Every interaction (user, item) that the samples' prompts show -> the shards that have seen it.

    Args:
        shard_of: sample id -> shard.
    """
    shards: dict[Pair, set[int]] = {}
    for sample in samples:
        for item in (sample.item_id, *(entry.item_id for entry in sample.history)):
            shards.setdefault((sample.user_id, item), set()).add(shard_of[sample.sample_id])
    return shards


def shards_hit(samples: Sequence[Sample], shard_of: Mapping[str, int], kind: str) -> dict[str, set[int]]:
    """What a request of one kind may name -> the shards that it reaches.

    Args:
        kind: ``interactions`` and ``items``, those that the samples' prompts show; ``users``, those of the samples.
    """
    out: dict[str, set[int]] = {}
    for (user, item), shards in shards_of_interactions(samples, shard_of).items():
        out.setdefault(_name(kind, user, item), set()).update(shards)
    return out


def _name(kind: str, user: str, item: str) -> str:
    return {"interactions": f"{user}:{item}", "users": user, "items": item}[kind]


@dataclass(frozen=True)
class TrainedSamples:
    """Where and when the training samples of a run are trained."""

    samples: Sequence[Sample]
    shard_of: Mapping[str, int]
    """Sample id -> shard."""
    n_shards: int
    places: Places = field(default_factory=Places)

    @classmethod
    def of(cls, made: RunResult) -> "TrainedSamples":
        """Those of a run that was just trained."""
        partition, fit = made.trainer.partition, FitContext(made.model, inputs=made.trainer.inputs)
        assert partition is not None
        return cls(made.data.train_set.samples, partition.shard_of, partition.n_shards, fit.places)

    def reached(self, kind: str) -> dict[str, dict[int, Place]]:
        """What a request of one kind may name -> shard -> the first place of it that the request reaches.

        Args:
            kind: as in :func:`shards_hit`.
        """
        out: dict[str, dict[int, Place]] = {}
        for sample in self.samples:
            shard, place = self._spot(sample)
            for item in (sample.item_id, *(entry.item_id for entry in sample.history)):
                first = out.setdefault(_name(kind, sample.user_id, item), {})
                first[shard] = min(place, first.get(shard, place))
        return out

    def n_again(self, first: Mapping[int, Place]) -> int:
        """How many samples are trained again, if each of these shards restarts before this place."""
        return sum(n for k, place in first.items() for there, n in self.sizes.get(k, {}).items() if there >= place)

    @cached_property
    def sizes(self) -> dict[int, Counter[Place]]:
        """Shard -> place -> its samples."""
        out: dict[int, Counter[Place]] = {}
        for shard, place in map(self._spot, self.samples):
            out.setdefault(shard, Counter())[place] += 1
        return out

    def _spot(self, sample: Sample) -> tuple[int, Place]:
        return self.shard_of[sample.sample_id], self.places.of(sample.sample_id, sample.user_id)


def drawn_figures(trained: TrainedSamples, cost: TrainingCost, further_seconds: float = 0.0) -> dict[str, float]:
    """For each of :data:`~recbole_apa.comparison.row.KINDS`: how many requests were drawn by hash, how many shards one
    reaches on average, how much of them it trains again (a shard of which it reaches the last slice alone counts as
    that part of its samples), and how many seconds it would take, by the times of the training.

    Args:
        cost: of the training.
        further_seconds: of what every request recomputes beside the shards. Requests name what the samples show in any
            case: what they do not costs a single model nothing, either, whose seconds they are compared with.
    """
    out: dict[str, float] = {}
    for kind in KINDS:
        reached = trained.reached(kind)
        names = sorted(reached)
        drawn = [reached[names[i]] for i in hash_order(names, 0, "drawn requests", kind)[:MOST_DRAWN]]
        n_again = [trained.n_again(first) for first in drawn]
        seconds = [seconds_for(n, len(first), trained.n_shards, cost) for n, first in zip(n_again, drawn, strict=True)]
        known = [s for s in seconds if s is not None]
        if known:
            out[f"drawn_{kind}"] = float(len(drawn))
            out[f"drawn_{kind}_shards_hit"] = float(np.mean([len(first) for first in drawn]))
            out[f"drawn_{kind}_shards_again"] = float(np.mean([_shards_again(trained, first) for first in drawn]))
            out[f"drawn_{kind}_seconds"] = float(np.mean(known)) + further_seconds
    if further_seconds and out:
        out["drawn_further_seconds"] = further_seconds
    return out


def _shards_again(trained: TrainedSamples, first: Mapping[int, Place]) -> float:
    """The parts of the shards that are trained again, by their samples, in sum."""
    return sum(trained.n_again({k: place}) / trained.n_again({k: FIRST}) for k, place in first.items())
