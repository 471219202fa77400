"""What a run may see of a dataset: the rows that were not forgotten, and the samples it once drew."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from recbole_apa.data.samples import Interactions, Windows
from recbole_apa.data.splits import SPLITS
from recbole_apa.seeding import digest_of


@dataclass(frozen=True)
class DataView:
    """Forgotten interactions are known by salted digest alone, so that nothing here names them.

    The dataset's file may still hold their rows, or may have been cleaned: the view is the same.
    """

    salt: str = ""
    forgotten: frozenset[str] = frozenset()
    """``salted(salt, key)`` of each forgotten interaction."""
    roles: Mapping[str, frozenset[str]] | None = None
    """Split -> ids of the samples drawn when the run was trained; None draws them now. A sample keeps its split
    although the split's boundaries, taken again without the forgotten rows, would lie elsewhere."""
    cutoffs: Mapping[str, str | None] = field(default_factory=dict)
    """Hash cutoffs with which they were drawn."""

    def hides(self, key: str) -> bool:
        """Whether an interaction (:meth:`Interactions.row_key`) is forgotten."""
        return bool(self.forgotten) and salted(self.salt, key) in self.forgotten

    def visible(self, rows: Interactions) -> np.ndarray:
        """Which rows may be seen, (n,), bool."""
        if not self.forgotten:
            return np.ones(len(rows), dtype=bool)
        return np.array([not self.hides(rows.row_key(row)) for row in range(len(rows))], dtype=bool)

    def targets(self, rows: Interactions, windows: Windows, min_history: int) -> dict[str, np.ndarray]:
        """Row numbers of each split's samples, in the order of the users' windows; those whose history has become
        too short are left out, as they are when samples are drawn."""
        assert self.roles is not None
        found: dict[str, list[int]] = {name: [] for name in SPLITS}
        role_of = {sample_id: name for name, ids in self.roles.items() for sample_id in ids}
        for row in windows.order.tolist():
            name = role_of.get(rows.row_id(row))
            if name and windows.n_before[row] >= min_history:
                found[name].append(row)
        return {name: np.array(found[name], dtype=np.int64) for name in SPLITS}


def salted(salt: str, name: str) -> str:
    """SHA-256 of a name with a run's salt: tells whether a name one already holds is meant, and no more."""
    return digest_of("forgotten", salt, name).hex()


def key_of(interaction_id: str) -> str:
    """The key of an interaction id: repeats (``#2``) of an interaction are one thing to a person who asks."""
    head, mark, nth = interaction_id.rpartition("#")
    return head if mark and nth.isdigit() else interaction_id


def content_digest(rows: Interactions, windows: Windows, item_texts: Sequence[str]) -> str:
    """SHA-256 over what a run can see: every interaction with its label, in order, and the items' texts."""
    told = (part for row in windows.order.tolist() for part in (rows.row_id(row), int(rows.labels[row])))
    return digest_of(*told, "items", *sorted(item_texts)).hex()
