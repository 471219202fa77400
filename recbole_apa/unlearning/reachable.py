"""A check before every certificate: is anything of what was asked for still within a run's reach?

It looks at what the run would learn from (rows, targets, histories), and not through what hides rows
(:meth:`~recbole_apa.data.view.DataView.visible`): a row counts if a request found it in the raw files, or if its user
or item was named. So a fault in the hiding does not certify itself; one in the look-up of requests would not be seen.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from recbole_apa.data.samples import Interactions, Sample
from recbole_apa.data.splits import SPLITS
from recbole_apa.data.tokens import Tokens
from recbole_apa.data.view import DataView
from recbole_apa.errors import CertificateError


def refuse_reachable(dataset: Any, view: DataView) -> None:
    """
    Args:
        dataset: of the data without what was asked for.
        view: what was asked for, now and before.

    Raises:
        CertificateError: a row of it can be reached.
    """
    found = reachable(dataset, view)
    if found:
        raise CertificateError(
            f"what was asked to be forgotten is still there ({'; '.join(found)}): nothing is certified, and the run "
            "stays as it was; this is a fault of the program: please report it"
        )


def reachable(dataset: Any, view: DataView) -> list[str]:
    """Where rows of what was asked for can be reached, in words; empty where they cannot."""
    if not view.row_digests:
        return []
    rows: Interactions = dataset.interactions
    users, items = _named(view, "user", rows.users), _named(view, "item", rows.items)
    n = int((users[rows.users.codes] | items[rows.items.codes] | _found_before(view, rows)).sum())
    out = [f"{n} rows of the data"] if n else []
    names = _Names(view, rows, users, items)
    for split in SPLITS:
        samples: list[Sample] = dataset.splits[split]
        n_targets = names.count((s.user_id, s.item_id, s.sample_id) for s in samples)
        n_shown = names.count((s.user_id, e.item_id, e.interaction_id) for s in samples for e in s.history)
        if n_targets or n_shown:
            out.append(f"{n_targets} targets and {n_shown} history entries of the {split} samples")
    return out


class _Names:
    """Looks samples up by what they name."""

    def __init__(self, view: DataView, rows: Interactions, users: np.ndarray, items: np.ndarray) -> None:
        self.view = view
        self.users = {name for name, hit in zip(rows.users.names, users, strict=True) if hit}
        self.items = {name for name, hit in zip(rows.items.names, items, strict=True) if hit}

    def count(self, entries: Iterable[tuple[str, str, str]]) -> int:
        """Entries (user, item, interaction id) of what was asked for."""
        return sum(u in self.users or i in self.items or self._was_found(name) for u, i, name in entries)

    def _was_found(self, interaction_id: str) -> bool:
        head, mark, nth = interaction_id.rpartition("#")
        # the second of two rows that are alike; tokens that hold the mark have it encoded, but in old runs
        is_second = mark and nth.isdigit() and not self.view.plain_ids
        return self.view.hides(head if is_second else interaction_id)


def _named(view: DataView, kind: str, column: Tokens) -> np.ndarray:
    """Which users, or items, were named, by name, bool."""
    out = np.zeros(len(column.names), dtype=bool)
    for part in view.forgotten:
        out |= [
            part.digester.of(kind, name) in part.scopes or part.digester.of(f"{kind} {name}") in part.old_names
            for name in column.names
        ]
    return out


def _found_before(view: DataView, rows: Interactions) -> np.ndarray:
    """Which rows a request found when it was taken, (n,), bool."""
    keys = (key for _, part in rows.key_chunks(np.arange(len(rows))) for key in part)
    return np.fromiter((view.hides(key) for key in keys), dtype=bool, count=len(rows))
