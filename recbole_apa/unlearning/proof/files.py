"""Check that a run folder contains exactly the files that its manifest names, as they were written."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from recbole_apa.core.errors import RunError
from recbole_apa.core.files.line_endings import GIT_ATTRIBUTES, GIT_LINES, how_changed
from recbole_apa.core.files.plain import kind_of, read_plain
from recbole_apa.core.files.whole import json_of
from recbole_apa.data.index.places import file_names
from recbole_apa.runs.ledger import Ledger
from recbole_apa.runs.ledger_lines import ADDED
from recbole_apa.runs.lock import HOLDER, LOCK, at_work
from recbole_apa.runs.manifest import Manifest
from recbole_apa.runs.names import CERTIFICATES, COMPLETE, INCOMING, LEDGER, PENDING, PREFIXES, TO_MAKE
from recbole_apa.runs.store import MANIFEST, RunStore
from recbole_apa.unlearning.commit import is_catching_up, pending_store
from recbole_apa.unlearning.proof.leftovers import is_known, leftover

_HOLDS = {"process": int, "host": str, "since": str, "purpose": str}
_SINCE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00")


def file_findings(store: RunStore, manifest: Manifest) -> Iterator[str]:
    """Findings about every entry of the folder, of whatever kind, and every file of the manifest."""
    if manifest["status"] != COMPLETE:
        yield f"the run's training was not finished (status {manifest['status']!r})"
        return
    entries = dict(walk(store.folder))
    incoming = {name: kind for name, kind in entries.items() if name.split("/")[0] == INCOMING}
    yield from _incoming(incoming, _addition_waits(store, manifest))
    yield from _odd_entries(store.folder, {n: kind for n, kind in entries.items() if n not in incoming}, manifest)
    for name, digest in manifest["files"].items():
        if name not in entries:
            yield f"{name} is missing"
        elif entries[name] == "file" and store.digest_now(name) != digest:
            yield f"{name}{how_changed(store.folder / name, digest, ' was changed after it was written')}"
    yield from _made_later(manifest)
    if entries.get(PENDING) == "folder":
        holder = at_work(store.folder)
        first = f"if it is still there when {holder} has ended: " if holder else ""
        if is_catching_up(pending_store(store)):
            yield f"{PENDING}/ is there: catching up was not finished; {first}go on with --catch_up"
        else:
            yield f"{PENDING}/ is there: a request or an addition was not finished; {first}finish it with --resume"


def _made_later(manifest: Manifest) -> Iterator[str]:
    """Findings where what the manifest says is to be made does not fit the files that it names."""
    later, files = manifest.get(TO_MAKE, []), manifest["files"]
    for name in later:
        if name in {part for file in files for part in (file, *_parents(file))}:
            yield f"{name} is there, although {MANIFEST} says that it is to be made"
    if PREFIXES in files and not later:
        yield f"{PREFIXES} names shards that lack slices, but {MANIFEST} says of nothing that it is to be made"


def walk(folder: Path) -> Iterator[tuple[str, str]]:
    """Every entry below a folder, including hidden ones: name, and kind (``empty folder``, or one of
    :func:`~recbole_apa.core.files.plain.kind_of`). Links are not followed; entries that disappear meanwhile are
    skipped."""
    todo = [folder]
    while todo:
        here = todo.pop()
        try:
            names = sorted(os.listdir(here))
        except FileNotFoundError:
            continue
        if not names and here != folder:
            yield here.relative_to(folder).as_posix(), "empty folder"
        elif here != folder:
            yield here.relative_to(folder).as_posix(), "folder"
        for name in names:
            try:
                kind = kind_of(os.lstat(here / name).st_mode)
            except FileNotFoundError:
                continue
            if kind == "folder":
                todo.append(here / name)
            else:
                yield (here / name).relative_to(folder).as_posix(), kind


def _addition_waits(store: RunStore, manifest: Manifest) -> bool:
    try:
        return any(e.kind == ADDED for e in Ledger(store.storage, manifest["salt"]).waiting())
    except RunError:
        return False  # reported with the ledger


def _incoming(entries: Mapping[str, str], is_wanted: bool) -> Iterator[str]:
    """Findings about rows that are to join the run, which are there while the ledger's line of their addition waits."""
    if entries and not is_wanted:
        yield (
            f"{INCOMING}/ is there, and no addition waits for its rows: a leftover, which the next command that writes "
            "to the run deletes"
        )
        return
    files = {f"{INCOMING}/{name}" for name in file_names(1)}
    known = dict.fromkeys(files, "file") | {p: "folder" for name in files for p in _parents(name)}
    for name, kind in sorted(entries.items()):
        if known.get(name) != kind:
            yield leftover(name) if kind == "file" else f"{name} is {_a(kind)} {kind}; a run contains only plain files"
    for name in sorted(files - entries.keys() if is_wanted else ()):
        yield f"{name} is missing, and an addition waits for it"


def _odd_entries(folder: Path, entries: Mapping[str, str], manifest: Manifest) -> Iterator[str]:
    """Findings about entries that the manifest does not know, or that are not plain files."""
    apart = {MANIFEST, LEDGER}
    folders = {parent for name in manifest["files"] for parent in _parents(name)} | {CERTIFICATES, PENDING}
    for name, kind in sorted(entries.items()):
        if kind not in ("file", "folder"):
            if kind == "empty folder" and is_known(name):
                yield leftover(name)
            elif not any(entries.get(parent) == "link" for parent in _parents(name)):
                yield f"{name} is {_a(kind)} {kind}; a run contains only plain files"
        elif name.split("/")[0] == PENDING or (name.split("/")[0] == CERTIFICATES and name.count("/") == 1):
            continue  # pending is reported once; certificates are checked with the ledger
        elif name in (LOCK, HOLDER):
            yield from _lock(folder, name)
        elif name == GIT_ATTRIBUTES:
            if read_plain(folder / name) != GIT_LINES.encode():
                yield f"{name} contains something other than what this program writes there"
        elif kind == "folder":
            if name not in folders:
                yield leftover(name)
        elif name not in manifest["files"] and name not in apart:
            hidden = is_known(name) or any(part.startswith(".") for part in name.split("/"))
            yield leftover(name) if hidden else f"{name} is not in the manifest: its origin is unknown"


def _a(kind: str) -> str:
    return "an" if kind[0] in "aeiou" else "a"


def _parents(name: str) -> list[str]:
    """``a`` and ``a/b`` of ``a/b/c``."""
    parts = name.split("/")
    return ["/".join(parts[:n]) for n in range(1, len(parts))]


def _lock(folder: Path, name: str) -> Iterator[str]:
    """Findings where the lock's files contain something that the lock does not write."""
    if name == LOCK:
        if (folder / name).stat().st_size:
            yield f"{name} is not empty, as a lock should be"
        return
    try:
        data = read_plain(folder / name)
        holder = json_of(data, folder / name)
    except RunError:
        holder = None
    if not isinstance(holder, dict) or not _is_holder(holder) or json.dumps(holder).encode() != data:
        yield f"{name} contains something other than who holds the lock"


def _is_holder(holder: Mapping[str, Any]) -> bool:
    if {key: type(value) for key, value in holder.items()} != _HOLDS:
        return False
    words = re.fullmatch(r"[a-z ]{1,40}", holder["purpose"]) and re.fullmatch(r"[\w.-]{1,255}", holder["host"])
    return bool(words and _SINCE.fullmatch(holder["since"]))
