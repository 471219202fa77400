"""What the additions of a run say of each row; pure numpy."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from recbole_apa.core.errors import RunError
from recbole_apa.data.index.facts import Addition


def added_at(since: np.ndarray, additions: Sequence[Addition]) -> np.ndarray | None:
    """Position in the ledger of the addition that brought each row, (n,), int32, 0 for rows of the data files; None if
    there were no additions.

    Args:
        since: :attr:`~recbole_apa.data.index.rows.IndexRows.since`, (n,).
        additions: of the run, in order.

    Raises:
        RunError: a row is of an addition that is not among them.
    """
    if not additions:
        return None
    return _of_each(since, [addition.position for addition in additions])


def pieces_of(since: np.ndarray, additions: Sequence[Addition]) -> np.ndarray:
    """Number of the piece that a sample of each row is trained in, (n,), int32; arguments as in :func:`added_at`."""
    return _of_each(since, [addition.piece for addition in additions])


def _of_each(since: np.ndarray, numbers: Sequence[int]) -> np.ndarray:
    if len(since) and not (since.min() >= 0 and since.max() <= len(numbers)):
        raise RunError(
            f"the run's index has a row of addition {since.max() if since.min() >= 0 else since.min()}, and lists "
            f"{len(numbers)} additions; restore the run from a copy"
        )
    return np.array([0, *numbers], dtype=np.int32)[since]


def in_one_piece(additions: Sequence[Addition]) -> tuple[Addition, ...]:
    """The additions after split and draw were made anew: their samples are trained with all others."""
    return tuple(replace(addition, piece=0) for addition in additions)


def next_piece(additions: Sequence[Addition]) -> int:
    """The number of the piece that the samples of a further addition are trained in."""
    return 1 + max((addition.piece for addition in additions), default=0)
