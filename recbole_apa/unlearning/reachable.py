"""A check before every certificate: is anything of what was asked for still within a run's reach?

It looks at what the run would learn from (rows, targets, histories) and shares no code with what hides rows
(:meth:`~recbole_apa.data.view.DataView.visible`), so that a fault there cannot certify itself.
"""

from collections.abc import Collection, Iterable, Iterator, Set
from typing import Any

import numpy as np

from recbole_apa.data.samples import Interactions, Sample
from recbole_apa.data.splits import SPLITS
from recbole_apa.data.view import ITEM, PAIR, ROW, USER, salted, scope_digest
from recbole_apa.errors import CertificateError
from recbole_apa.seeding import digest_of


def refuse_reachable(dataset: Any, salt: str, hides: Collection[str], keys: Collection[str] = ()) -> None:
    """
    Args:
        dataset: of the data without what was asked for.
        hides: scope digests of what was asked for.
        keys: salted row keys, of requests that know nothing else.

    Raises:
        CertificateError: a row of what was asked for can be reached.
    """
    found = reachable(dataset, salt, set(hides), set(keys))
    if found:
        raise CertificateError(
            f"what was asked to be forgotten is still there ({'; '.join(found)}): nothing is certified, and the run "
            "stays as it was; this is a fault of the program: please report it"
        )


def reachable(dataset: Any, salt: str, hides: Set[str], keys: Set[str] = frozenset()) -> list[str]:
    """Where rows of what was asked for can be reached, in words; empty where they cannot."""
    out = []
    n = _count(_rows(dataset.interactions), salt, hides, keys)
    if n:
        out.append(f"{n} rows of the data")
    for split in SPLITS:
        n_targets = _count(map(_target, dataset.splits[split]), salt, hides, keys)
        n_shown = _count((e for s in dataset.splits[split] for e in _shown(s)), salt, hides, keys)
        if n_targets or n_shown:
            out.append(f"{n_targets} targets and {n_shown} history entries of the {split} samples")
    return out


_Row = tuple[str, str, str]
"""User, item, and the row's key."""


def _count(rows: Iterable[_Row], salt: str, hides: Set[str], keys: Set[str]) -> int:
    known: dict[tuple[str, str], bool] = {}

    def is_hidden(kind: str, name: str) -> bool:
        if (kind, name) not in known:
            known[kind, name] = scope_digest(salt, kind, *((name, None) if kind == USER else (None, name))) in hides
        return known[kind, name]

    n = 0
    for user, item, key in rows:
        named = is_hidden(USER, user) or is_hidden(ITEM, item) or _is_single(salt, user, item, key) & hides
        n += bool(named or (keys and salted(salt, key) in keys))
    return n


def _is_single(salt: str, user: str, item: str, key: str) -> set[str]:
    """Digests under which a request may name this one row."""
    time = key.rpartition(":")[2]
    return {scope_digest(salt, PAIR, user, item), digest_of("forgotten", salt, ROW, user, item, time).hex()}


def _rows(rows: Interactions) -> Iterator[_Row]:
    for part, ids in rows.id_chunks(np.arange(len(rows))):
        yield from zip(rows.users.texts(part), rows.items.texts(part), map(_key, ids), strict=True)


def _target(sample: Sample) -> _Row:
    return sample.user_id, sample.item_id, _key(sample.sample_id)


def _shown(sample: Sample) -> Iterator[_Row]:
    for entry in sample.history:
        yield sample.user_id, entry.item_id, _key(entry.interaction_id)


def _key(interaction_id: str) -> str:
    head, mark, nth = interaction_id.rpartition("#")
    return head if mark and nth.isdigit() else interaction_id
