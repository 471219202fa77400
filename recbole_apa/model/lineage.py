"""Which samples each file of a run depends on, and the order of its rows."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from recbole_apa.core.seeding import digest_of
from recbole_apa.data.samples import Sample
from recbole_apa.data.splits import SPLITS
from recbole_apa.partition import Partition
from recbole_apa.runs.names import EMBEDDINGS, MEMORY, METRICS, PARTITION, STATES, point_name, shard_name


class Piece(NamedTuple):
    """Samples of a shard that are trained together, after those of its earlier pieces."""

    number: int
    samples: list[Sample]
    key: str
    """A digest that changes when these samples, or any of an earlier piece, or their contents change."""


def chain_of(shard: int, samples: Sequence[Sample], pieces: Mapping[str, int]) -> list[Piece]:
    """The pieces of a shard that have samples, in the order in which they are trained. A run that never grew has one.

    Args:
        samples: of the shard; each piece keeps their order.
        pieces: sample id -> number of its piece; samples that it lacks belong to piece 0.
    """
    members: dict[int, list[Sample]] = {}
    for sample in samples:
        members.setdefault(pieces.get(sample.sample_id, 0), []).append(sample)
    key, chain = shard_key(shard, members.get(0, [])), []
    for number in sorted(members):
        if number:
            key = digest_of(key, "piece", number, *sorted(s.digest() for s in members[number])).hex()
        chain.append(Piece(number, members[number], key))
    return chain


def lineage_of(
    partition: Partition,
    splits: Mapping[str, Sequence[Sample]],
    with_states: bool,
    pieces: Mapping[str, int],
) -> dict[str, dict[str, str]]:
    """Artefact -> sample id -> digest of what the artefact saw of it. Figures and report depend on all of these.

    Args:
        with_states: whether the run keeps frozen activations.
        pieces: as in :func:`chain_of`.
    """
    train, valid, test = ({s.sample_id: s.digest() for s in splits[name]} for name in SPLITS)
    seen: dict[str, dict[str, str]] = {}
    for k in range(partition.n_shards):
        members = partition.members(k)
        seen[shard_name(k)] = {name: train[name] for name in members}
        for number in sorted({pieces.get(name, 0) for name in members})[1:]:
            before = [name for name in members if pieces.get(name, 0) < number]
            seen[shard_name(k, point_name(number))] = {name: train[name] for name in before}
    if with_states:
        seen[STATES] = {**train, **valid}
    return {**seen, PARTITION: train, EMBEDDINGS: train, MEMORY: valid, METRICS: test}


def sample_order(samples: Sequence[Sample]) -> list[int]:
    """Positions sorted by sample id: the order of rows in a run's files."""
    return sorted(range(len(samples)), key=lambda i: samples[i].sample_id)


def number_users(user_ids: Sequence[str]) -> Tensor:
    """0, 1, 2, ... in order of first appearance, (n,), int64."""
    numbers: dict[str, int] = {}
    return torch.tensor([numbers.setdefault(user, len(numbers)) for user in user_ids], dtype=torch.int64)


def shard_key(shard: int, samples: Sequence[Sample]) -> str:
    """A digest that changes when the shard's samples or their contents change."""
    return digest_of(shard, *sorted(s.digest() for s in samples)).hex()
