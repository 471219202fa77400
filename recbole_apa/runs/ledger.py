"""``ledger.jsonl``: what was requested of a run and what was done, one line each, chained by digests.

A line counts once it is whole and on disk. What a power loss leaves of an unfinished line does not count: it was never
acknowledged, and the next write cuts it off.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from recbole_apa.core.errors import RunError
from recbole_apa.core.files.line_endings import LINE_ENDINGS
from recbole_apa.core.files.plain import read_plain
from recbole_apa.core.files.whole import write_bytes
from recbole_apa.core.seeding import digest_of
from recbole_apa.data.forgotten import Digester, Forgotten
from recbole_apa.data.visible_data import VisibleData
from recbole_apa.evidence import KeyRing
from recbole_apa.runs.counted import adds_up
from recbole_apa.runs.ledger_lines import (
    ACTS,
    ADDED,
    CHECK,
    DONE,
    REQUEST,
    carried_out,
    check_of,
    is_as_written,
    line_of,
    parse_line,
)
from recbole_apa.runs.manifest import Manifest
from recbole_apa.runs.names import KEY, LEDGER, PENDING
from recbole_apa.runs.storage import Storage, storage_of
from recbole_apa.runs.store import MANIFEST, RunStore, knows_no_scopes


@dataclass(frozen=True)
class Entry:
    """One line."""

    position: int
    """1, 2, 3, ..."""
    kind: str
    time: str
    """UTC, ISO 8601."""
    content: Mapping[str, Any]
    digest: str
    """SHA-256 of the line."""


class _Read(NamedTuple):
    """Whole lines, and what was read of them; the entries' contents are not to be changed."""

    lines: bytes
    entries: tuple[Entry, ...]
    checked: bool
    """Whether the last line has a digest of itself."""


_NOTHING, _MOST = _Read(b"", (), False), 4
_read_before: dict[str, _Read] = {}
"""Origin of a ledger -> what was read of it: every request reads all lines several times. Others are read anew."""


class Ledger:
    """The ledger of one run.

    Args:
        place: where the run's files are.
        salt: the run's; the first line is chained to it, so that another run's ledger is rejected.
    """

    def __init__(self, place: Path | Storage, salt: str) -> None:
        self._storage = storage_of(place)
        self.path = self._storage.folder / LEDGER
        self.origin = digest_of("ledger", salt).hex()
        """The digest that the first line follows."""

    def entries(self) -> list[Entry]:
        """All whole lines.

        Raises:
            RunError: a line was changed, removed or inserted.
        """
        return self._read()[0]

    def requests(self) -> list[Entry]:
        """The requests, oldest first."""
        return [e for e in self.entries() if e.kind == REQUEST]

    def additions(self) -> list[Entry]:
        """The additions, oldest first."""
        return [e for e in self.entries() if e.kind == ADDED]

    def waiting(self) -> list[Entry]:
        """Requests and additions that were accepted, and what was caught up with, but not yet carried out."""
        return _waiting(self.entries())

    def head(self) -> str:
        """Digest of the last line: a copy kept elsewhere can prove later that nothing before it was changed."""
        entries = self.entries()
        return entries[-1].digest if entries else self.origin

    def append(self, kind: str, content: Mapping[str, object]) -> Entry:
        """Add a line; it is on disk, or in the store, when this returns. The caller holds the run's lock."""
        entries, whole = self._read()
        position, previous = len(entries) + 1, entries[-1].digest if entries else self.origin
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        value = {"position": position, "kind": kind, "time": now, "previous": previous, **content}
        value[CHECK] = check_of(value)
        line = line_of(value)
        self._write(whole + line, kind)
        self._storage.publish()
        return Entry(position, kind, now, value, hashlib.sha256(line).hexdigest())

    def _write(self, lines: bytes, kind: str) -> None:
        """Like every other file, written whole as a new file, so that a copy made of hard links does not change.

        Raises:
            RunError: it cannot be written, or may not survive a power loss.
        """
        try:
            write_bytes(self.path, lines)
        except RunError as error:
            if self.path.is_file() and self.path.read_bytes() == lines:
                raise RunError(f"{error}; the line is in {LEDGER} nevertheless: resume with --resume") from error
            what = {REQUEST: "; the request was not accepted", ADDED: "; nothing was added"}.get(kind, "")
            raise RunError(f"{error}{what}") from error

    def _read(self) -> tuple[list[Entry], bytes]:
        """The entries, and their lines' bytes."""
        text = read_plain(self.path) if os.path.lexists(self.path) else b""
        whole = text[: text.rfind(b"\n") + 1]
        before = _read_before.get(self.origin, _NOTHING)
        if not whole.startswith(before.lines):
            before = _NOTHING
        new = whole[len(before.lines) :]
        if b"\r" in new:  # JSON written here has none
            raise RunError(f"{self._storage.shown(self.path)}{LINE_ENDINGS}")
        entries, checked = list(before.entries), before.checked
        for number, line in enumerate(new.splitlines(keepends=True), start=len(entries) + 1):
            previous = entries[-1].digest if entries else self.origin
            value = parse_line(line)
            follows = value is not None and value.get("previous") == previous and value.get("position") == number
            if value is None or not follows or not is_as_written(value, line, checked):
                raise RunError(
                    f"{self._storage.shown(self.path)}, line {number}: it does not follow from the line before; the "
                    "ledger was changed after it was written: restore it from a copy"
                )
            checked = CHECK in value
            entries.append(Entry(number, value["kind"], value["time"], value, hashlib.sha256(line).hexdigest()))
        if len(_read_before) >= _MOST:
            _read_before.clear()
        _read_before[self.origin] = _Read(whole, tuple(entries), checked)
        return entries, whole


def _waiting(entries: Iterable[Entry]) -> list[Entry]:
    """Lines of a kind among :data:`ACTS` that no line closes."""
    known = list(entries)
    done = {position for e in known if e.kind == DONE for position in carried_out(e.content)}
    return [e for e in known if e.kind in ACTS and e.position not in done]


def served_by(manifest: Manifest, entries: Iterable[Entry]) -> list[Entry]:
    """Which requests and additions a state includes. Runs before format 3 record only a request's position, which
    another may have if the ledger was shortened."""
    served, by_position = set(manifest.get("served_requests", [])), knows_no_scopes(manifest)
    return [e for e in entries if e.digest in served or (by_position and e.position in served)]


class Request(Protocol):
    """A request to forget: a line of the ledger, or one that is not written yet."""

    @property
    def content(self) -> Mapping[str, Any]:
        """``interactions``: digests of the keys of the rows found; ``hides``: digests of what was named; ``key``: the
        name of both digests' key, missing before run format 4; ``exactness``, ``method``; ``position``, of a line of
        the ledger. Lines from before run format 3 have ``names`` instead of ``hides``."""
        ...


def digester_of(content: Mapping[str, Any], salt: str, ring: KeyRing) -> Digester:
    """How a line's digests were made.

    Raises:
        KeyFileError: the ring does not have its key.
    """
    name = content.get(KEY)
    return Digester(salt, ring.key(name) if name else None)


def visible_without(requests: Iterable[Request], salt: str, ring: KeyRing, recognises: bool = True) -> VisibleData:
    """What requests hide.

    Args:
        salt: the run's.
        recognises: whether it also has the digests of the rows that they found, to recognise traces of them.

    Raises:
        KeyFileError: the ring does not have the key of one of them.
    """
    groups: dict[Digester, list[Forgotten]] = {}
    for content in (r.content for r in requests):
        digester, is_old = digester_of(content, salt, ring), "hides" not in content
        rows = frozenset(content["interactions"] if recognises or is_old else ())
        names = frozenset(content["names"] if is_old else content["hides"])
        position = content.get("position")
        since = {} if position is None else dict.fromkeys(rows | names, position)
        if is_old:
            part = Forgotten(digester, rows, old_rows=rows, old_names=names, since=since)
        else:
            part = Forgotten(digester, rows, names, since=since)
        groups.setdefault(digester, []).append(part)
    return VisibleData(tuple(first.joined(*others) for first, *others in groups.values()))


def manifest_digest(content: Mapping[str, Any], store: RunStore, ring: KeyRing) -> str:
    """The digest of the manifest as recorded in a line of the kind ``done``: keyed, because it depends on the data at
    the time, and outlives later requests.

    Raises:
        RunError: the line names no key although the run has one: anybody can make a plain digest of another manifest.
    """
    digest, name = store.manifest_digest(), content.get(KEY)
    if not name and store.manifest().get(KEY):
        raise RunError(f"{store.place}: the last line of {LEDGER} names no key, but the run has one: restore the run")
    return ring.key(name).keyed(digest) if name else digest


def refuse_gap(store: RunStore, ring: KeyRing) -> None:
    """Check that the ledger matches the manifest: its requests add up to what the manifest says is forgotten, and the
    manifest was not changed since the last of them.

    Raises:
        KeyFileError: the run's key is not in the ring.
        RunError: no match; a request would make a lost line, or an edited manifest, look like what was certified.
    """
    manifest = store.manifest()
    entries = Ledger(store.storage, manifest["salt"]).entries()
    done = [e for e in entries if e.kind == DONE]
    waiting = _waiting(entries)
    late = served_by(manifest, waiting)
    open_still = {e.position for e in waiting} - {e.position for e in late}
    reached = [e for e in entries if e.kind in ACTS and e.position not in open_still]
    if not adds_up(manifest, reached):
        raise RunError(
            f"{store.place}: the requests in {LEDGER} do not add up to what {MANIFEST} says is forgotten; lines were "
            "lost, or the manifest was edited: restore both from a copy"
        )
    if done and not late and done[-1].content.get("manifest") != manifest_digest(done[-1].content, store, ring):
        raise RunError(
            f"{store.place}: {MANIFEST} was changed after the last request or addition was carried out: restore it "
            "from a copy"
        )


def refuse_pending(store: RunStore, allow: bool = False) -> None:
    """
    Args:
        allow: use the old state while a request waits; a state that is half old, half new is never allowed.

    Raises:
        RunError: a request is waiting; the state still contains what is to be forgotten.
    """
    finish = f"finish with --run={store.place} --resume"
    waiting = Ledger(store.storage, store.manifest()["salt"]).waiting()
    if RunStore(store.folder / PENDING).is_ready():
        raise RunError(
            f"{store.place}: a new state is only half in place, by a process that is running or was killed; {finish}"
        )
    if waiting and not allow:
        first = waiting[0]
        n_rows = len(first.content["interactions"]) if first.kind == REQUEST else first.content.get("n_rows", 0)
        what = "request(s)" if all(e.kind == REQUEST for e in waiting) else "request(s) and additions"
        raise RunError(
            f"{store.place}: {len(waiting)} {what} waiting to be carried out (line {first.position} of the ledger, "
            f"received {first.time}, {n_rows} interactions); {finish}, or use the old state with --allow_pending"
        )
