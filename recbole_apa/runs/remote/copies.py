"""Working copies in the cache: which are in use, and which were left by processes that ended."""

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from logging import getLogger
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

_IN_USE, _KERNEL = ".in-use", ".kernel"


def copy_name(digest: str) -> str:
    """The name of this process's working copy of the run with this digest."""
    return f"{digest}{_here()}{os.getpid()}"


class CopyInUseError(Exception):
    """The copy is already held."""


@contextmanager
def held(copy: Path) -> Iterator[None]:
    """Mark a copy as in use: the lock ends with the process, whatever its host name is.

    Raises:
        CopyInUseError: it is already held.
    """
    copy.mkdir(parents=True, exist_ok=True)
    lock = FileLock(copy / _IN_USE)
    try:
        lock.acquire(timeout=0)
        (copy / _KERNEL).write_text(_kernel(), encoding="utf-8")
    except Timeout:
        raise CopyInUseError(str(copy)) from None
    except (OSError, NotImplementedError):
        getLogger().debug("no locks here: a copy is identified only by host and process", exc_info=True)
    try:
        yield
    finally:
        lock.release()


def remove_left(runs: Path) -> None:
    """Delete working copies of processes that ended: they may contain what was forgotten since."""
    for copy in runs.iterdir() if runs.is_dir() else []:
        if _is_gone(copy):
            shutil.rmtree(copy, ignore_errors=True)


def others_of(copy: Path) -> list[str]:
    """Copies of the same run that are neither this one nor in use by a process on this machine."""
    digest = copy.name.split("-", 1)[0]
    found = sorted(copy.parent.glob(f"{digest}-*"))
    return [str(path) for path in found if path != copy and not _is_used_here(path)]


def _is_gone(copy: Path) -> bool:
    """Whether a copy belongs to a process of this machine that has ended; for other machines this is unknown."""
    number = copy.name.rpartition("-")[2]
    if not number.isdigit():
        return False
    # containers may share a host name but number their processes separately: under one kernel the lock decides
    if _is_of_this_kernel(copy):
        return _is_free(copy)
    return _here() in copy.name and not psutil.pid_exists(int(number))


def _is_used_here(copy: Path) -> bool:
    if _is_of_this_kernel(copy):
        return not _is_free(copy)
    number = copy.name.rpartition("-")[2]
    return _here() in copy.name and number.isdigit() and psutil.pid_exists(int(number))


def _is_free(copy: Path) -> bool:
    lock = FileLock(copy / _IN_USE)
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError, NotImplementedError):
        return False
    lock.release()
    return True


def _is_of_this_kernel(copy: Path) -> bool:
    kernel = _kernel()
    try:
        return bool(kernel) and (copy / _KERNEL).read_text(encoding="utf-8") == kernel
    except (OSError, UnicodeDecodeError):
        return False


def _kernel() -> str:
    """Changes each time a machine boots; its containers share it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _here() -> str:
    """Identifies this machine among those that may share the cache."""
    return f"-{socket.gethostname()}-"
