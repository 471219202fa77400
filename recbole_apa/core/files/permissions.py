"""Permissions of files created without regard to the umask: safetensors makes its files readable by the owner alone."""

import contextlib
import os
import stat
from pathlib import Path

_FILE, _FOLDER = 0o666, 0o777


def as_usual(path: Path) -> None:
    """Give a file, or a whole folder, at least the permissions that ``open`` and ``mkdir`` would have given it.

    No permission is taken away: a folder's own access list may grant more than the umask.
    """
    mask = umask()
    for entry in [path, *path.rglob("*")] if path.is_dir() else [path]:
        if entry.is_symlink():
            continue
        mode = stat.S_IMODE(entry.stat().st_mode)
        usual = mode | ((_FOLDER if entry.is_dir() else _FILE) & ~mask)
        if usual != mode:
            with contextlib.suppress(OSError):  # a file system without permissions
                entry.chmod(usual)


def umask() -> int:
    """The process's umask, read without changing it where the system allows."""
    with contextlib.suppress(OSError, StopIteration, ValueError):
        told = Path("/proc/self/status").read_text(encoding="utf-8", errors="replace").splitlines()
        return int(next(line for line in told if line.startswith("Umask:")).split()[1], 8)
    # a file that another thread creates at this moment is then private to the owner, not open to everybody
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
