"""Which samples each file of a run depends on, and the order of its rows."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from recbole_apa.core.places import FIRST, Place, Places
from recbole_apa.core.seeding import digest_of
from recbole_apa.data.samples import Sample
from recbole_apa.data.splits import SPLITS
from recbole_apa.runs.names import EMBEDDINGS, MEMORY, METRICS, PARTITION, STATES, point_name, shard_name

if TYPE_CHECKING:
    from torch import Tensor

    from recbole_apa.partition import Partition

Prefixes = Mapping[int, Place]
"""Shard -> the first place that its adapter was not trained on, of those that serve the state before it."""


class Piece(NamedTuple):
    """Samples of a shard that are trained together, after those of its earlier places: a slice of those that joined
    the run together."""

    place: Place
    samples: list[Sample]
    key: str
    """A digest that changes when these samples, or any of an earlier place, or their contents change."""


def chain_of(shard: int, samples: Sequence[Sample], places: Places) -> list[Piece]:
    """The pieces of a shard that have samples, in the order in which they are trained. A run that never grew, and is
    not cut into slices, has one.

    Args:
        samples: of the shard; each piece keeps their order.
        places: when each sample is trained.
    """
    members: dict[Place, list[Sample]] = {}
    for sample in samples:
        members.setdefault(places.of(sample.sample_id, sample.user_id), []).append(sample)
    key, chain = shard_key(shard, members.get(FIRST, [])), []
    for place in sorted(members):
        if place != FIRST:
            named = ("piece", place.piece, *(("slice", place.cut) if place.cut else ()))
            key = digest_of(key, *named, *sorted(s.digest() for s in members[place])).hex()
        chain.append(Piece(place, members[place], key))
    return chain


def lineage_of(
    partition: "Partition",
    splits: Mapping[str, Sequence[Sample]],
    kept: Collection[str],
    places: Places,
    prefixes: Prefixes,
    moved: Collection[int] = (),
) -> dict[str, dict[str, str]]:
    """Artefact -> sample id -> digest of what the artefact saw of it. Figures and report depend on all of these.

    Args:
        kept: the splits of whose samples the run keeps frozen activations; those of no split if it keeps none.
        places: as in :func:`chain_of`.
        prefixes: of shards whose adapters lack places.
        moved: shards whose adapters an approximate method moved; they have no restart points.
    """
    train, valid, test = ({s.sample_id: s.digest() for s in splits[name]} for name in SPLITS)
    seen: dict[str, dict[str, str]] = {}
    place_of = {s.sample_id: places.of(s.sample_id, s.user_id) for s in splits[SPLITS[0]]}
    for k in range(partition.n_shards):
        members = [name for name in partition.members(k) if k not in prefixes or place_of[name] < prefixes[k]]
        if k in prefixes and not members:
            continue  # it has no adapter
        seen[shard_name(k)] = {name: train[name] for name in members}
        for place in sorted({place_of[name] for name in members})[1:] if k not in moved else ():
            before = [name for name in members if place_of[name] < place]
            seen[shard_name(k, point_name(*place))] = {name: train[name] for name in before}
    if kept:
        parts = {SPLITS[0]: train, SPLITS[1]: valid}
        seen[STATES] = {name: digest for split in kept for name, digest in parts[split].items()}
    return {**seen, PARTITION: train, EMBEDDINGS: train, MEMORY: valid, METRICS: test}


def sample_order(samples: Sequence[Sample]) -> list[int]:
    """Positions sorted by sample id: the order of rows in a run's files."""
    return sorted(range(len(samples)), key=lambda i: samples[i].sample_id)


def number_users(user_ids: Sequence[str]) -> "Tensor":
    """0, 1, 2, ... in order of first appearance, (n,), int64."""
    import torch

    numbers: dict[str, int] = {}
    return torch.tensor([numbers.setdefault(user, len(numbers)) for user in user_ids], dtype=torch.int64)


def shard_key(shard: int, samples: Sequence[Sample]) -> str:
    """A digest that changes when the shard's samples or their contents change."""
    return digest_of(shard, *sorted(s.digest() for s in samples)).hex()
