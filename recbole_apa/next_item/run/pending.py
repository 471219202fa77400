"""Requests and additions that are in the ledger and not done: refused, or finished."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recbole_apa.core.errors import RunError
from recbole_apa.core.files.plain import read_plain
from recbole_apa.core.files.whole import file_digest, write_bytes
from recbole_apa.evidence import Key, KeyRing
from recbole_apa.next_item.run.added_files import remove_incoming
from recbole_apa.next_item.run.store import CAUGHT, GROWN, MANIFEST, NextItemStore
from recbole_apa.runs.ledger import Entry
from recbole_apa.runs.ledger_lines import ADDED, CAUGHT_UP, DONE, REQUEST
from recbole_apa.runs.names import CERTIFICATES, KEY

CERTIFICATE = "certificate.json"
"""In a state's folder: the certificate of the request that led to it, as it is issued."""


def issued_name(position: int) -> str:
    """The file of a request's certificate, by its line in the ledger: ``0003.json``."""
    return f"{position:04d}.json"


def certificate_name(position: int, together: int) -> str:
    """In a state's folder: the certificate of a request that led to it, as it is issued.

    Args:
        position: its line in the ledger.
        together: how many requests led to it together.
    """
    return CERTIFICATE if together == 1 else f"certificate-{issued_name(position)}"


def certificate_in(state: Path, issued: str) -> Path:
    """Where a state has the certificate that is issued as a file of this name."""
    path = state / f"certificate-{issued}"
    return path if path.is_file() else state / CERTIFICATE


def refuse_waiting(store: NextItemStore, manifest: Mapping[str, Any]) -> None:
    """
    Raises:
        RunError: a request or an addition is waiting, or not done to the last step.
    """
    waiting = store.ledger(manifest).waiting()
    if waiting:
        first = waiting[0]
        raise RunError(
            f"{store.folder}: {len(waiting)} request(s) or addition(s) waiting to be carried out (line "
            f"{first.position} of the ledger, received {first.time}); finish with --run={store.folder} --resume"
        )


def finish_request(store: NextItemStore, manifest: Mapping[str, Any], keys: KeyRing) -> list[str]:
    """The last steps of a request, an addition or catching up whose state is in force: the old state goes, a request's
    certificate is issued, the ledger gets its line. Nothing if all of that is done.

    Returns:
        certificates that were issued.
    """
    ledger, late = store.ledger(manifest), without_last_steps(store, manifest)
    store.remove_states(str(manifest["state"]))
    store.remove_temporary()
    names = [_issue(store, manifest, entry) for entry in late if entry.kind == REQUEST]
    if late:
        certificates = {name: file_digest(store.folder / CERTIFICATES / name) for name in names}
        key = keys.key(str(manifest[KEY]))
        told = {"certificates": certificates, "manifest": _manifest_digest(store, key), KEY: key.name}
        lines = {kind: [e.position for e in late if e.kind == kind] for kind in (REQUEST, ADDED, CAUGHT_UP)}
        caught_up = {"caught_up": lines[CAUGHT_UP]} if lines[CAUGHT_UP] else {}
        ledger.append(DONE, {"requests": lines[REQUEST], "additions": lines[ADDED], **caught_up, **told})
    remove_incoming(store)
    return [str(store.folder / CERTIFICATES / name) for name in names]


def without_last_steps(store: NextItemStore, manifest: Mapping[str, Any]) -> list[Entry]:
    """The ledger's lines whose state is in force and of which nothing is missing but last steps."""
    return [entry for entry in store.ledger(manifest).waiting() if entry.digest in _carried_out(manifest)]


def _carried_out(manifest: Mapping[str, Any]) -> set[str]:
    """The digests of the ledger's lines that the state in force has."""
    return {*manifest["served"], *manifest.get(GROWN, []), *manifest.get(CAUGHT, [])}


def refuse_edited(store: NextItemStore, manifest: Mapping[str, Any], keys: KeyRing) -> None:
    """
    Raises:
        KeyFileError: the ring does not have the key of the last request.
        RunError: the manifest was changed after the last request or addition was carried out.
    """
    done = [entry for entry in store.ledger(manifest).entries() if entry.kind == DONE]
    if bool(done) != bool(_carried_out(manifest)):
        raise RunError(f"{store.folder}: ledger and manifest do not belong together; restore both from a copy")
    if done and done[-1].content.get("manifest") != _manifest_digest(store, keys.key(str(manifest[KEY]))):
        raise RunError(
            f"{store.folder}: {MANIFEST} was changed after the last request or addition was carried out; restore it "
            "from a copy"
        )


def _manifest_digest(store: NextItemStore, key: Key) -> str:
    """Keyed: a plain digest of the manifest would tell of the state at that time."""
    return key.keyed(file_digest(store.folder / MANIFEST))


def _issue(store: NextItemStore, manifest: Mapping[str, Any], entry: Entry) -> str:
    name = issued_name(entry.position)
    written = read_plain(certificate_in(store.state_folder(manifest), name))
    target: Path = store.folder / CERTIFICATES / name
    write_bytes(target, written)
    return name
