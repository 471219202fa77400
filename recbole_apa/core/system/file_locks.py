"""File locks held by the operating system: a process that has ended holds none."""

import contextlib
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_HELD = (errno.EACCES, errno.EAGAIN)
_NO_LOCKS = (errno.ENOLCK, errno.EBADF, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)


class HeldError(Exception):
    """Another process, or another call of this one, has the lock."""


class NoLocksError(OSError):
    """The file system does not support locks."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock on a file, which is created if missing and not deleted. Does not wait.

    Raises:
        HeldError: the lock is held already.
        NoLocksError: the file system does not support locks.
        OSError: the file cannot be created or opened.
    """
    if fcntl is None:
        with _elsewhere(path):
            yield
        return
    handle = _take(path)
    _handles.add(handle)
    try:
        yield
    finally:
        if handle in _handles:  # false in a forked child
            _handles.discard(handle)
            os.close(handle)


def _take(path: Path) -> int:
    """A descriptor holding the lock on the file that currently has this name."""
    while True:
        handle, to_write = _open(path)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # the previous holder may have deleted it
            if os.path.samestat(os.fstat(handle), os.stat(path)):
                return handle
        except FileNotFoundError:
            pass
        except OSError as error:
            os.close(handle)
            if error.errno in _HELD:
                raise HeldError from None
            if error.errno == errno.EBADF and not to_write:  # NFS: an exclusive lock needs write permission
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path)) from None
            if error.errno in _NO_LOCKS:
                raise NoLocksError(error.errno, error.strerror) from error
            raise
        os.close(handle)


def _open(path: Path) -> tuple[int, bool]:
    """A descriptor, and whether it may write. A link is not followed: it could create a file anywhere."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | _NO_LINK, 0o666), True
    except OSError as error:
        # owned by somebody else, or on a read-only disk: opening for reading is enough
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            with contextlib.suppress(OSError):
                return os.open(path, os.O_RDONLY | _NO_LINK), False
        raise


@contextmanager
def _elsewhere(path: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    try:
        with FileLock(path, timeout=0):
            yield
    except Timeout:
        raise HeldError from None


_handles: set[int] = set()
"""Open locks: a forked child must not keep them after its parent has ended."""


def _close_in_child() -> None:
    for handle in _handles:
        with contextlib.suppress(OSError):
            os.close(handle)
    _handles.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)
