"""Slices of a shard's users: whoever is forgotten, nobody else's slice changes."""

from collections.abc import Iterable, Mapping

from recbole_apa.core.places import Slices
from recbole_apa.core.seeding import digest_over
from recbole_apa.next_item.generation import ItemCodes
from recbole_apa.next_item.settings import NextItemSettings
from recbole_apa.next_item.state import Learnt

DECIDE = (
    "history_length",
    "seed",
    "adapters",
    "adapter_layers",
    "adapter_rank",
    "adapter_epochs",
    "adapter_batch",
    "adapter_learning_rate",
    "shard_slices",
)
"""The options that decide an adapter."""


def slices_of(settings: NextItemSettings) -> Slices:
    """Which slice each user is in: by seed and name alone."""
    return Slices(settings.shard_slices, settings.seed)


def members_before(shard: int, end: int, shard_of: Mapping[str, int], settings: NextItemSettings) -> list[str]:
    """The users of a shard's slices before one, in order of their names."""
    slices = slices_of(settings)
    return sorted(user for user, k in shard_of.items() if k == shard and slices.of(user) < end)


def lineage_of_prefix(
    shard: int, end: int, learnt: Learnt, settings: NextItemSettings, codes: ItemCodes | None = None
) -> str:
    """Digest of what is behind a shard's adapter before a slice: the sequences of the slices before, in order of their
    users' names, the codes, and the options of adapters.

    Args:
        codes: None of titles.
    """
    options = [(name, getattr(settings, name)) for name in DECIDE]
    told: list[object] = ["adapter before a slice", shard, end, "" if codes is None else codes.digest]
    told += [part for pair in options for part in pair]
    users = members_before(shard, end, learnt.shard_of, settings)
    return digest_over((*told, *(part for user in users for part in (user, learnt.lineage[user][0])))).hex()


def first_slices(users: Iterable[tuple[str, int]], settings: NextItemSettings) -> dict[int, int]:
    """Shard -> the first slice that holds one of some users.

    Args:
        users: with their shards.
    """
    slices = slices_of(settings)
    out: dict[int, int] = {}
    for user, shard in users:
        out[shard] = min(out.get(shard, settings.shard_slices), slices.of(user))
    return dict(sorted(out.items()))


def begin_of(shard: int, learnt: Learnt, first: Mapping[int, int]) -> int:
    """Before which slice a shard restarts: the first that changed, or that a request at once has left untrained.

    Args:
        first: shard -> the first slice that changed.
    """
    places = [place[shard] for place in (first, learnt.ends) if shard in place]
    return min(places) if places else 0


def kept_slices(learnt: Learnt, first: Mapping[int, int], settings: NextItemSettings) -> dict[str, dict[str, int]]:
    """Of shards that changed, how many slices' training is ``kept`` as it was, of ``total``; nothing without slices.
    None is kept where nobody is in the slices before: the adapter begins there.

    Args:
        learnt: before the change.
        first: shard -> the first slice that changed.
    """
    total = settings.shard_slices
    if total == 1:
        return {}
    ends = {shard: begin_of(shard, learnt, first) for shard in sorted(first)}
    kept = {shard: end if members_before(shard, end, learnt.shard_of, settings) else 0 for shard, end in ends.items()}
    return {f"{shard:03d}": {"kept": end, "total": total} for shard, end in kept.items()}
