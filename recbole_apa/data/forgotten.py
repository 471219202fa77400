"""What requests named, stored only as keyed digests: nothing here identifies anybody without the key."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from recbole_apa.core.seeding import digest_of
from recbole_apa.data.samples import Interactions, time_texts
from recbole_apa.evidence.key import Key

USER, ITEM, PAIR, ROW = "user", "item", "pair", "row"
"""What a request may name: all of a user's rows, all of an item's, all of a user's on one item, or one row."""
PARTLY = "partly"
"""Marks users with rows hidden by pair or row: only their rows are hashed one by one."""


@dataclass(frozen=True)
class Digester:
    """Computes digests of names under a run's salt and a key.

    Args:
        salt: the run's salt, stored with the digests.
        key: the secret, stored elsewhere; None for data from before format 4, which used the salt alone.
    """

    salt: str = ""
    key: Key | None = None

    def of(self, *names: str) -> str:
        """The digest in hex. Each part is prefixed with its length, so that ids containing colons or blanks cannot be
        confused."""
        digest = digest_of("forgotten", self.salt, *names).hex()
        return digest if self.key is None else self.key.keyed(digest)


class Scope(NamedTuple):
    """One thing that a request named."""

    kind: str
    user: str | None = None
    item: str | None = None
    time: float | None = None

    def names(self) -> list[str]:
        """The names that are hashed."""
        out = [self.kind, *(name for name in (self.user, self.item) if name is not None)]
        return out if self.time is None else out + time_texts(np.array([self.time], dtype=np.float64))


def digests_of(scopes: Iterable[Scope], digester: Digester) -> frozenset[str]:
    """All that is stored of scopes: each one's digest, and the marks of users with some rows hidden."""
    out = set()
    for scope in scopes:
        out.add(digester.of(*scope.names()))
        if scope.kind in (PAIR, ROW):
            assert scope.user is not None
            out.add(digester.of(PARTLY, scope.user))
    return frozenset(out)


@dataclass(frozen=True)
class Forgotten:
    """The requests under one key."""

    digester: Digester = Digester()
    rows: frozenset[str] = frozenset()
    """Digests of the keys of the rows they matched: used to recognise traces, not to hide rows."""
    scopes: frozenset[str] = frozenset()
    """:func:`digests_of` the scopes named: these hide rows."""
    old_rows: frozenset[str] = frozenset()
    """Digests of the row keys of requests from before run format 3, which had no scopes."""
    old_names: frozenset[str] = frozenset()
    """Digests of ``"user NAME"`` and the like in those requests; a pair's covers every row they found."""

    def joined(self, other: "Forgotten") -> "Forgotten":
        """The requests of both, which share a key."""
        return replace(
            self,
            rows=self.rows | other.rows,
            scopes=self.scopes | other.scopes,
            old_rows=self.old_rows | other.old_rows,
            old_names=self.old_names | other.old_names,
        )

    def visible(self, rows: Interactions, once_a_pair: bool) -> np.ndarray:
        """Which rows no request hides, (n,), bool.

        Args:
            rows: all rows of the dataset's files, before any filter.
            once_a_pair: whether a filter left one row per pair, so that requests from before run format 3 could only
                mean the whole pair.
        """
        out = np.ones(len(rows), dtype=bool)
        if self.scopes:
            out &= ~self._named(USER, rows.users.names)[rows.users.codes]
            out &= ~self._named(ITEM, rows.items.names)[rows.items.codes]
            partly = np.flatnonzero(out & self._named(PARTLY, rows.users.names)[rows.users.codes])
            out[partly] = [not self._names_row(*names) for names in _names_of(rows, partly)]
        if self.old_rows:
            out &= self._visible_to_old(rows, once_a_pair)
        return out

    def _named(self, kind: str, names: Sequence[str]) -> np.ndarray:
        return np.array([self.digester.of(kind, name) in self.scopes for name in names], dtype=bool)

    def _names_row(self, user: str, item: str, time: str) -> bool:
        return self.digester.of(PAIR, user, item) in self.scopes or (
            self.digester.of(ROW, user, item, time) in self.scopes
        )

    def _visible_to_old(self, rows: Interactions, once_a_pair: bool) -> np.ndarray:
        """As :meth:`visible`, for requests from before run format 3."""
        sides = ((USER, rows.users), (ITEM, rows.items))
        named = [np.array([self._was_named(kind, n) for n in c.names], dtype=bool)[c.codes] for kind, c in sides]
        out = ~(named[0] | named[1])
        for chunk, keys in rows.key_chunks(np.flatnonzero(out)):
            pairs = zip(rows.users.texts(chunk), rows.items.texts(chunk), strict=True)
            out[chunk] = [
                self.digester.of(key) not in self.old_rows
                and not (once_a_pair and self._was_named(PAIR, f"{user} {item}"))
                for key, (user, item) in zip(keys, pairs, strict=True)
            ]
        return out

    def _was_named(self, kind: str, name: str) -> bool:
        return self.digester.of(f"{kind} {name}") in self.old_names


def _names_of(rows: Interactions, which: np.ndarray) -> Iterator[tuple[str, str, str]]:
    times = [""] * len(which) if rows.times is None else time_texts(rows.times[which])
    return zip(rows.users.texts(which), rows.items.texts(which), times, strict=True)
