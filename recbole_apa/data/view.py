"""What a run may see of a dataset: the rows that were not forgotten, and the samples it once drew."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from recbole_apa.data.samples import Interactions, Windows, time_texts
from recbole_apa.data.splits import SPLITS
from recbole_apa.seeding import digest_of, digest_over

USER, ITEM, PAIR, ROW = "user", "item", "pair", "row"
"""What a request may name: all of a user, all of an item, all of a user about an item, one time of that."""
_PARTLY = "partly"
"""Marks a user some of whose rows are hidden by pair or row: only such users' rows are hashed one by one."""


@dataclass(frozen=True)
class DataView:
    """Forgotten users, items and interactions are known by salted digest alone, so that nothing here names them.

    Rows are hidden by name, before any filter: whatever rows of a forgotten user the dataset's file holds, and whatever
    a filter would let through in place of others. The file may also have been cleaned: the view is the same.
    """

    salt: str = ""
    forgotten: frozenset[str] = frozenset()
    """``salted(salt, key)`` of each forgotten interaction: tells a trace of it, and hides nothing."""
    hidden: frozenset[str] = frozenset()
    """:func:`scope_digests` of what was asked for: what hides rows."""
    hidden_keys: frozenset[str] = frozenset()
    """``salted(salt, key)`` of the rows of requests from before run format 3, which knew no scopes."""
    hidden_names: frozenset[str] = frozenset()
    """``salted(salt, "user NAME")`` and the like of those requests; a pair's stands for every row they found."""
    once_a_pair: bool = False
    """Whether a filter left one row a pair, so that those requests could only mean the whole pair."""
    plain_ids: bool = False
    """Whether ids are those of a run before format 3 (:attr:`Interactions.plain_ids`)."""
    roles: Mapping[str, frozenset[str]] | None = None
    """Split -> ids of the samples drawn when the run was trained; None draws them now. A sample keeps its split
    although the split's boundaries, taken again without the forgotten rows, would lie elsewhere."""
    cutoffs: Mapping[str, str | None] = field(default_factory=dict)
    """Hash cutoffs with which they were drawn."""

    def hides(self, key: str) -> bool:
        """Whether an interaction (:meth:`Interactions.row_key`) was forgotten."""
        return bool(self.forgotten) and salted(self.salt, key) in self.forgotten

    def without(self, more: "DataView") -> "DataView":
        """The view once more has been forgotten, too."""
        return replace(
            self,
            forgotten=self.forgotten | more.forgotten,
            hidden=self.hidden | more.hidden,
            hidden_keys=self.hidden_keys | more.hidden_keys,
            hidden_names=self.hidden_names | more.hidden_names,
        )

    def visible(self, rows: Interactions) -> np.ndarray:
        """Which rows may be seen, (n,), bool.

        Args:
            rows: all rows of the dataset's files, before any filter.
        """
        out = np.ones(len(rows), dtype=bool)
        if self.hidden:
            out &= ~self._named(USER, rows.users.names)[rows.users.codes]
            out &= ~self._named(ITEM, rows.items.names)[rows.items.codes]
            partly = np.flatnonzero(out & self._named(_PARTLY, rows.users.names)[rows.users.codes])
            out[partly] = [not self._names_row(*names) for names in _names_of(rows, partly)]
        if self.hidden_keys:
            out &= self._visible_to_old_requests(rows)
        return out

    def _visible_to_old_requests(self, rows: Interactions) -> np.ndarray:
        """As :meth:`visible`, of requests from before run format 3."""
        sides = ((USER, rows.users), (ITEM, rows.items))
        named = [np.array([self._was_named(kind, name) for name in c.names], dtype=bool)[c.codes] for kind, c in sides]
        out = ~(named[0] | named[1])
        for chunk, keys in rows.key_chunks(np.flatnonzero(out)):
            pairs = zip(rows.users.texts(chunk), rows.items.texts(chunk), strict=True)
            out[chunk] = [
                salted(self.salt, key) not in self.hidden_keys
                and not (self.once_a_pair and self._was_named(PAIR, f"{user} {item}"))
                for key, (user, item) in zip(keys, pairs, strict=True)
            ]
        return out

    def _was_named(self, kind: str, name: str) -> bool:
        return salted(self.salt, f"{kind} {name}") in self.hidden_names

    def _named(self, kind: str, names: Sequence[str]) -> np.ndarray:
        return np.array([_digest(self.salt, kind, name) in self.hidden for name in names], dtype=bool)

    def _names_row(self, user: str, item: str, time: str) -> bool:
        return _digest(self.salt, PAIR, user, item) in self.hidden or (
            _digest(self.salt, ROW, user, item, time) in self.hidden
        )

    def targets(self, rows: Interactions, windows: Windows, min_history: int) -> dict[str, np.ndarray]:
        """Row numbers of each split's samples, in the order of the users' windows; those whose history has become
        too short are left out, as they are when samples are drawn."""
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


def scope_digest(
    salt: str, kind: str, user: str | None = None, item: str | None = None, time: float | None = None
) -> str:
    """Digest of one thing that was asked for.

    Args:
        kind: :data:`USER`, :data:`ITEM`, :data:`PAIR` or :data:`ROW`.
    """
    names = [name for name in (user, item) if name is not None]
    if time is not None:
        names += time_texts(np.array([time], dtype=np.float64))
    return _digest(salt, kind, *names)


def scope_digests(
    salt: str, kind: str, user: str | None = None, item: str | None = None, time: float | None = None
) -> set[str]:
    """All that a view keeps of it: :func:`scope_digest`, and the mark of a user some of whose rows are hidden."""
    out = {scope_digest(salt, kind, user, item, time)}
    if kind in (PAIR, ROW):
        assert user is not None
        out.add(_digest(salt, _PARTLY, user))
    return out


def salted(salt: str, name: str) -> str:
    """SHA-256 of a name with a run's salt: tells whether a name one already holds is meant, and no more."""
    return digest_of("forgotten", salt, name).hex()


def key_of(interaction_id: str) -> str:
    """The key of an interaction id: repeats (``#2``) of an interaction are one thing to a person who asks."""
    head, mark, nth = interaction_id.rpartition("#")
    return head if mark and nth.isdigit() else interaction_id


def content_digest(rows: Interactions, windows: Windows, item_texts: Sequence[str]) -> str:
    """SHA-256 over what a run can see: every interaction with its label, in order, and the items' texts."""

    def told() -> Iterator[object]:
        for part, ids in rows.id_chunks(windows.order):
            for name, label in zip(ids, rows.labels[part].tolist(), strict=True):
                yield name
                yield label
        yield "items"
        yield from sorted(item_texts)

    return digest_over(told()).hex()


def _digest(salt: str, kind: str, *names: str) -> str:
    # each part has its length in front: ids that hold colons or blanks cannot be taken for others
    return digest_of("forgotten", salt, kind, *names).hex()


def _names_of(rows: Interactions, which: np.ndarray) -> Iterator[tuple[str, str, str]]:
    times = [""] * len(which) if rows.times is None else time_texts(rows.times[which])
    return zip(rows.users.texts(which), rows.items.texts(which), times, strict=True)
