"""What must no longer be found: rows of the raw files, given by requested names or by keyed digests."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from recbole_apa.evidence.search.raw_rows import RawRows

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
    """``user:item:time`` of every sought row, or ``user:item`` if there are no times, as in ids."""
    some: frozenset[str] = frozenset()
    """Users of whom only some rows are sought."""
    plain: bool = False
    """Whether ids are written as in runs before format 3."""

    def __or__(self, other: "Sought") -> "Sought":
        return Sought(
            self.users | other.users,
            self.items | other.items,
            self.keys | other.keys,
            self.some | other.some,
            self.plain or other.plain,
        )

    def __bool__(self) -> bool:
        return bool(self.users or self.items or self.keys)

    def has_row(self, user: str, item: str, time: float | None) -> bool:
        """Whether a row of the data is sought."""
        if user in self.users or item in self.items:
            return True
        return user in self.some and key_of(user, item, time, self.plain) in self.keys

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
    users = frozenset(n.user for n in names if n.user is not None and n.item is None)
    items = frozenset(n.item for n in names if n.item is not None and n.user is None)
    pairs: dict[tuple[str, str], list[float | None]] = {}
    for name in names:
        if name.user is not None and name.item is not None:
            pairs.setdefault((name.user, name.item), []).append(name.time)
    some = frozenset(user for user, _ in pairs)

    def is_asked(user: str, item: str, time: float | None) -> bool:
        return any(wanted is None or time is None or wanted == time for wanted in pairs.get((user, item), ()))

    return _sought(raw, Sought(users, items, some=some, plain=plain), is_asked)


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
        lines: requests, with ``hides`` (or ``names`` and ``interactions``, in runs before format 3) and ``key``.
        salt: the run's salt.
        secret: key name -> the key's secret.
        once_a_pair: whether a pair named in a line from before run format 3 means all its rows.
    """
    out = Sought(plain=plain)
    groups: dict[str | None, list[Mapping[str, Any]]] = {}
    for line in lines:
        groups.setdefault(line.get("key"), []).append(line)
    for key, group in groups.items():
        digest = _Digest(salt, secret(key) if key else None)
        scopes = {d for line in group for d in line.get("hides", ())}
        if scopes:
            out |= _by_scopes(raw, digest, scopes, plain)
        old = [line for line in group if "hides" not in line]
        if old:
            names, rows = ({d for line in old for d in line[part]} for part in ("names", "interactions"))
            out |= _by_rows(raw, digest, names, rows, once_a_pair)
    return out


def count(raw: RawRows, sought: Sought) -> int:
    """How many rows of the raw files, or of the index, are sought."""
    whole = _of(raw.users, raw.user_names, sought.users) | _of(raw.items, raw.item_names, sought.items)
    single = np.flatnonzero(~whole & _of(raw.users, raw.user_names, sought.some)).tolist()
    return int(whole.sum()) + sum(sought.has_row(*raw.row(row)) for row in single)


class _Digest:
    """SHA-256 of parts with their lengths, and BLAKE2b of it with the key: the formulas of docs/threat-model.md."""

    def __init__(self, salt: str, secret: bytes | None) -> None:
        self._start = b"".join(map(_part, ("forgotten", salt)))
        self._secret = secret

    def of(self, *names: str) -> str:
        plain = hashlib.sha256(self._start + b"".join(map(_part, names))).digest()
        return (
            plain.hex()
            if self._secret is None
            else hashlib.blake2b(plain, digest_size=32, key=self._secret).hexdigest()
        )


def _by_scopes(raw: RawRows, digest: _Digest, scopes: set[str], plain: bool) -> Sought:
    users = frozenset(name for name in raw.user_names if digest.of("user", name) in scopes)
    items = frozenset(name for name in raw.item_names if digest.of("item", name) in scopes)
    some = frozenset(name for name in raw.user_names if digest.of("partly", name) in scopes)

    def is_hidden(user: str, item: str, time: float | None) -> bool:
        if digest.of("pair", user, item) in scopes:
            return True
        return time is not None and digest.of("row", user, item, _time_text(time)) in scopes

    return _sought(raw, Sought(users, items, some=some, plain=plain), is_hidden)


def _sought(raw: RawRows, bare: Sought, is_sought: Callable[[str, str, float | None], bool]) -> Sought:
    """``bare`` with the keys of all rows of its users and items, and of those rows of ``some`` that ``is_sought``."""
    whole = _of(raw.users, raw.user_names, bare.users) | _of(raw.items, raw.item_names, bare.items)
    single = np.flatnonzero(~whole & _of(raw.users, raw.user_names, bare.some)).tolist()
    rows = [raw.row(row) for row in np.flatnonzero(whole).tolist()]
    rows += [row for row in map(raw.row, single) if is_sought(*row)]
    return replace(bare, keys=frozenset(key_of(*row, bare.plain) for row in rows))


def _by_rows(raw: RawRows, digest: _Digest, names: set[str], rows: set[str], once_a_pair: bool) -> Sought:
    """As in run formats before 3, which mark no users: every row is hashed."""
    users = frozenset(name for name in raw.user_names if digest.of(f"user {name}") in names)
    items = frozenset(name for name in raw.item_names if digest.of(f"item {name}") in names)
    everybody = frozenset(raw.user_names)

    def was_found(user: str, item: str, time: float | None) -> bool:
        if once_a_pair and digest.of(f"pair {user} {item}") in names:
            return True
        return digest.of(key_of(user, item, time, plain=True)) in rows

    return _sought(raw, Sought(users, items, some=everybody, plain=True), was_found)


def _of(numbers: np.ndarray, names: Sequence[str], wanted: frozenset[str]) -> np.ndarray:
    """Which rows have one of the names, bool."""
    if not wanted or not len(numbers):
        return np.zeros(len(numbers), dtype=bool)
    return np.array([name in wanted for name in names], dtype=bool)[numbers]


def _part(name: str) -> bytes:
    text = name.encode()
    return len(text).to_bytes(8, "big") + text


def _time_text(time: float) -> str:
    return str(int(time)) if time.is_integer() else repr(time)
