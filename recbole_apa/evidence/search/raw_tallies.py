"""Rows of the training period in a run's index, counted here without the code that counts collaborative statistics."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from recbole_apa.evidence.search.raw_index import (
    batches,
    column_values,
    guarded,
    index_facts,
    part_names,
    read_batch,
    read_item_names,
)

if TYPE_CHECKING:
    import pyarrow as pa

TRAIN, NO_ROLE = 0, 3
"""Entries of the column ``role``: rows of the training period, and rows of none."""
RATING_UNIT = 1024
"""What a rating of 1 counts."""
KEPT = 2
"""In the column ``flags``: the row passes the filters."""


class RawTallies(NamedTuple):
    """Rows of the training period by the number of their item, int64, (m,)."""

    rows: np.ndarray
    values: np.ndarray
    """The sum of their labels, or of their ratings in 1,024ths."""
    users: int
    """How many users have such a row."""


def scan_tallies(folder: Path, base: Path | None = None, ratings: bool = False) -> RawTallies:
    """Count the rows of an index that belong to the training period.

    Args:
        base: holds the parts that are not in ``folder``.
        ratings: whether values are ratings.

    Raises:
        CertificateError: a file is missing or is not what an index consists of.
    """
    return guarded(folder, lambda: _count(folder, batches(folder, base), ratings))


def scan_change(folder: Path, base: Path, ratings: bool = False) -> RawTallies:
    """By how much the parts of an index that are in ``folder`` have more of such rows than those that they replace;
    less is negative.

    Args:
        base: the index before, whose items have the same numbers.
        ratings: whether values are ratings.

    Raises:
        CertificateError: as :func:`scan_tallies`.
    """

    def read() -> RawTallies:
        names = [name for name in part_names(folder) if (folder / "parts" / name).is_file()]
        now, was = (
            _count(folder, (read_batch(of / "parts" / name) for name in names), ratings) for of in (folder, base)
        )
        return RawTallies(now.rows - was.rows, now.values - was.values, now.users - was.users)

    return guarded(folder, read)


def _count(folder: Path, parts: "Iterable[pa.RecordBatch]", ratings: bool) -> RawTallies:
    """
    Args:
        folder: of the index whose options and items these are.
    """
    options, n_items = index_facts(folder)["options"], len(read_item_names(folder))
    least, with_histories = options["label"]["least"], options["samples"]["protocol"] == "tallrec"
    rows, sums, n_users = np.zeros(n_items, dtype=np.int64), np.zeros(n_items, dtype=np.int64), 0
    for batch in parts:
        roles, flags = column_values(batch["role"], np.int8), column_values(batch["flags"], np.uint8)
        users, items = column_values(batch["user"].indices, np.int32), column_values(batch["item"], np.int32)
        counted = (roles == TRAIN) & (flags & KEPT != 0)
        if with_histories:  # under TALLRec's protocol the other rows of users who have one are counted as well
            counted |= (roles == NO_ROLE) & (flags & KEPT != 0) & np.isin(users, np.unique(users[counted]))
        which = np.flatnonzero(counted)
        if len(which) and not (items[which].min() >= 0 and items[which].max() < n_items):
            raise ValueError(f"an item has a number outside 0 to {n_items - 1}")
        given = column_values(batch["value"], np.float64)[which]
        values = np.rint(given * RATING_UNIT) if ratings else (given >= least).astype(np.float64)
        rows += np.bincount(items[which], minlength=n_items)
        # float64 holds sums of whole numbers below 2^53 exactly
        sums += np.bincount(items[which], weights=values, minlength=n_items).astype(np.int64)
        n_users += len(np.unique(users[which]))
    return RawTallies(rows, sums, n_users)
