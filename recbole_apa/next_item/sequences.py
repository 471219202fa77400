"""Users' rows as sequences, and what each is for: leave-one-out by user. Pure numpy, independent of RecBole.

A user's history is one training sequence with many targets: an interaction is in one sequence, so in one shard.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from recbole_apa.core.seeding import digest_of
from recbole_apa.data.samples import Interactions


@dataclass(frozen=True)
class UserSequence:
    """A user's items, oldest first, split as RecBole's ``LS: valid_and_test`` splits them: the last is for test, the
    one before for validation, if there are three; of two the last is for test."""

    user: str
    items: tuple[str, ...]

    @property
    def n_held_out(self) -> int:
        """How many at the end are not trained on: 2, or fewer for users with fewer than three items."""
        return min(2, len(self.items) - 1)

    @property
    def trained(self) -> tuple[str, ...]:
        """The items of the training period."""
        return self.items[: len(self.items) - self.n_held_out]

    @property
    def valid(self) -> str | None:
        """The validation target; None for users with fewer than three items."""
        return self.items[-2] if self.n_held_out == 2 else None

    @property
    def test(self) -> str | None:
        """The test target; None for users with one item."""
        return self.items[-1] if self.n_held_out else None

    def shown(self, length: int) -> tuple[str, ...]:
        """What the language model reads, in one pass: the items before the test target, at most ``length`` of them. The
        state after the last predicts the test target, the one before that the validation target, the others the
        training targets."""
        return (self.items[:-1] or self.items)[-length:]

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the user and the items in order."""
        return digest_of("next-item sequence", self.user, *self.items).hex()


def sequences_of(rows: Interactions) -> list[UserSequence]:
    """The users of some rows in order of their names; each one's rows in order of time, rows of equal times (or
    without times) in the order of ``rows``."""
    codes = rows.users.codes
    order = np.argsort(codes, kind="stable") if rows.times is None else np.lexsort((rows.times, codes))
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    items = rows.items.texts(order)
    found = []
    for start, end in zip(starts, [*starts[1:], len(order)], strict=True):
        found.append(UserSequence(rows.users[int(order[start])], tuple(items[start:end])))
    return sorted(found, key=lambda sequence: sequence.user)


@dataclass(frozen=True)
class ReadPass:
    """Items that the language model reads in one pass, oldest first, and what some of its states have to predict."""

    shown: tuple[str, ...]
    targets: tuple[str, ...]
    """The state after ``shown[i]`` predicts the i-th of them."""


def passes_of(sequence: UserSequence, length: int, all_rows: bool) -> list[ReadPass]:
    """The passes of a user, oldest first; the last one ends before the test target (:meth:`UserSequence.shown`).

    Args:
        length: the most items in a pass.
        all_rows: whether the items before those of the last pass are read as well, in passes that do not overlap, so
            that every item of the training period but the first is a target.
    """
    shown = sequence.shown(length)
    last = ReadPass(shown, targets_of(shown, sequence.n_held_out))
    items = sequence.items
    end = len(items[:-1] or items) - len(shown)
    found = []
    while all_rows and end > 0:
        start = max(0, end - length)
        found.append(ReadPass(items[start:end], items[start + 1 : end + 1]))
        end = start
    return [*found[::-1], last]


def n_targets(sequence: UserSequence, length: int, all_rows: bool) -> int:
    """How many training rows a user has."""
    return sum(len(one.targets) for one in passes_of(sequence, length, all_rows))


def targets_of(shown: Sequence[str], n_held_out: int) -> tuple[str, ...]:
    """The training targets among the items of one pass: the state after ``shown[i]`` predicts the i-th of them.

    Args:
        shown: as :meth:`UserSequence.shown`; its last item is for validation if ``n_held_out`` is 2.
    """
    return tuple(shown[1 : len(shown) - max(0, n_held_out - 1)])
