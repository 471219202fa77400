"""Check what a partition returns, before anything of it is written."""

from collections.abc import Mapping, Sequence
from operator import index

import torch
from torch import Tensor

from recbole_apa.core.errors import PartitionError
from recbole_apa.core.foreign_code import shown
from recbole_apa.partition.assignment import Partition


def check_partition(
    found: object,
    ids: Sequence[str],
    n_shards: int,
    d: int | None = None,
    capacity: int | None = None,
    name: str = "",
) -> Partition:
    """Check the result of a partition and return it, with shards as ``int`` and centres as float32.

    Args:
        found: what the partition returned.
        ids: the sample ids that it was given, (n,).
        n_shards: K.
        d: size of an embedding; None if any will do.
        capacity: t, the most samples a shard may have; None if the partition does not keep to it.
        name: of the partition, for messages.

    Raises:
        PartitionError: not a :class:`Partition`; samples are missing or unknown; a shard is no whole number from 0 to
            K - 1 or has too many samples; or the centres are not K x d finite numbers.
    """
    who = f"partition {name}" if name else "the partition"
    if not isinstance(found, Partition):
        raise PartitionError(
            f"{who} returned {_told(found)}, expected a recbole_apa.partition.Partition, e.g. from with_member_means"
        )
    shard_of = checked_shards(found.shard_of, ids, n_shards, who)
    partition = Partition(shard_of, _checked_centres(found.centres, n_shards, d, who))
    sizes = partition.sizes()
    if capacity is not None and max(sizes) > capacity:
        shard = sizes.index(max(sizes))
        raise PartitionError(
            f"{who} puts {sizes[shard]} samples into shard {shard}, expected at most {capacity} (its class says "
            "takes_capacity = True, so it has to keep to the capacity that it is given)"
        )
    return partition


def check_users_whole(partition: Partition, user_of: Mapping[str, str], name: str) -> None:
    """Check that no user is divided.

    Args:
        user_of: sample id -> user.
        name: of the partition, for messages.

    Raises:
        PartitionError: a user's samples are in several shards.
    """
    shards: dict[str, set[int]] = {}
    for sample, shard in partition.shard_of.items():
        shards.setdefault(user_of[sample], set()).add(shard)
    divided = sorted(user for user, found in shards.items() if len(found) > 1)
    if divided:
        raise PartitionError(
            f"partition {name} puts the samples of {len(divided)} users into several shards (first: user "
            f"{divided[0]}), expected one for each (its class says keeps_users_whole = True)"
        )


def checked_shards(found: object, ids: Sequence[str], n_shards: int, who: str = "the partition") -> dict[str, int]:
    """An assignment with its shards as ``int``; other types of whole numbers, such as numpy's, are accepted.

    Args:
        who: the partition, for messages.

    Raises:
        PartitionError: not a mapping, samples are missing or unknown, or a shard is no whole number from 0 to K - 1.
    """
    if not isinstance(found, Mapping):
        raise PartitionError(f"{who}: found shard_of {_told(found)}, expected a dict of sample id to shard")
    wrong = sorted(map(str, set(ids) ^ set(found)))
    if wrong:
        raise PartitionError(
            f"{who} assigns {len(found)} samples, expected the {len(ids)} it was given; {len(wrong)} are missing or "
            f"unknown, e.g. {wrong[0]}"
        )
    shards = {name: _whole(shard) for name, shard in found.items()}
    for name, shard in shards.items():
        if shard is None or not 0 <= shard < n_shards:
            raise PartitionError(
                f"{who} puts sample {name} in shard {shown(found[name])}; expected a whole number from 0 to "
                f"{n_shards - 1}"
            )
    return {name: shard for name, shard in shards.items() if shard is not None}


def _whole(value: object) -> int | None:
    """A whole number of any type as ``int``; None for anything else, True and False included."""
    if isinstance(value, bool):
        return None
    try:
        return index(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError):  # torch raises these for tensors
        return None


def _checked_centres(found: object, n_shards: int, d: int | None, who: str) -> Tensor:
    wanted = f"({n_shards}, {'d' if d is None else d})"
    if not isinstance(found, Tensor) or found.is_complex() or found.dtype == torch.bool:
        raise PartitionError(f"{who}: found centres {_told(found)}, expected a float tensor of shape {wanted}")
    if found.ndim != 2 or len(found) != n_shards or (d is not None and found.shape[1] != d):
        raise PartitionError(
            f"{who} has centres of shape {tuple(found.shape)}, expected {wanted}: one for each shard, as long as an "
            "embedding"
        )
    centres = found.detach().float()
    wrong = (~torch.isfinite(centres)).any(1).nonzero()
    if len(wrong):
        raise PartitionError(
            f"{who}: the centres of {len(wrong)} of {n_shards} shards contain NaN or infinity (first: shard "
            f"{int(wrong[0, 0])}), expected finite numbers; for an empty shard take e.g. the mean of all embeddings"
        )
    return centres


def _told(value: object) -> str:
    return f"{type(value).__name__} {shown(value)}" if value is not None else "None"
