"""Key the digests of runs that forgot something before run format 4, which only salted them.

A salt is stored next to its digests, so whoever has the folder can find a name by guessing. Each digest in ledger,
certificates and manifest becomes the keyed digest of itself; no name is needed for that. Lines keep their order and
times; the ledger's chain is rebuilt, and a new line records the head of the old one.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recbole_apa.core.errors import RequestError
from recbole_apa.core.files.whole import file_digest, json_text, read_json, write_text
from recbole_apa.data.splits import SPLITS
from recbole_apa.evidence import Key, key_ring
from recbole_apa.runs.ledger import Entry, Ledger, refuse_gap
from recbole_apa.runs.ledger_lines import DONE, KEYED, REQUEST, Chain
from recbole_apa.runs.lock import run_lock
from recbole_apa.runs.manifest import with_check
from recbole_apa.runs.names import CERTIFICATES, COMPLETE, KEY, LEDGER
from recbole_apa.runs.remote.working_copy import open_place
from recbole_apa.runs.store import RunStore, is_old_format, knows_no_scopes
from recbole_apa.unlearning.certificate import FIRST_FORMAT, FORMAT, write_again
from recbole_apa.unlearning.commit import commit_state, pending_store
from recbole_apa.unlearning.outside import drop_attempt


def convert(run_dir: str | Path, config_dict: Mapping[str, object] | None = None) -> bool:
    """Key digests that an older version only salted; the next request would also do it.

    Args:
        config_dict: ``key_file``.

    Returns:
        whether there was anything to key.

    Raises:
        RequestError: a request is waiting, which has to be carried out first.
        RunError: the run is damaged, or in use.
        KeyFileError: the key file cannot be written.
    """
    with open_place(run_dir, "keying") as place, run_lock(place.folder, "keying"):
        store = RunStore(place)
        ledger, keys = Ledger(place, store.salt), key_ring(config_dict)
        if pending_store(store).is_ready():
            commit_state(store)
        elif not ledger.waiting() and pending_store(store).folder.exists():
            drop_attempt(pending_store(store))  # left by a commit that was killed at its end, or by catching up
        # new digests would make an edited manifest, or a lost line, look like what was certified
        refuse_gap(store, keys)
        store.check()
        if not are_salted(store, ledger):
            return False
        if ledger.waiting():
            raise RequestError(f"{store.place}: a request waits; carry it out with --resume, which does this as well")
        keys.outside(place.folder)
        keys.keep(keys.newest())
        key_digests(store, ledger, keys.newest())
        return True


def are_salted(store: RunStore, ledger: Ledger) -> bool:
    """Whether a run has unkeyed digests of something that it forgot or is to forget."""
    return is_old_format(store.manifest()) and any(KEY not in e.content for e in ledger.requests())


def key_digests(store: RunStore, ledger: Ledger, key: Key) -> None:
    """Key them all; if killed anywhere, the next call resumes. The caller holds the lock; the key is in its file."""
    pending = pending_store(store)
    if pending.folder.exists():
        drop_attempt(pending)  # an attempt to carry out a waiting request: it starts again
    keyed = _Keyed(store, pending.folder, key)
    entries = ledger.entries()
    write_text(pending.folder / LEDGER, "".join(keyed.lines(entries, ledger)))
    pending.write_manifest(keyed.manifest(ready=True))
    commit_state(store)


class _Keyed:
    """The lines of a ledger, keyed, and everything that depends on their digests."""

    def __init__(self, store: RunStore, folder: Path, key: Key) -> None:
        self.store, self.folder, self.key = store, folder, key
        self.lines_now: dict[str | int, str] = {}
        """Old digest of a line -> new digest."""

    def lines(self, entries: list[Entry], ledger: Ledger) -> list[str]:
        last = max((e.position for e in entries if e.kind == DONE), default=0)
        out = Chain(ledger.origin)
        for entry in entries:
            values: dict[str, Any] = {k: v for k, v in entry.content.items() if k not in ("previous", "position")}
            if entry.kind == REQUEST and KEY not in values:
                values |= self._all(values, "interactions", "hides", "names") | {KEY: self.key.name}
            if entry.kind == DONE:
                values |= self._certificates(values)
                is_last = entry.position == last
                digest = self._digest_of_manifest() if is_last else values["manifest"]
                values |= {"manifest": self.key.keyed(digest), KEY: self.key.name}
            self.lines_now[entry.digest] = out.add(values)
        out.add({"kind": KEYED, "time": entries[-1].time, KEY: self.key.name, "head": self.key.keyed(ledger.head())})
        return out.lines

    def manifest(self, ready: bool) -> Mapping[str, object]:
        old = self.store.manifest()
        served = [self.lines_now.get(e, e) for e in old.get("served_requests", [])]
        new = {
            **old,
            **(self._all(old, "forgotten") if isinstance(old["forgotten"], list) else {}),
            "served_requests": served,
            "dataset": self.key.keyed(old["dataset"]),
            "identity_digest": self.key.keyed(old["identity_digest"]),
            "status": COMPLETE,
            "ready": ready,
            KEY: self.key.name,
        }
        if knows_no_scopes(old):
            new["draw"] = dict.fromkeys(SPLITS)  # each was the digest of one sample's id
        return new

    def _digest_of_manifest(self) -> str:
        """SHA-256 of the manifest file to be written."""
        return hashlib.sha256(json_text(with_check(self.manifest(ready=True))).encode()).hexdigest()

    def _all(self, values: Mapping[str, Any], *names: str) -> dict[str, list[str]]:
        return {name: sorted(map(self.key.keyed, values[name])) for name in names if name in values}

    def _certificates(self, values: Mapping[str, Any]) -> dict[str, object]:
        """Write the certificates of a line again; returns their digests."""
        digests = {}
        for position in values["requests"]:
            path = self.store.folder / CERTIFICATES / f"{position:04d}.json"
            if path.is_file():
                for written in write_again(self.folder / CERTIFICATES, self._certificate(read_json(path))):
                    digests[written.name] = file_digest(written)
        return {"certificates": {**values.get("certificates", {}), **digests}}

    def _certificate(self, old: Mapping[str, Any]) -> dict[str, object]:
        request, files = old["request"], old["files"].items()
        return {
            **old,
            "format": FORMAT,
            FIRST_FORMAT: old["format"],
            "request": {
                **request,
                **self._all(request, "interactions"),
                "digest": self.lines_now[request["digest"]],
            },
            "files": {name: {when: d and self.key.keyed(d) for when, d in pair.items()} for name, pair in files},
            KEY: self.key.name,
        }
