"""The independent check of a new state's collaborative statistics, and what a certificate says about them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from recbole_apa.evidence import Key
from recbole_apa.evidence.search import scan_tallies
from recbole_apa.runs.collaborative_files import keeps_statistics, load_sums
from recbole_apa.runs.names import COLLABORATIVE_SUMS, COUNTED, INDEX
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.checks import refuse_found

SUBTRACTED, ANEW = "subtracted", "counted anew"
"""How statistics lost rows: they were taken out of the sums, or everything that remains was counted again."""


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
    """Items of which rows and likes in the sums were compared with those in the new index."""


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
    n_items = refuse_other_sums(pending)
    was, now = before.get(COUNTED) or {}, manifest[COUNTED]
    digests = {"before": was.get("digest"), "after": now["digest"]}
    return StatisticsDone(
        how,
        {"before": was.get("rows"), "after": now["rows"]},
        {"before": was.get("users"), "after": now["users"]},
        {when: key.keyed(digest) if digest else None for when, digest in digests.items()},
        n_items,
    )


def refuse_other_sums(pending: RunStore) -> int:
    """Compare the sums with the rows of the new index, as the check counts them itself.

    Returns:
        how many items were compared; 0 if the state keeps no statistics.

    Raises:
        CertificateError: of an item the sums have other rows or likes, or the manifest has other numbers; or the sums
            cannot be read.
    """
    if not keeps_statistics(pending.manifest()):
        return 0
    base = pending.base
    told = scan_tallies(pending.folder / INDEX, base.folder / INDEX if base else None)
    sums, counted = load_sums(pending), pending.manifest()[COUNTED]
    pairs = {"interactions": (sums["items.n"], told.rows), "likes": (sums["items.values"], told.likes)}
    found = [
        f"{what} of {n} items in {COLLABORATIVE_SUMS} are not those of the index"
        for what, n in {what: _n_other(*pair) for what, pair in pairs.items()}.items()
        if n
    ]
    if (counted["rows"], counted["users"]) != (int(told.rows.sum()), told.users):
        found.append(f"{counted['rows']} rows of {counted['users']} users are noted as counted")
    refuse_found(found)
    return len(told.rows)


def _n_other(found: np.ndarray, expected: np.ndarray) -> int:
    """How many items differ; all if there are not as many."""
    return int((found != expected).sum()) if found.shape == expected.shape else max(len(found), len(expected))
