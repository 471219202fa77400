"""What a run may see of a dataset: the rows not forgotten, and the samples drawn at training time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from recbole_apa.core.seeding import digest_over
from recbole_apa.data.forgotten import Forgotten
from recbole_apa.data.samples import Interactions, Windows
from recbole_apa.data.splits import SPLITS


@dataclass(frozen=True)
class VisibleData:
    """Hides rows by name, before any filter: whatever rows of a forgotten user are in the dataset's file, and whatever
    a filter would let through in place of others. If the file has been cleaned, the same rows are visible.
    """

    forgotten: tuple[Forgotten, ...] = ()
    """One for each key that requests were hashed with."""
    once_a_pair: bool = False
    """Whether a filter left one row per pair (:meth:`Forgotten.visible`)."""
    plain_ids: bool = False
    """Whether ids are as in runs before format 3 (:attr:`Interactions.plain_ids`)."""
    roles: Mapping[str, frozenset[str]] | None = None
    """Split -> ids of the samples drawn when the run was trained; None draws them now. A sample keeps its split
    even if the split's boundaries, recomputed without the forgotten rows, would be elsewhere."""
    cutoffs: Mapping[str, str | None] = field(default_factory=dict)
    """The hash cutoffs they were drawn with."""

    @property
    def row_digests(self) -> frozenset[str]:
        """The digests of all forgotten rows, each under its request's key."""
        return frozenset().union(*(part.rows for part in self.forgotten))

    def hides(self, key: str, added: int = 0) -> bool:
        """Whether an interaction (:meth:`Interactions.row_key`) was forgotten.

        Args:
            added: position in the ledger of the addition that brought it; 0 for one of the dataset's files.
        """
        told = ((part, part.digester.of(key)) for part in self.forgotten)
        return any(digest in part.rows and part.last(digest) > added for part, digest in told)

    def without(self, more: "VisibleData") -> "VisibleData":
        """What is visible after forgetting ``more`` as well."""
        parts = {part.digester: part for part in self.forgotten}
        for part in more.forgotten:
            parts[part.digester] = parts.get(part.digester, Forgotten(part.digester)).joined(part)
        return replace(self, forgotten=tuple(parts.values()))

    def visible(self, rows: Interactions, added: np.ndarray | None = None) -> np.ndarray:
        """Which rows are visible, (n,), bool.

        Args:
            rows: all rows of the dataset's files, before any filter; and those that were added.
            added: as in :meth:`Forgotten.visible`.
        """
        out = np.ones(len(rows), dtype=bool)
        for part in self.forgotten:
            out &= part.visible(rows, self.once_a_pair, added)
        return out

    def targets(self, rows: Interactions, windows: Windows, min_history: int) -> dict[str, np.ndarray]:
        """Row numbers of each split's samples, in the order of the users' windows; those whose history has become
        too short are omitted, as they are when samples are drawn."""
        assert self.roles is not None
        found: dict[str, list[int]] = {name: [] for name in SPLITS}
        role_of = {sample_id: name for name, ids in self.roles.items() for sample_id in ids}
        eligible = windows.order[windows.n_before[windows.order] >= min_history]
        for part, ids in rows.id_chunks(eligible):
            for row, sample_id in zip(part.tolist(), ids, strict=True):
                name = role_of.get(sample_id)
                if name:
                    found[name].append(row)
        return {name: np.array(found[name], dtype=np.int64) for name in SPLITS}


def key_of(interaction_id: str) -> str:
    """The key of an interaction id, without ``#2``: a request does not distinguish repeats of an interaction."""
    head, mark, nth = interaction_id.rpartition("#")
    return head if mark and nth.isdigit() else interaction_id


def last_added(rows: Interactions, added: np.ndarray | None) -> dict[str, int]:
    """Key of a row that was added -> position in the ledger of the last addition that brought one with it.

    Args:
        added: as in :meth:`~recbole_apa.data.forgotten.Forgotten.visible`.
    """
    if added is None:
        return {}
    which = np.flatnonzero(added)
    which = which[np.argsort(added[which], kind="stable")]
    return dict(zip(rows.row_keys(which), added[which].tolist(), strict=True))


def content_digest(rows: Interactions, windows: Windows, item_texts: Sequence[str]) -> str:
    """SHA-256 over what a run before format 4 could see: every interaction with its label, in order, and the item
    texts."""

    def told() -> Iterator[object]:
        for part, ids in rows.id_chunks(windows.order):
            for name, label in zip(ids, rows.labels[part].tolist(), strict=True):
                yield name
                yield label
        yield "items"
        yield from sorted(item_texts)

    return digest_over(told()).hex()
