"""Rows of the training period in a run's index, counted here without the code that counts collaborative statistics."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from recbole_apa.evidence.search.raw_index import batches, column_values, guarded, index_facts, read_item_names

TRAIN, NO_ROLE = 0, 3
"""Entries of the column ``role``: rows of the training period, and rows of none."""
KEPT = 2
"""In the column ``flags``: the row passes the filters."""


class RawTallies(NamedTuple):
    """Rows of the training period by the number of their item, int64, (m,)."""

    rows: np.ndarray
    likes: np.ndarray
    """Those with the label 1."""
    users: int
    """How many users have such a row."""


def scan_tallies(folder: Path, base: Path | None = None) -> RawTallies:
    """Count the rows of an index that belong to the training period.

    Args:
        base: holds the parts that are not in ``folder``.

    Raises:
        CertificateError: a file is missing or is not what an index consists of.
    """
    return guarded(folder, lambda: _scan(folder, base))


def _scan(folder: Path, base: Path | None) -> RawTallies:
    options, n_items = index_facts(folder)["options"], len(read_item_names(folder))
    least, with_histories = options["label"]["least"], options["samples"]["protocol"] == "tallrec"
    counts, n_users = np.zeros(2 * n_items, dtype=np.int64), 0
    for batch in batches(folder, base):
        roles, flags = column_values(batch["role"], np.int8), column_values(batch["flags"], np.uint8)
        users, items = column_values(batch["user"].indices, np.int32), column_values(batch["item"], np.int32)
        counted = (roles == TRAIN) & (flags & KEPT != 0)
        if with_histories:  # under TALLRec's protocol the other rows of users who have one are counted as well
            counted |= (roles == NO_ROLE) & (flags & KEPT != 0) & np.isin(users, np.unique(users[counted]))
        which = np.flatnonzero(counted)
        if len(which) and not (items[which].min() >= 0 and items[which].max() < n_items):
            raise ValueError(f"an item has a number outside 0 to {n_items - 1}")
        liked = column_values(batch["value"], np.float64)[which] >= least
        counts += np.bincount(2 * items[which].astype(np.int64) + liked, minlength=2 * n_items)
        n_users += len(np.unique(users[which]))
    return RawTallies(counts[::2] + counts[1::2], counts[1::2].copy(), n_users)
