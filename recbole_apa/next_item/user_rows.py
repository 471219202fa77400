"""A user's states, cut into what each is for.

Shapes: n training rows of the user, d hidden size.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from recbole_apa.core.seeding import hash_order
from recbole_apa.core.system.threads import one_thread
from recbole_apa.next_item.backbone_states import HistoryStates
from recbole_apa.next_item.catalogue import Catalogue
from recbole_apa.next_item.heads import HeadSums, StateGrid
from recbole_apa.next_item.heads.grid import as_numbers
from recbole_apa.next_item.sequences import ReadPass, UserSequence, passes_of

N_SCALE_TEXTS = 256
"""How many item texts the states are scaled by."""


@dataclass(frozen=True)
class UserRows:
    """One user's states, on the grid."""

    sequence: UserSequence
    train_states: Tensor
    """Before the training targets, (n, d + 1), int16."""
    targets: Tensor
    """Columns of the training targets, (n,), int64."""
    held_states: Tensor
    """Before the validation and the test target, or the latter alone, (1 or 2, d + 1), int16."""

    @property
    def valid_state(self) -> Tensor:
        """The state before the validation target, (d + 1,)."""
        return self.held_states[0]

    @property
    def test_state(self) -> Tensor:
        """The state before the test target, (d + 1,)."""
        return self.held_states[-1]

    @property
    def digest(self) -> str:
        """SHA-256 over the states and the targets: a later pass has to give the same before it is subtracted."""
        found = hashlib.sha256(self.train_states.numpy().tobytes())
        found.update(self.held_states.numpy().tobytes())
        found.update(self.targets.numpy().tobytes())
        return found.hexdigest()

    def embedding(self) -> Tensor:
        """The mean of the states before training targets, (d,), float64; n has to be above 0."""
        return as_numbers(self.train_states)[:, :-1].mean(0)


def sums_of(users: Sequence[UserRows], n_items: int, width: int) -> HeadSums:
    """What some users add to the sums of their shard. Of all at once: the sums of each would take as much room as those
    of a shard.

    Args:
        width: d + 1.
    """
    if not users:
        return HeadSums.zero(n_items, width)
    states, targets = (torch.cat(parts) for parts in zip(*((u.train_states, u.targets) for u in users), strict=True))
    return HeadSums.of(states, targets, n_items)


class RowReader:
    """Reads users with the frozen model.

    Args:
        grid: None makes it from the catalogue's texts.
    """

    def __init__(self, states: HistoryStates, catalogue: Catalogue, grid: StateGrid | None = None) -> None:
        self.catalogue = catalogue
        self.states = states
        self.grid = grid or public_grid(states, catalogue)

    def read(
        self, sequences: Sequence[UserSequence], all_rows: bool, step: Callable[[int], None] = lambda n: None
    ) -> Iterator[UserRows]:
        """The rows of some users, in their order.

        Args:
            all_rows: as for :func:`~recbole_apa.next_item.sequences.passes_of`.
            step: called with how many users were read since the last call.
        """
        passes = [passes_of(sequence, self.states.length, all_rows) for sequence in sequences]
        found = self.states.of_many([self.catalogue.texts_of(one.shown) for of_user in passes for one in of_user])
        for sequence, of_user in zip(sequences, passes, strict=True):
            yield self._rows(sequence, of_user, [self.grid.on_grid(next(found)) for _ in of_user])
            step(1)

    def _rows(self, sequence: UserSequence, passes: Sequence[ReadPass], states: Sequence[Tensor]) -> UserRows:
        before = [of_pass[: len(one.targets)] for one, of_pass in zip(passes, states, strict=True)]
        targets = self.catalogue.columns([item for one in passes for item in one.targets])
        held = states[-1][len(passes[-1].targets) :]
        return UserRows(sequence, torch.cat(before), torch.tensor(targets, dtype=torch.int64), held)

    def refuse_long(self, sequences: Sequence[UserSequence], all_rows: bool) -> None:
        """
        Args:
            all_rows: as for :meth:`read`.

        Raises:
            SettingsError: a history has more tokens than the backbone reads.
        """
        passes = (one for sequence in sequences for one in passes_of(sequence, self.states.length, all_rows))
        self.states.refuse_long(self.catalogue.texts_of(one.shown) for one in passes)

    def after(self, items: Sequence[str]) -> Tensor:
        """The state after some items, of which the latest are shown: (d + 1,), on the grid."""
        states = self.states.after_each(self.catalogue.texts_of(items[-self.states.length :]))
        return self.grid.on_grid(states)[-1]


def public_grid(states: HistoryStates, catalogue: Catalogue) -> StateGrid:
    """The grid of the states after single item texts, of items drawn by a hash of their tokens."""
    drawn = hash_order(catalogue.items, 0, "state scale")[:N_SCALE_TEXTS]
    found = torch.cat(list(states.of_many([[catalogue.texts[column]] for column in sorted(drawn)])))
    with one_thread():  # means over the same texts round alike, whatever the number of threads
        return StateGrid.of_texts(found)
