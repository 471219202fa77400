"""What requests named, stored only as keyed digests: nothing here identifies anybody without the key."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from recbole_apa.core.seeding import digest_of
from recbole_apa.data.samples import Interactions, time_texts
from recbole_apa.data.tokens import Tokens
from recbole_apa.evidence.key import Key

USER, ITEM, PAIR, ROW = "user", "item", "pair", "row"
"""What a request may name: all of a user's rows, all of an item's, all of a user's on one item, or one row."""
PARTLY = "partly"
"""Marks users with rows hidden by pair or row: only their rows are hashed one by one."""
LATEST = int(np.iinfo(np.int32).max)
"""The position of a request that is not in the ledger yet: after everything that is."""


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
    """The requests under one key.

    A request hides what the run had when it was made. A row that was added later, although its name had been forgotten,
    is visible until another request names it.
    """

    digester: Digester = Digester()
    rows: frozenset[str] = frozenset()
    """Digests of the keys of the rows they matched: used to recognise traces, not to hide rows."""
    scopes: frozenset[str] = frozenset()
    """:func:`digests_of` the scopes named: these hide rows."""
    old_rows: frozenset[str] = frozenset()
    """Digests of the row keys of requests from before run format 3, which had no scopes."""
    old_names: frozenset[str] = frozenset()
    """Digests of ``"user NAME"`` and the like in those requests; a pair's covers every row they found."""
    since: Mapping[str, int] = field(default_factory=dict, hash=False)
    """Digest -> position in the ledger of the last request with it; one that is not in it is of a request that is not
    in the ledger yet."""

    def joined(self, *others: "Forgotten") -> "Forgotten":
        """The requests of all, which share a key."""
        since: dict[str, int] = {}
        for part in (self, *others):
            for digest, position in part.since.items():
                since[digest] = max(position, since.get(digest, 0))
        for part in (self, *others):
            for digest in part._all - part.since.keys():
                since.pop(digest, None)
        return replace(
            self,
            rows=self.rows.union(*(other.rows for other in others)),
            scopes=self.scopes.union(*(other.scopes for other in others)),
            old_rows=self.old_rows.union(*(other.old_rows for other in others)),
            old_names=self.old_names.union(*(other.old_names for other in others)),
            since=since,
        )

    @property
    def _all(self) -> frozenset[str]:
        return self.rows | self.scopes | self.old_rows | self.old_names

    def last(self, digest: str) -> int:
        """Position in the ledger of the last request with one of these digests."""
        return self.since.get(digest, LATEST)

    def visible(self, rows: Interactions, once_a_pair: bool, added: np.ndarray | None = None) -> np.ndarray:
        """Which rows no request hides, (n,), bool.

        Args:
            rows: all rows of the dataset's files, before any filter.
            once_a_pair: whether a filter left one row per pair, so that requests from before run format 3 could only
                mean the whole pair.
            added: position in the ledger of the addition that brought each row, (n,), 0 for rows of the dataset's
                files; None if none were added.
        """
        out = np.ones(len(rows), dtype=bool)
        if self.scopes:
            out &= ~_hidden(rows.users, lambda name: self._last(self.scopes, USER, name), added)
            out &= ~_hidden(rows.items, lambda name: self._last(self.scopes, ITEM, name), added)
            some = _hidden(rows.users, lambda name: self._last(self.scopes, PARTLY, name), added)
            partly = np.flatnonzero(out & some)
            last = np.array([self._last_of_row(*names) for names in _names_of(rows, partly)], dtype=np.int32)
            out[partly] = last <= (0 if added is None else added[partly])
        if self.old_rows:
            out &= self._visible_to_old(rows, once_a_pair, added)
        return out

    def naming(self, rows: Interactions) -> frozenset[str]:
        """The digests of all that requests named, or found, and that is named by rows."""
        out: set[str] = set()
        named = [(user, item, time) for user, item, time in _names_of(rows, np.arange(len(rows)))]
        for user, item, time in dict.fromkeys(named):
            told = [(USER, user), (ITEM, item), (PAIR, user, item), (ROW, user, item, time)]
            old = [f"{USER} {user}", f"{ITEM} {item}", f"{PAIR} {user} {item}"]
            out |= {self.digester.of(*names) for names in told} | {self.digester.of(name) for name in old}
        out |= {self.digester.of(key) for _, keys in rows.key_chunks(np.arange(len(rows))) for key in keys}
        return frozenset(out) & self._all

    def _last(self, among: frozenset[str], *names: str) -> int:
        """As :meth:`last`; 0 if no request named this."""
        digest = self.digester.of(*names)
        return self.last(digest) if digest in among else 0

    def _last_of_row(self, user: str, item: str, time: str) -> int:
        return max(self._last(self.scopes, PAIR, user, item), self._last(self.scopes, ROW, user, item, time))

    def _visible_to_old(self, rows: Interactions, once_a_pair: bool, added: np.ndarray | None) -> np.ndarray:
        """As :meth:`visible`, for requests from before run format 3."""
        out = ~_hidden(rows.users, lambda name: self._last_named(USER, name), added)
        out &= ~_hidden(rows.items, lambda name: self._last_named(ITEM, name), added)
        for chunk, keys in rows.key_chunks(np.flatnonzero(out)):
            pairs = zip(rows.users.texts(chunk), rows.items.texts(chunk), strict=True)
            last = [
                max(self._last(self.old_rows, key), self._last_named(PAIR, f"{user} {item}") if once_a_pair else 0)
                for key, (user, item) in zip(keys, pairs, strict=True)
            ]
            out[chunk] = np.array(last, dtype=np.int32) <= (0 if added is None else added[chunk])
        return out

    def _last_named(self, kind: str, name: str) -> int:
        return self._last(self.old_names, f"{kind} {name}")


def _hidden(names: Tokens, last: Callable[[str], int], added: np.ndarray | None) -> np.ndarray:
    """Which rows came before the last request that named their user, or item, (n,), bool.

    Args:
        names: a column of n rows.
        last: a name -> the request's position in the ledger, 0 if there is none.
        added: as in :meth:`Forgotten.visible`.
    """
    positions = np.array([last(name) for name in names.names], dtype=np.int32)
    return (positions > 0)[names.codes] if added is None else positions[names.codes] > added


def _names_of(rows: Interactions, which: np.ndarray) -> Iterator[tuple[str, str, str]]:
    times = [""] * len(which) if rows.times is None else time_texts(rows.times[which])
    return zip(rows.users.texts(which), rows.items.texts(which), times, strict=True)
