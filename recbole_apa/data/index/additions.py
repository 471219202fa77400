"""What the additions of a run say of each row; pure numpy."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from recbole_apa.data.index.facts import Addition


def added_at(since: np.ndarray, additions: Sequence[Addition]) -> np.ndarray | None:
    """Position in the ledger of the addition that brought each row, (n,), int32, 0 for rows of the data files; None if
    there were no additions.

    Args:
        since: :attr:`~recbole_apa.data.index.rows.IndexRows.since`, (n,).
        additions: of the run, in order.
    """
    if not additions:
        return None
    return np.array([0, *(addition.position for addition in additions)], dtype=np.int32)[since]


def pieces_of(since: np.ndarray, additions: Sequence[Addition]) -> np.ndarray:
    """Number of the piece that a sample of each row is trained in, (n,), int32; arguments as in :func:`added_at`."""
    return np.array([0, *(addition.piece for addition in additions)], dtype=np.int32)[since]


def in_one_piece(additions: Sequence[Addition]) -> tuple[Addition, ...]:
    """The additions after split and draw were made anew: their samples are trained with all others."""
    return tuple(replace(addition, piece=0) for addition in additions)


def next_piece(additions: Sequence[Addition]) -> int:
    """The number of the piece that the samples of a further addition are trained in."""
    return 1 + max((addition.piece for addition in additions), default=0)
