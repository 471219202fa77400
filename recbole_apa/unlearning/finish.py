"""The last steps of requests: put a complete state in place, and close their lines in the ledger."""

import shutil
from collections.abc import Sequence
from logging import getLogger
from pathlib import Path

from recbole_apa.core.files.whole import file_digest
from recbole_apa.evidence import KeyRing
from recbole_apa.runs.ledger import Ledger, manifest_digest, served_by
from recbole_apa.runs.ledger_lines import DONE, REQUEST
from recbole_apa.runs.names import CERTIFICATES, KEY, PENDING
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.certifying import refuse_uncertified
from recbole_apa.unlearning.commit import commit_state, pending_store


def finish_commit(store: RunStore, ledger: Ledger, keys: KeyRing) -> list[Path]:
    """Finish a commit that was killed after the new state was complete. The caller holds the lock.

    Returns:
        the certificates of the requests that this finished.
    """
    if pending_store(store).is_ready():
        commit_state(store)
    manifest = store.manifest()
    late = [e.position for e in ledger.waiting() if e.kind == REQUEST and served_by(manifest, e)]
    if not ledger.waiting() and pending_store(store).folder.exists():
        shutil.rmtree(pending_store(store).folder)  # left by a commit that was killed at its end
    if late:
        refuse_uncertified(store, late[0], keys)
        close(store, ledger, late, keys)
    return certificate_paths(store, late)


def certificate_paths(store: RunStore, requests: Sequence[int]) -> list[Path]:
    """Where the certificates of requests are, by their lines in the ledger."""
    return [store.folder / CERTIFICATES / f"{position:04d}.json" for position in requests]


def close(store: RunStore, ledger: Ledger, requests: Sequence[int], keys: KeyRing) -> None:
    """Record in the ledger that requests were carried out, with the digests of their certificates."""
    pending = store.folder / PENDING
    if pending.exists():
        shutil.rmtree(pending)
    folder = store.folder / CERTIFICATES
    names = [f"{n:04d}.{kind}" for n in requests for kind in ("json", "html")]
    key = {KEY: store.manifest().get(KEY)}
    ledger.append(
        DONE,
        {
            "requests": list(requests),
            "certificates": {name: file_digest(folder / name) for name in names},
            "manifest": manifest_digest(key, store, keys),
            **key,
        },
    )
    getLogger().info(f"{len(requests)} request(s) carried out; certificates in {folder}")
