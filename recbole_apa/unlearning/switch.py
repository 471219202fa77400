"""Put a complete pending state in the place of the old one; can be killed anywhere and started again."""

import os
import shutil

from recbole_apa.errors import RunError
from recbole_apa.files import sync_folder
from recbole_apa.run_store import CERTIFICATES, COMPLETE, FIGURES, LEDGER, PENDING, RunStore
from recbole_apa.storage.place import publish, shown


def pending_store(store: RunStore) -> RunStore:
    """The state that is to replace ``store``'s."""
    return RunStore(store.folder / PENDING, base=store)


def switch(store: RunStore) -> None:
    """Move the pending state into place and delete the old one's files.

    Every step leaves a state from which this function goes on: a file is either still pending or in its place.
    The manifest goes last; until then the run counts as pending.
    """
    pending = pending_store(store)
    manifest = pending.manifest()
    if manifest["status"] != COMPLETE or not manifest.get("ready"):
        raise RunError(f"{shown(pending.folder)} is not complete; finish it with --run={store.place} --resume")
    for shard in sorted((pending.folder / "shards").glob("[0-9]*")):
        _replace_folder(shard, store.folder / "shards" / shard.name)
    for name in [*pending.state_files(), *_certificates(pending)]:
        target = store.folder / name
        target.parent.mkdir(exist_ok=True)
        os.replace(pending.folder / name, target)
    for name in store.state_files():
        if name not in manifest["files"]:
            (store.folder / name).unlink()
    for folder in [*(store.folder / "shards").iterdir(), store.folder / FIGURES]:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    for folder in (store.folder / "shards", store.folder / CERTIFICATES, store.folder):
        if folder.is_dir():
            sync_folder(folder)
    if (pending.folder / LEDGER).is_file():  # digests were keyed: ledger and manifest change together
        os.replace(pending.folder / LEDGER, store.folder / LEDGER)
        sync_folder(store.folder)
    os.replace(pending.manifest_path, store.manifest_path)
    sync_folder(store.folder)
    shutil.rmtree(pending.folder)
    publish(store.folder)


def _replace_folder(new: os.PathLike[str], old: os.PathLike[str]) -> None:
    if os.path.isdir(old):
        shutil.rmtree(old)
    os.makedirs(os.path.dirname(os.fspath(old)), exist_ok=True)
    os.rename(new, old)


def _certificates(pending: RunStore) -> list[str]:
    folder = pending.folder / CERTIFICATES
    return sorted(f"{CERTIFICATES}/{p.name}" for p in folder.glob("*")) if folder.is_dir() else []
