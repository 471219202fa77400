"""Check that ledger, certificates and manifest tell the same story."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from recbole_apa.core.errors import APAError, RunError
from recbole_apa.core.files.line_endings import how_changed
from recbole_apa.core.files.plain import read_plain
from recbole_apa.core.files.whole import file_digest, read_json
from recbole_apa.data.index.check import index_problems
from recbole_apa.data.index.places import file_names
from recbole_apa.data.index.read import Index
from recbole_apa.evidence import KeyRing
from recbole_apa.runs.counted import forgets_as_told
from recbole_apa.runs.index_files import with_index_as_one
from recbole_apa.runs.ledger import Entry, Ledger, manifest_digest, served_by
from recbole_apa.runs.ledger_lines import ADDED, CAUGHT_UP, DONE, REQUEST
from recbole_apa.runs.manifest import Manifest
from recbole_apa.runs.names import CERTIFICATES, INCOMING, KEY, LEDGER
from recbole_apa.runs.pinned_run import PinnedStore
from recbole_apa.runs.store import MANIFEST, knows_no_scopes
from recbole_apa.unlearning.additions.incoming_files import kept_incoming

Last = dict[str, tuple[str | None, str | None]]
"""File name -> digest of the file, and the name of that digest's key."""
WAITS = {REQUEST: "request", ADDED: "addition", CAUGHT_UP: "catching up"}
_TOLD = ("request", "files", "removed_outside")
"""The entries of a certificate that are used here."""


def ledger_findings(store: PinnedStore, manifest: Manifest, keys: KeyRing) -> Iterator[str]:
    """Findings about the lines, what they add up to, and the certificates that they name."""
    ledger = Ledger(store.storage, manifest["salt"])
    entries = ledger.entries()
    torn = torn_bytes(ledger.path)
    if torn:
        yield f"{LEDGER} has {torn} bytes after its last line: not a line, or one whose writing was interrupted"
    waiting = ledger.waiting()
    for entry in waiting:
        yield f"the {WAITS[entry.kind]} in line {entry.position} of the ledger waits to be carried out"
    yield from _waiting_rows(store, waiting, manifest, keys)
    done = [e for e in entries if e.kind == DONE]
    if not waiting and not forgets_as_told(manifest, ledger.requests()):
        yield "the manifest does not say of forgotten interactions what the ledger's requests say"
    if done and done[-1].content.get("manifest") != manifest_digest(done[-1].content, store, keys):
        kinds = {"requests": "request", "additions": "addition", "caught_up": "catching up"}
        what = next(told for name, told in kinds.items() if done[-1].content.get(name))
        yield f"{MANIFEST} was changed after the last {what} was carried out"
    if not entries and manifest["forgotten"]:
        yield f"{LEDGER} is missing, although the manifest says that something was forgotten"
    yield from _served(entries, waiting, manifest)
    late = served_by(manifest, waiting)
    yield from _additions(store, [e for e in entries if e.kind == ADDED and (e not in waiting or e in late)])
    known = {name for e in done for name in e.content.get("certificates", {})}
    folder = store.folder / CERTIFICATES
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.name not in known:
            yield f"{CERTIFICATES}/{path.name} is in no line of the ledger"
    requests = {e.position: e for e in ledger.requests()}
    last: Last = {}
    for entry in done:
        if entry.content.get("additions") or entry.content.get("caught_up"):
            last.clear()  # it changed files, and has no certificate; the manifest's digest in the last line covers all
        yield from _certificates(folder, entry, requests, last)
    files = with_index_as_one(manifest["files"])
    for name, (digest, key) in sorted(last.items()):
        there = files.get(name)
        if (keys.key(key).keyed(there) if there and key else there) != digest:
            yield f"{name} is not the file that its last certificate names"


def _served(entries: Sequence[Entry], waiting: Sequence[Entry], manifest: Manifest) -> Iterator[str]:
    """Findings where the manifest names other lines as carried out than the ledger does."""
    if knows_no_scopes(manifest):
        return  # it names positions
    asked = [e for e in entries if e.kind in WAITS]
    known = {e.position for e in [*waiting, *served_by(manifest, asked)]}
    for entry in asked:
        if entry.position not in known:
            what = f"the {WAITS[entry.kind]} in line {entry.position}"
            yield f"{LEDGER} says that {what} was carried out, and {MANIFEST} does not"
    unknown = set(manifest.get("served_requests", [])) - {e.digest for e in asked}
    if unknown and entries:
        yield f"{MANIFEST} names {len(unknown)} requests or additions as carried out that are not in the ledger"


def _waiting_rows(store: PinnedStore, waiting: Sequence[Entry], manifest: Manifest, keys: KeyRing) -> Iterator[str]:
    """Findings where the rows of an addition that waits are not those that its line names."""
    folder = store.folder / INCOMING
    for entry in waiting:
        if entry.kind != ADDED or served_by(manifest, [entry]):
            continue  # once the state is in place, its rows are in the index
        if not all((folder / name).is_file() for name in file_names(1)):
            continue  # reported with the files
        try:
            kept_incoming(store, entry.content["rows"], keys.key(entry.content[KEY]))
        except APAError as error:
            yield str(error)
        else:
            yield from index_problems(Index(folder, store.salt), file_names(1))


def _additions(store: PinnedStore, lines: Sequence[Entry]) -> Iterator[str]:
    """Findings where ledger and index have other additions.

    Args:
        lines: of the additions that led to this state.
    """
    known = store.open_index().facts.about.additions if store.has_index() else ()
    of_index, of_ledger = {a.position: a.rows for a in known}, {e.position: e.content["n_rows"] for e in lines}
    for position in sorted(of_index.keys() | of_ledger.keys()):
        rows, n_rows = of_index.get(position), of_ledger.get(position)
        if rows is None:
            yield f"the addition in line {position} of the ledger is not in the index"
        elif n_rows is None:
            yield f"the index has an addition of line {position} of the ledger, which is none that was carried out"
        elif rows != n_rows:
            yield f"the addition in line {position} of the ledger has {n_rows} interactions, in the index {rows}"


def torn_bytes(path: Path) -> int:
    """The number of bytes after the last whole line."""
    data = read_plain(path) if path.is_file() else b""
    return len(data) - (data.rfind(b"\n") + 1)


def certificate(path: Path) -> dict[str, Any]:
    """What a certificate says.

    Raises:
        RunError: it cannot be read, or is not a certificate.
    """
    said = read_json(path)
    request = said.get("request") if isinstance(said, dict) else None
    holds = (
        isinstance(request, dict)
        and isinstance(request.get("digest"), str)
        and isinstance(request.get("interactions"), list)
        and isinstance(said.get("files"), dict)
        and all(isinstance(v, dict) and "after" in v for v in said["files"].values())
        and isinstance(said.get("removed_outside"), list)
        and all(isinstance(v, str) and "\0" not in v for v in said["removed_outside"])
    )
    if not holds:
        raise RunError(f"{path} is not a certificate: expected {', '.join(_TOLD)} in it; restore it from a copy")
    return dict(said)


def _certificates(folder: Path, entry: Entry, requests: Mapping[int, Entry], last: Last) -> Iterator[str]:
    """Findings about one ledger line's certificates, and what they say about the requests.

    Args:
        last: the latest digest of each file of a state; updated.
    """
    whole = set()
    for name, digest in entry.content.get("certificates", {}).items():
        path = folder / name
        if not path.is_file():
            yield f"{CERTIFICATES}/{name} is missing"
        elif file_digest(path) != digest:
            yield f"{CERTIFICATES}/{name}{how_changed(path, digest, ' was changed after it was written')}"
        else:
            whole.add(name)
    for position in entry.content["requests"]:
        name = f"{position:04d}.json"
        if name not in whole:
            continue
        try:
            told = certificate(folder / name)
        except RunError as error:
            yield str(error)
            continue
        said, asked = told["request"], requests.get(position)
        if asked is None or said["digest"] != asked.digest or said["interactions"] != asked.content["interactions"]:
            yield f"{CERTIFICATES}/{name} does not say what the ledger's request says"
        if position == entry.content["requests"][0]:
            last |= {file: (digests["after"], told.get(KEY)) for file, digests in told["files"].items()}
