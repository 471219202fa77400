"""Which slices of which shards a request trains again: those from the first that holds an affected sample."""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from recbole_apa.core.ids import user_of
from recbole_apa.core.places import FIRST, Place, Places
from recbole_apa.partition.assignment import Assignment


class SliceCount(NamedTuple):
    """Slices of one shard; those of additions count separately."""

    kept: int
    """As the run has them, before the first that is trained again."""
    total: int
    """That have samples after the request."""


class Restarts(NamedTuple):
    """What is trained again."""

    n_samples: int
    slices: dict[int, SliceCount]
    """Of the shards that are trained again, or switched off."""
    n_slices: int
    """Of all shards."""


def restarts_of(
    changed: Iterable[tuple[int, str]],
    left: Collection[str],
    assignment: Assignment,
    places: Places,
    prefixes: Mapping[int, Place],
    anew: Iterable[int] = (),
) -> Restarts:
    """
    Args:
        changed: shard and id of each training sample that changes.
        left: ids of all training samples after the request.
        assignment: of the run before it.
        prefixes: shard -> the first place that its adapter lacks.
        anew: shards that are trained from their start.
    """
    first: dict[int, Place] = {**prefixes, **dict.fromkeys(anew, FIRST)}
    for shard, name in changed:
        place = _place(places, name)
        first[shard] = min(place, first.get(shard, place))
    spots = [(assignment.shard_of[name], _place(places, name)) for name in left if name in assignment.shard_of]
    there = set(spots)
    n_samples = sum(shard in first and place >= first[shard] for shard, place in spots)
    slices = {
        shard: SliceCount(
            sum(k == shard and place < first[shard] for k, place in there), sum(k == shard for k, _ in there)
        )
        for shard in sorted(first)
    }
    return Restarts(n_samples, slices, len(there))


def _place(places: Places, name: str) -> Place:
    return places.of(name, user_of(name))


def slices_text(slices: Mapping[int, SliceCount], n_slices: int) -> str:
    """For a plan: how many slices are trained again, and what a request at once would serve of each shard."""
    n_trained = sum(count.total - count.kept for count in slices.values())
    kept = ", ".join(f"{count.kept} of {count.total} in {shard:03d}" for shard, count in slices.items())
    again = f"parts (slices, additions) to train again: {n_trained} of {n_slices}"
    return f"{again}; kept, and served with --at_once: {kept or 'all'}"
