"""The independent check of a new state's collaborative statistics, and what a certificate says about them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from recbole_apa.evidence import Key
from recbole_apa.evidence.search import RawTallies, scan_change, scan_tallies
from recbole_apa.runs.collaborative_files import keeps_statistics, load_sums
from recbole_apa.runs.names import COLLABORATIVE_SUMS, COUNTED, INDEX, KEY
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.checks import refuse_found

SUBTRACTED, ANEW = "subtracted", "counted anew"
"""How statistics lost rows: they were taken out of the sums, or everything that remains was counted again."""

ALL, CHANGES = "all", "changes"
"""What was compared: all rows and their values, or by how much they changed."""


@dataclass(frozen=True)
class StatisticsDone:
    """What became of a run's collaborative statistics; the names are those in certificates."""

    how: str
    rows: Mapping[str, int | None]
    """Rows of the training period that are counted, ``before`` and ``after``; before is None where it was not noted."""
    users: Mapping[str, int | None]
    """Users with such a row."""
    digest: Mapping[str, str | None]
    """Keyed digests of these rows."""
    items_compared: int
    """Items whose number of rows and sum of values (likes, or ratings) were compared with those of the new index."""
    compared: str
    """:data:`ALL` or :data:`CHANGES`."""


def statistics_done(pending: RunStore, before: Mapping[str, Any], key: Key, how: str) -> StatisticsDone | None:
    """Check the sums of a complete new state; None if it keeps none.

    Args:
        pending: the state, with its manifest.
        before: the manifest of the state before.
        key: for digests in the certificate.

    Raises:
        CertificateError: as :func:`refuse_other_sums`.
    """
    manifest: Mapping[str, Any] = pending.manifest()
    if not keeps_statistics(pending.manifest()):
        return None
    # where all rows were looked through, so does the check; else a stream of requests costs what each of them changes
    compared = ALL if how == ANEW or COUNTED not in before or before.get(KEY) != key.name else CHANGES
    n_items = refuse_other_sums(pending, compared)
    was, now = before.get(COUNTED) or {}, manifest[COUNTED]
    digests = {"before": was.get("digest"), "after": now["digest"]}
    return StatisticsDone(
        how,
        {"before": was.get("rows"), "after": now["rows"]},
        {"before": was.get("users"), "after": now["users"]},
        {when: key.keyed(digest) if digest else None for when, digest in digests.items()},
        n_items,
        compared,
    )


def refuse_other_sums(pending: RunStore, compared: str = ALL) -> int:
    """Compare the sums with the rows of the new index, as the check counts them itself.

    Args:
        compared: :data:`CHANGES` takes the sums of the state before as right, and counts only what changed.

    Returns:
        how many items were compared; 0 if the state keeps no statistics.

    Raises:
        CertificateError: of an item the sums have other rows or values, or the manifest has other numbers; or the sums
            cannot be read.
    """
    if not keeps_statistics(pending.manifest()):
        return 0
    told = _told(pending, compared)
    sums, counted = load_sums(pending), pending.manifest()[COUNTED]
    values = "ratings" if _are_ratings(pending) else "likes"
    pairs = {"interactions": (sums["items.n"], told.rows), values: (sums["items.values"], told.values)}
    found = [
        f"{what} of {n} items in {COLLABORATIVE_SUMS} are not those of the index"
        for what, n in {what: _n_other(*pair) for what, pair in pairs.items()}.items()
        if n
    ]
    if (counted["rows"], counted["users"]) != (int(told.rows.sum()), told.users):
        found.append(f"{counted['rows']} rows of {counted['users']} users are noted as counted")
    refuse_found(found)
    return len(told.rows)


def _told(pending: RunStore, compared: str) -> RawTallies:
    """What the sums should be."""
    assert pending.base is not None
    index, before = pending.folder / INDEX, pending.base.folder / INDEX
    ratings = _are_ratings(pending)
    if compared == ALL:
        return scan_tallies(index, before, ratings)
    change, sums = scan_change(index, before, ratings), load_sums(pending.base)
    n_users = pending.base.manifest()[COUNTED]["users"] + change.users
    return RawTallies(sums["items.n"] + change.rows, sums["items.values"] + change.values, n_users)


def _are_ratings(pending: RunStore) -> bool:
    return pending.manifest()["settings"].get("evidence_values", "labels") == "ratings"


def _n_other(found: np.ndarray, expected: np.ndarray) -> int:
    """How many items differ; all if there are not as many."""
    return int((found != expected).sum()) if found.shape == expected.shape else max(len(found), len(expected))
