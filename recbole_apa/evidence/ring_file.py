"""Write the key file atomically, synced to disk, and without making it readable for anybody else."""

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from recbole_apa.core.files.whole import sync_folder

_OWNER = 0o600


def make_folder(folder: Path) -> None:
    """Create a folder if missing, private to its owner and synced to disk.

    Raises:
        OSError: it cannot be created.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for path in missing:
        sync_folder(path.parent)


def write_ring(path: Path, text: str) -> None:
    """Write the file atomically. An existing file keeps its group and its permissions, except those of others. If
    another process creates the file at the same moment, that one is kept.

    Raises:
        OSError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        # never readable by others, not even briefly
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            _take_rights(path, temporary)
            os.replace(temporary, path)
        else:
            _make_first(temporary, path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _take_rights(path: Path, temporary: Path) -> None:
    there = path.stat()
    with contextlib.suppress(OSError, AttributeError):  # not every user may change a file's group
        os.chown(temporary, -1, there.st_gid)
    with contextlib.suppress(OSError):
        temporary.chmod(stat.S_IMODE(there.st_mode) & 0o770 | _OWNER)


def _make_first(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)  # unlike a rename, this fails if the name has been taken
    except FileExistsError:
        return
    except OSError:  # a file system without hard links
        os.replace(temporary, path)


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Lock the key file, so that two processes adding keys at once do not overwrite each other's. On file systems
    without locks the second one notices afterwards."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    handle = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, _OWNER)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
