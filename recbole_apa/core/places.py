"""When a sample of a shard is trained: with which addition it joined the run, and in which slice of these samples."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from recbole_apa.core.seeding import digest_of


class Place(NamedTuple):
    """Places are trained in their order: the slices of the first training, then those of each addition."""

    piece: int = 0
    """Number of the addition; 0 for the first training."""
    cut: int = 0
    """Number of the slice."""

    @property
    def names(self) -> tuple[object, ...]:
        """What orders and dropout masks are drawn for; nothing for the first place."""
        return (*(("piece", self.piece) if self.piece else ()), *(("slice", self.cut) if self.cut else ()))

    def text(self) -> str:
        """For people: ``piece 1, slice 3``; slices count from 1. Empty for the first place."""
        return ", ".join([f"piece {self.piece}"] * bool(self.piece) + [f"slice {self.cut + 1}"] * bool(self.cut))


Listed = Callable[[str], int | None]
"""User -> the slice that an order given by the option ``slice_order`` says; None for those whom it does not name."""
FIRST = Place()
"""Where a shard begins, and the only place if it is trained in one part."""


@dataclass(frozen=True)
class Slices:
    """Which slice each user's samples are in. It depends on seed and user, or on what is listed of the user, alone:
    nobody who leaves moves a cut."""

    n: int = 1
    seed: int = 0
    listed: Listed | None = None

    def of(self, user: str) -> int:
        """As listed; of others floor(n x), with x in [0, 1) from a digest of seed and user."""
        if self.n == 1:
            return 0
        told = self.listed(user) if self.listed else None
        if told is not None:
            return told
        return (int.from_bytes(digest_of(self.seed, "slice", user)[:8], "big") * self.n) >> 64


@dataclass(frozen=True)
class Places:
    """The place of every training sample."""

    pieces: Mapping[str, int] = field(default_factory=dict)
    """Sample id -> number of its piece; samples that it lacks belong to piece 0."""
    slices: Slices = Slices()

    def of(self, sample_id: str, user: str) -> Place:
        """Of one sample, by its id and its user's."""
        return Place(self.pieces.get(sample_id, 0), self.slices.of(user))
