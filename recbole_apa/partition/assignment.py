"""The result of partitioning, and what is checked before and after it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from logging import getLogger
from typing import TYPE_CHECKING

from recbole_apa.core.errors import PartitionError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Assignment:
    """Which shard each sample is in; K shards. Some may be empty (K larger than N); an empty shard has no adapter."""

    shard_of: Mapping[str, int]
    """Sample id -> shard."""
    n_shards: int
    """K."""

    def sizes(self) -> list[int]:
        """Samples per shard."""
        counts = [0] * self.n_shards
        for shard in self.shard_of.values():
            counts[shard] += 1
        return counts


@dataclass(frozen=True)
class Partition:
    """An assignment, and the centres of its shards."""

    shard_of: dict[str, int]
    """Sample id -> shard."""
    centres: "Tensor"
    """a_k, (k, d), float32."""

    @property
    def n_shards(self) -> int:
        """K."""
        return self.centres.shape[0]

    @property
    def assignment(self) -> Assignment:
        """Without the centres."""
        return Assignment(self.shard_of, self.n_shards)

    @cached_property
    def _members(self) -> list[list[str]]:
        members: list[list[str]] = [[] for _ in range(self.n_shards)]
        for name in sorted(self.shard_of):
            members[self.shard_of[name]].append(name)
        return members

    def members(self, shard: int) -> list[str]:
        """Sample ids of a shard, sorted."""
        return list(self._members[shard])

    def sizes(self) -> list[int]:
        """Samples per shard."""
        return self.assignment.sizes()


def shard_count(n_samples: int, n_shards: int | None, shard_size: int | None) -> int:
    """K, given directly or as ceil(N / shard_size). Warns if most shards would stay empty."""
    if n_shards is not None:
        if n_shards > n_samples:
            getLogger().warning(
                f"n_shards is {n_shards} for {n_samples} training samples: at least {n_shards - n_samples} shards stay "
                "empty and the others learn from about one sample each; expected far fewer shards than samples (the "
                "paper: 256 samples in each), e.g. --n_shards=null --shard_size=256"
            )
        return n_shards
    if shard_size is None:
        raise PartitionError("neither n_shards nor shard_size is given; expected one of them")
    return math.ceil(n_samples / shard_size)


def check_partition_input(ids: Sequence[str], embeddings: "Tensor", n_shards: int, capacity: int) -> None:
    """Reject input that no partitioner can divide.

    Raises:
        PartitionError: no samples, repeated ids, NaN or infinite embeddings, or too little capacity.
    """
    if not ids:
        raise PartitionError("found no samples to divide into shards")
    if len(set(ids)) != len(ids):
        raise PartitionError(f"found {len(ids) - len(set(ids))} repeated sample ids; expected all different")
    if len(embeddings) != len(ids):
        raise PartitionError(f"found {len(embeddings)} embeddings for {len(ids)} samples")
    bad = ~embeddings.isfinite().all(1)
    if bool(bad.any()):
        where = ids[int(bad.nonzero()[0, 0])]
        raise PartitionError(
            f"{int(bad.sum())} of {len(ids)} embeddings contain NaN or infinity (first: sample {where}); "
            "expected finite numbers: try dtype: float32"
        )
    if n_shards * capacity < len(ids):
        raise PartitionError(
            f"{n_shards} shards of at most {capacity} samples hold {n_shards * capacity}, fewer than the "
            f"{len(ids)} samples; raise shard_capacity or n_shards"
        )
