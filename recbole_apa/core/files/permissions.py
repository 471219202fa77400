"""Rights of files that something made which does not ask the umask: safetensors makes its files for the owner alone."""

import contextlib
import os
import stat
from pathlib import Path

_FILE, _FOLDER = 0o666, 0o777


def as_usual(path: Path) -> None:
    """Give a file, or all of a folder, at least the rights that ``open`` and ``mkdir`` would have given it.

    Nothing is taken away: a folder's own access list may give more than the umask.
    """
    mask = umask()
    for entry in [path, *path.rglob("*")] if path.is_dir() else [path]:
        if entry.is_symlink():
            continue
        mode = stat.S_IMODE(entry.stat().st_mode)
        usual = mode | ((_FOLDER if entry.is_dir() else _FILE) & ~mask)
        if usual != mode:
            with contextlib.suppress(OSError):  # a file system without rights of its own
                entry.chmod(usual)


def umask() -> int:
    """The process's umask, read without changing it where the system tells it."""
    with contextlib.suppress(OSError, StopIteration, ValueError):
        told = Path("/proc/self/status").read_text(encoding="utf-8", errors="replace").splitlines()
        return int(next(line for line in told if line.startswith("Umask:")).split()[1], 8)
    # files that another thread makes in this moment are for the owner alone, not for everybody
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
