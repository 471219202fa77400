"""Replace the old state by a complete pending one; can be killed anywhere and started again."""

import errno
import os
import shutil
from functools import partial
from pathlib import Path

from recbole_apa.core.errors import RunError
from recbole_apa.core.files.whole import sync_folder, write_whole
from recbole_apa.runs.names import CERTIFICATES, COLLABORATIVE, COMPLETE, FIGURES, INDEX, LEDGER, PENDING
from recbole_apa.runs.store import RunStore


def pending_store(store: RunStore) -> RunStore:
    """The state that will replace ``store``'s."""
    return RunStore(store.storage.at(PENDING), base=store)


CATCHING_UP = "caught up"
"""What the manifest of a pending state says in place of a request's exactness, if nothing is forgotten by it."""


def is_catching_up(pending: RunStore) -> bool:
    """Whether a pending state trains what requests at once have left, and forgets nothing else."""
    try:
        return pending.manifest_path.is_file() and pending.manifest().get("exactness") == CATCHING_UP
    except RunError:
        return False


def commit_state(store: RunStore) -> None:
    """Move the pending state into place and delete the old one's files.

    Every step leaves a state from which this function can resume: each file is either still pending or in place. The
    manifest is moved last; until then the run counts as pending.

    Raises:
        RunError: the pending state is not complete.
    """
    pending = pending_store(store)
    manifest = pending.manifest()
    if manifest["status"] != COMPLETE or not manifest.get("ready"):
        raise RunError(f"{pending.place} is not complete; finish it with --run={store.place} --resume")
    for shard in sorted((pending.folder / "shards").glob("[0-9]*")):
        _replace_folder(shard, store.folder / "shards" / shard.name)
    for name in [*pending.state_files(), *_certificates(pending)]:
        target = store.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        _replace_file(pending.folder / name, target)
    for name in store.state_files():
        if name not in manifest["files"]:
            (store.folder / name).unlink()
    index, shards = store.folder / INDEX, store.folder / "shards"
    # the deepest first: a shard's points are folders in a folder
    for folder in [*sorted(shards.rglob("*"), reverse=True), shards, store.folder / FIGURES, index / "parts", index]:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    others = (store.folder / name for name in ("shards", CERTIFICATES, COLLABORATIVE, FIGURES))
    for folder in (*others, index / "parts", index, store.folder):
        if folder.is_dir():
            sync_folder(folder)
    if (pending.folder / LEDGER).is_file():  # digests were keyed: ledger and manifest change together
        os.replace(pending.folder / LEDGER, store.folder / LEDGER)
        sync_folder(store.folder)
    _replace_file(pending.manifest_path, store.manifest_path)
    sync_folder(store.folder)
    shutil.rmtree(pending.folder)
    store.storage.publish()


def _replace_folder(new: os.PathLike[str], old: os.PathLike[str]) -> None:
    if os.path.isdir(old):
        shutil.rmtree(old)
    os.makedirs(os.path.dirname(os.fspath(old)), exist_ok=True)
    try:
        os.rename(new, old)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # another device: first copied next to its final place, so that it appears whole or not at all
        write_whole(Path(old), partial(_copy, Path(new)))
        shutil.rmtree(new)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)


def _replace_file(new: Path, old: Path) -> None:
    try:
        os.replace(new, old)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        write_whole(old, partial(_copy, new))
        new.unlink()


def _certificates(pending: RunStore) -> list[str]:
    folder = pending.folder / CERTIFICATES
    return sorted(f"{CERTIFICATES}/{p.name}" for p in folder.glob("*")) if folder.is_dir() else []
