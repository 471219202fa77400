"""What must no longer be found: rows of the raw files, given by requested names or by keyed digests."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np

from recbole_apa.evidence.search.raw_rows import RawRows

LATEST = 2**31 - 1
"""The position of a request that is not in the ledger yet: after every addition."""
_WORDS = str.maketrans({"%": "%25", ":": "%3A", "#": "%23"})


class Name(NamedTuple):
    """One thing that a request named: a user, an item, or both, at any time or at one."""

    user: str | None = None
    item: str | None = None
    time: float | None = None


@dataclass(frozen=True)
class Sought:
    """Whom and what to look for."""

    users: frozenset[str] = frozenset()
    """Users with no row allowed to remain."""
    items: frozenset[str] = frozenset()
    """Items with no row allowed to remain."""
    keys: frozenset[str] = frozenset()
    """``user:item:time`` of every sought row, or ``user:item`` if there are no times, as in ids; without those that
    rows have which may remain."""
    some: frozenset[str] = frozenset()
    """Users of whom only some rows are sought."""
    plain: bool = False
    """Whether ids are written as in runs before format 3."""
    both: Mapping[str, int] = field(default_factory=dict)
    """Keys of sought rows that rows added later have as well -> position in the ledger of the last request for them:
    only rows from before that are sought."""

    def __or__(self, other: "Sought") -> "Sought":
        keys = self.keys | other.keys
        shared = (self.both.keys() | other.both.keys()) - keys
        return Sought(
            self.users | other.users,
            self.items | other.items,
            keys,
            self.some | other.some,
            self.plain or other.plain,
            {key: max(self.both.get(key, 0), other.both.get(key, 0)) for key in shared},
        )

    def __bool__(self) -> bool:
        return bool(self.users or self.items or self.keys or self.both)

    def has_row(self, user: str, item: str, time: float | None, added: int = 0) -> bool:
        """Whether a row of the data is sought.

        Args:
            added: position in the ledger of the addition that brought it; 0 for a row of the files.
        """
        if user in self.users or item in self.items:
            return True
        if user not in self.some:
            return False
        key = key_of(user, item, time, self.plain)
        return key in self.keys or self.both.get(key, 0) > added

    def has_id(self, interaction_id: str) -> bool:
        """Whether an id, of a sample or in a history, belongs to a sought row."""
        head, mark, nth = interaction_id.rpartition("#")
        return interaction_id in self.keys or bool(mark and nth.isdigit() and head in self.keys)


def key_of(user: str, item: str, time: float | None, plain: bool) -> str:
    """An interaction's key as contained in ids.

    Args:
        plain: as in runs before format 3.
    """
    end = "" if time is None else f":{_time_text(time)}"
    return f"{user}:{item}{end}" if plain else f"{user.translate(_WORDS)}:{item.translate(_WORDS)}{end}"


def named(raw: RawRows, names: Sequence[Name], plain: bool = False) -> Sought:
    """The rows of the raw files that the names mean.

    Args:
        plain: whether the run's ids are written as before format 3.
    """
    users = {n.user for n in names if n.user is not None and n.item is None}
    items = {n.item for n in names if n.item is not None and n.user is None}
    pairs: dict[tuple[str, str], list[float | None]] = {}
    for name in names:
        if name.user is not None and name.item is not None:
            pairs.setdefault((name.user, name.item), []).append(name.time)
    some = {user for user, _ in pairs}

    def of_row(user: str, item: str, time: float | None) -> int:
        is_asked = any(wanted is None or time is None or wanted == time for wanted in pairs.get((user, item), ()))
        return LATEST if is_asked else 0

    def among(known: set[str]) -> Callable[[Sequence[str]], Iterable[int]]:
        return lambda names: (LATEST if name in known else 0 for name in names) if known else repeat(0, len(names))

    found = _sought(raw, [_Asked(among(users), among(items), among(some), of_row)], plain)
    # what the files do not have is sought as well: in exports, in what a run recorded
    return replace(found, users=found.users | users, items=found.items | items, some=found.some | some)


def recognised(
    raw: RawRows,
    lines: Iterable[Mapping[str, Any]],
    salt: str,
    secret: Callable[[str], bytes],
    once_a_pair: bool = False,
    plain: bool = False,
) -> Sought:
    """The rows of the raw files that the lines of a ledger mean, without knowing the names.

    Args:
        lines: requests, with ``hides`` (or ``names`` and ``interactions``, in runs before format 3), ``key`` and, if
            they are in the ledger, ``position``.
        salt: the run's salt.
        secret: key name -> the key's secret.
        once_a_pair: whether a pair named in a line from before run format 3 means all its rows.
    """
    asked: list[_Asked] = []
    groups: dict[str | None, list[Mapping[str, Any]]] = {}
    for line in lines:
        groups.setdefault(line.get("key"), []).append(line)
    for key, group in groups.items():
        digest = _Digest(salt, secret(key) if key else None)
        scopes = _positions(group, "hides")
        if scopes:
            asked.append(_by_scopes(digest, scopes))
        old = [line for line in group if "hides" not in line]
        if old:
            plain = True  # every run with such a line writes ids like that
            asked.append(_by_rows(digest, _positions(old, "names"), _positions(old, "interactions"), once_a_pair))
    return _sought(raw, asked, plain)


def count(raw: RawRows, sought: Sought) -> int:
    """How many rows of the raw files, or of the index, are sought."""
    of_users, of_some = (_among(raw.user_names, names)[raw.users] for names in (sought.users, sought.some))
    whole = of_users | _among(raw.item_names, sought.items)[raw.items]
    single = np.flatnonzero(~whole & of_some)
    added = [0] * len(single) if raw.added is None else raw.added[single].tolist()
    found = (sought.has_row(*raw.row(row), at) for row, at in zip(single.tolist(), added, strict=True))
    return int(whole.sum()) + sum(found)


def _among(names: Sequence[str], wanted: frozenset[str]) -> np.ndarray:
    return np.array([name in wanted for name in names], dtype=bool)


def _positions(lines: Iterable[Mapping[str, Any]], part: str) -> dict[str, int]:
    """Digest -> position of the last line with it. A request that is not in the ledger yet has none: it is the last."""
    last: dict[str, int] = {}
    for line in lines:
        for digest in line.get(part, ()):
            last[digest] = max(last.get(digest, 0), line.get("position", LATEST))
    return last


class _Digest:
    """SHA-256 of parts with their lengths, and BLAKE2b of it with the key: the formulas of docs/threat-model.md."""

    def __init__(self, salt: str, secret: bytes | None) -> None:
        self._start = hashlib.sha256(b"".join(map(_part, ("forgotten", salt))))
        self._keyed = None if secret is None else hashlib.blake2b(digest_size=32, key=secret)

    def of(self, *names: str) -> str:
        *head, last = names
        return next(self.each(head, [last]))

    def each(self, head: Sequence[str], names: Iterable[str]) -> Iterator[str]:
        """The digest of ``head`` and one of the names, for each of them: what they share is hashed once."""
        start, blank = self._start.copy(), self._keyed
        start.update(b"".join(map(_part, head)))
        for name in names:
            plain = start.copy()
            plain.update(_part(name))
            if blank is None:
                yield plain.hexdigest()
            else:
                keyed = blank.copy()
                keyed.update(plain.digest())
                yield keyed.hexdigest()


class _Asked(NamedTuple):
    """For each of some names, and for a row (user, item, time): position of the last request that named it, 0 if none
    did."""

    users: Callable[[Sequence[str]], Iterable[int]]
    items: Callable[[Sequence[str]], Iterable[int]]
    some: Callable[[Sequence[str]], Iterable[int]]
    """For users: of the last request that named some of their rows."""
    row: Callable[[str, str, float | None], int]
    """Asked for rows of those users alone."""


def _by_scopes(digest: _Digest, scopes: Mapping[str, int]) -> _Asked:
    def last(*names: str) -> int:
        return scopes.get(digest.of(*names), 0)

    def each(kind: str, names: Sequence[str]) -> Iterator[int]:
        return (scopes.get(found, 0) for found in digest.each([kind], names))

    def of_row(user: str, item: str, time: float | None) -> int:
        return max(last("pair", user, item), 0 if time is None else last("row", user, item, _time_text(time)))

    return _Asked(partial(each, "user"), partial(each, "item"), partial(each, "partly"), of_row)


def _sought(raw: RawRows, parts: Sequence[_Asked], plain: bool) -> Sought:
    """What requests asked for: names of whom no row may remain, and the keys of all rows that may not.

    A row that was added after the last request for it may remain, and so may its key.

    Args:
        parts: requests, in groups.
    """
    by_user = _last([part.users for part in parts], raw.user_names)
    by_item = _last([part.items for part in parts], raw.item_names)
    partly = _last([part.some for part in parts], raw.user_names)

    def of_row(row: int) -> int:
        return max((part.row(*raw.row(row)) for part in parts), default=0)

    added = np.zeros(len(raw), dtype=np.int64) if raw.added is None else raw.added
    hidden = np.maximum(by_user[raw.users], by_item[raw.items]) > added
    for row in np.flatnonzero(~hidden & (partly[raw.users] > added)).tolist():
        hidden[row] = of_row(row) > added[row]
    back = [raw.row(row) for row in np.flatnonzero(~hidden & (added > 0)).tolist()]
    gone = np.flatnonzero(hidden).tolist()
    rows = [raw.row(row) for row in gone]
    users = _named(by_user, raw.user_names) - {user for user, _, _ in back}
    items = _named(by_item, raw.item_names) - {item for _, item, _ in back}
    single = {user for user, item, _ in rows if user not in users and item not in items}
    stay, of_key = {key_of(*row, plain) for row in back}, {key_of(*raw.row(row), plain): row for row in gone}
    last = {
        key: (by_user[raw.users[row]], by_item[raw.items[row]], of_row(row))
        for key, row in of_key.items()
        if key in stay
    }
    both = {key: int(max(positions)) for key, positions in last.items()}
    return Sought(users, items, frozenset(of_key.keys() - stay), _named(partly, raw.user_names) | single, plain, both)


def _by_rows(digest: _Digest, names: Mapping[str, int], rows: Mapping[str, int], once_a_pair: bool) -> _Asked:
    """As in run formats before 3, which mark no users: every row is hashed."""

    def last(kind: str, name: str) -> int:
        return names.get(digest.of(f"{kind} {name}"), 0)

    def each(kind: str, found: Sequence[str]) -> Iterator[int]:
        return (last(kind, name) for name in found)

    def of_row(user: str, item: str, time: float | None) -> int:
        of_pair = last("pair", f"{user} {item}") if once_a_pair else 0
        return max(of_pair, rows.get(digest.of(key_of(user, item, time, plain=True)), 0))

    return _Asked(partial(each, "user"), partial(each, "item"), lambda users: repeat(LATEST, len(users)), of_row)


def _last(parts: Sequence[Callable[[Sequence[str]], Iterable[int]]], names: Sequence[str]) -> np.ndarray:
    """Position of the last of all requests for each name, int64, (n,), however they are grouped."""
    last = np.zeros(len(names), dtype=np.int64)
    for positions in parts:
        np.maximum(last, np.fromiter(positions(names), np.int64, len(names)), out=last)
    return last


def _named(positions: np.ndarray, names: Sequence[str]) -> frozenset[str]:
    """The names that a request asked for."""
    return frozenset(names[i] for i in np.flatnonzero(positions).tolist())


def _part(name: str) -> bytes:
    text = name.encode()
    return len(text).to_bytes(8, "big") + text


def _time_text(time: float) -> str:
    return str(int(time)) if time.is_integer() else repr(time)
