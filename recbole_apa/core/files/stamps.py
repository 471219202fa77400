"""Digests of large files, remembered in the process while the files are seen not to change."""

import os
import time
from pathlib import Path
from typing import NamedTuple

from recbole_apa.core.files.whole import file_digest

_SETTLED = 2 * 10**9
"""Nanoseconds. A file that was changed more recently may change again within one tick of its file system's clock (2 s
on FAT) and show the same times."""
_MOST = 1 << 14
_known: dict["Stamp", str] = {}
"""A function of what is on disk, as far as stamps tell files apart; nothing else depends on it."""


class Stamp(NamedTuple):
    """Differs if another file takes the name or the file is written, even if its modification time is put back: no
    program sets ``changed`` to a time of its choice."""

    device: int
    inode: int
    size: int
    modified: int
    """Of the content, nanoseconds."""
    changed: int
    """Of content, name, times or permissions, nanoseconds. On Windows the time of creation: there a program that
    restores ``modified`` goes unnoticed until the process ends."""


def remembered_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, computed once in the process while its stamp stays the same.

    It is computed each time while the file was changed less than two seconds ago, and on file systems without inodes.

    Raises:
        RunError: not readable.
    """
    before = _stamp_of(path)
    if before in _known:
        return _known[before]
    digest = file_digest(path)
    if _is_settled(before) and _stamp_of(path) == before:
        if len(_known) >= _MOST:
            _known.clear()
        _known[before] = digest
    return digest


def forget_digests() -> None:
    """Compute every digest anew."""
    _known.clear()


def _stamp_of(path: Path) -> Stamp:
    """Of the file as it is now: a network file system asks its server when a file is opened."""
    try:
        with open(path, "rb") as file:
            about = os.fstat(file.fileno())
    except PermissionError:
        about = os.stat(path)  # its digest fails, and says why
    return Stamp(about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)


def _is_settled(stamp: Stamp) -> bool:
    return bool(stamp.inode) and time.time_ns() - max(stamp.modified, stamp.changed) >= _SETTLED
