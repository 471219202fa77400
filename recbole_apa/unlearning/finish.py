"""The last steps of requests: put a complete state in place, and close their lines in the ledger."""

import shutil
from collections.abc import Sequence
from logging import getLogger
from pathlib import Path

from recbole_apa.core.files.whole import file_digest, read_json, temporary_of
from recbole_apa.evidence import KeyRing
from recbole_apa.runs.ledger import Ledger, manifest_digest, served_by
from recbole_apa.runs.ledger_lines import ADDED, CAUGHT_UP, DONE, REQUEST
from recbole_apa.runs.names import CERTIFICATES, INCOMING, KEY, PENDING
from recbole_apa.runs.scratch import remove_scratch
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.certifying import refuse_uncertified
from recbole_apa.unlearning.commit import commit_state, is_catching_up, pending_store
from recbole_apa.unlearning.outside import drop_attempt


def finish_commit(store: RunStore, ledger: Ledger, keys: KeyRing, catches_up: bool = False) -> list[Path]:
    """Finish a commit that was killed after the new state was complete. The caller holds the lock.

    Args:
        catches_up: whether the call is to train what requests at once have left: it goes on with what a killed one had
            trained, which otherwise is deleted.

    Returns:
        the certificates of the requests that this finished.
    """
    remove_scratch(store.folder)
    if pending_store(store).is_ready():
        commit_state(store)
    manifest = store.manifest()
    waiting = ledger.waiting()
    done = served_by(manifest, waiting)
    goes_on = catches_up and is_catching_up(pending_store(store))
    if not waiting and not goes_on and pending_store(store).folder.exists():
        # left by a commit that was killed at its end, or by catching up: its line in the ledger comes last
        drop_attempt(pending_store(store))
    if all(e.kind != ADDED for e in waiting):
        drop_incoming(store)  # rows that were not taken
    late = [e.position for e in done if e.kind == REQUEST]
    if late:
        refuse_uncertified(store, late[0], keys)
        close(store, ledger, late, keys)
    for entry in done:
        if entry.kind == ADDED:
            close_addition(store, ledger, entry.position, keys)
        elif entry.kind == CAUGHT_UP:
            close_catch_up(store, ledger, entry.position, keys)
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
    slices = read_json(folder / f"{requests[0]:04d}.json").get("slices")
    ledger.append(
        DONE,
        {
            "requests": list(requests),
            "certificates": {name: file_digest(folder / name) for name in names},
            "manifest": manifest_digest(key, store, keys),
            **({"slices_trained": slices["trained"]} if slices else {}),
            **key,
        },
    )
    getLogger().info(f"{len(requests)} request(s) carried out; certificates in {folder}")


def close_addition(store: RunStore, ledger: Ledger, position: int, keys: KeyRing) -> None:
    """Record in the ledger that an addition was carried out; its rows are in the index, and no longer kept apart."""
    if (store.folder / PENDING).exists():
        shutil.rmtree(store.folder / PENDING)
    drop_incoming(store)
    key = {KEY: store.manifest().get(KEY)}
    told = {"requests": [], "additions": [position], "certificates": {}}
    ledger.append(DONE, {**told, "manifest": manifest_digest(key, store, keys), **key})
    getLogger().info(f"the addition in line {position} of the ledger is part of the run")


def close_catch_up(store: RunStore, ledger: Ledger, position: int, keys: KeyRing) -> None:
    """Record in the ledger that what requests at once had left is trained, and in place."""
    if (store.folder / PENDING).exists():
        shutil.rmtree(store.folder / PENDING)
    key = {KEY: store.manifest().get(KEY)}
    told = {"requests": [], "caught_up": [position], "certificates": {}}
    ledger.append(DONE, {**told, "manifest": manifest_digest(key, store, keys), **key})
    getLogger().info("what was missing is trained, and part of the run")


def drop_incoming(store: RunStore) -> None:
    """Remove rows that were to be added: they are in the index, or were not taken."""
    for folder in (store.folder / INCOMING, temporary_of(store.folder / INCOMING)):
        if folder.is_dir():
            shutil.rmtree(folder)
