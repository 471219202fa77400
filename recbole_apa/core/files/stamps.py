"""Digests of large files, remembered in the process while the files are seen not to change."""

import os
import time
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from recbole_apa.core.errors import RunError
from recbole_apa.core.files.whole import file_digest

_SETTLED = 2 * 10**9
"""Nanoseconds. A file changed more recently may change again within one tick of its file system's clock (2 s on FAT)
and show the same times."""
_REMEMBERED = 1 << 14


class Stamp(NamedTuple):
    """Differs if another file takes the name or the file is written, even if its modification time is put back: no
    program sets ``changed`` to a time of its choice."""

    device: int
    inode: int
    size: int
    modified: int
    """Of the content, nanoseconds."""
    changed: int
    """Of content, name, times or permissions, nanoseconds; on Windows the time of creation."""


def stamp_of(path: Path) -> Stamp:
    """The stamp of a file as it is now."""
    about = os.stat(path)
    return Stamp(about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)


def remembered_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, computed once in the process while its stamp stays the same.

    It is computed each time while the file was changed less than two seconds ago, and on file systems without inodes.

    Raises:
        RunError: not readable, or changed while it was read.
    """
    stamp = stamp_of(path)
    age = time.time_ns() - max(stamp.modified, stamp.changed)
    if age < _SETTLED or not stamp.inode:
        return file_digest(path)
    return _digest(str(path), stamp)


@lru_cache(maxsize=_REMEMBERED)
def _digest(path: str, stamp: Stamp) -> str:
    digest = file_digest(Path(path))
    if stamp_of(Path(path)) != stamp:
        raise RunError(f"{path} was changed while it was read; start again")
    return digest
