"""What a method with shards is asked to forget, and what requests drawn by hash would cost it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recbole_apa.comparison.row import KINDS
from recbole_apa.core.seeding import hash_order
from recbole_apa.data.samples import Sample
from recbole_apa.pipeline.build import RunResult
from recbole_apa.runs.manifest import TrainingCost
from recbole_apa.unlearning.plan import seconds_for

Pair = tuple[str, str]
MOST_DRAWN = 1000
"""Requests of each kind, at most."""


@dataclass(frozen=True)
class Counted:
    """What a method holds beside its shards, and recomputes on every request."""

    pairs: Sequence[Pair]
    """User and item of each row that it is made of."""
    seconds: float
    """Of recomputing it."""


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


def drawn_figures(made: RunResult, cost: TrainingCost, counted: Counted | None = None) -> dict[str, float]:
    """For each of :data:`~recbole_apa.comparison.row.KINDS`: how many requests were drawn by hash, how many shards one
    reaches on average, and how many seconds it would take, by the times of the training.

    Args:
        cost: of the training.
        counted: what is recomputed beside the shards. Requests may then name what only this is made of, which no shard
            has seen.
    """
    partition, samples = made.trainer.partition, made.data.train_set.samples
    assert partition is not None
    sizes, out = made.trainer.record.sizes, {}
    for kind in KINDS:
        reached = shards_hit(samples, partition.shard_of, kind)
        for user, item in counted.pairs if counted else ():
            reached.setdefault(_name(kind, user, item), set())
        names = sorted(reached)
        drawn = [reached[names[i]] for i in hash_order(names, 0, "drawn requests", kind)[:MOST_DRAWN]]
        n_samples = [sum(sizes[k] for k in shards) for shards in drawn]
        seconds = [seconds_for(n, len(shards), len(sizes), cost) for n, shards in zip(n_samples, drawn, strict=True)]
        known = [s for s in seconds if s is not None]
        if known:
            out[f"drawn_{kind}"] = float(len(drawn))
            out[f"drawn_{kind}_shards_hit"] = float(np.mean([len(shards) for shards in drawn]))
            out[f"drawn_{kind}_seconds"] = float(np.mean(known)) + (counted.seconds if counted else 0.0)
    if counted and out:
        out["drawn_further_seconds"] = counted.seconds
    return out
