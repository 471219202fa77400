"""One writer per run folder at a time; the next one is told who holds it and since when."""

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timezone
from logging import getLogger
from pathlib import Path
from typing import TypedDict

import psutil

from recbole_apa.core.errors import RunError
from recbole_apa.core.files.whole import write_text
from recbole_apa.core.system.file_locks import HeldError, NoLocksError, locked
from recbole_apa.runs.store import MANIFEST


class Holder(TypedDict):
    """Who claims to hold a folder."""

    process: int
    host: str
    since: str
    """UTC, ISO 8601."""
    purpose: str


LOCK, HOLDER = ".lock", ".lock-holder.json"


@contextmanager
def run_lock(folder: Path, purpose: str, writes: bool = True) -> Iterator[None]:
    """Hold the folder for writing. A killed process holds nothing: the operating system releases its lock.

    Args:
        writes: whether anything will be written there. If not, and no lock is available because the folder is not
            writable or its file system has no locks, the work continues without one.

    Raises:
        RunError: another process holds it, the folder cannot be written, or a link in it leads elsewhere.
    """
    was_there = folder.exists()
    if writes:
        _refuse_links(folder)
    with ExitStack() as stack:
        if _is_held(folder, was_there, writes, stack):
            _refuse_alive(folder)
            stack.callback(_leave_no_trace, folder, was_there)
            if _is_named(folder, purpose, writes):
                stack.callback((folder / HOLDER).unlink, missing_ok=True)
        yield


def at_work(folder: Path) -> str | None:
    """Who holds the folder now, for messages; None if no live process of this machine says that it does."""
    holder = _holder(folder)
    alive = holder is not None and holder["host"] == socket.gethostname() and _works(holder)
    return _by(holder).removeprefix(" by ") if alive else None


def _refuse_links(folder: Path) -> None:
    """Called before anything is finished, written or deleted: a stranger's run could redirect that to other files.

    Raises:
        RunError: something in the folder is a link.
    """
    for root, folders, files in os.walk(folder):
        for path in (Path(root) / name for name in [*folders, *files]):
            if path.is_symlink():
                raise RunError(
                    f"{path} is a link, and links are not followed when writing: put the file or folder itself there, "
                    "if you trust it; nothing was changed"
                )


def _is_held(folder: Path, was_there: bool, writes: bool, stack: ExitStack) -> bool:
    """Take the lock until the stack ends; false if none is available and none is needed.

    Raises:
        RunError: as :func:`run_lock`.
    """
    try:
        if writes:
            folder.mkdir(parents=True, exist_ok=True)
        stack.enter_context(locked(folder / LOCK))
        return True
    except HeldError:
        raise RunError(f"{folder} is in use{_by(_holder(folder))}; wait for it to end, or stop it") from None
    except OSError as error:
        if writes:
            _leave_no_trace(folder, was_there)
            raise RunError(_why_not_held(folder, error)) from error
        getLogger().warning(f"{folder} is read without a lock: {error}")
        return False


def _is_named(folder: Path, purpose: str, writes: bool) -> bool:
    """Write into the folder who holds it; false if that is not possible and nothing else will be written."""
    since = datetime.now(timezone.utc).isoformat(timespec="seconds")
    holder = {"process": os.getpid(), "host": socket.gethostname(), "since": since, "purpose": purpose}
    try:
        write_text(folder / HOLDER, json.dumps(holder))
        return True
    except RunError:
        if writes:
            raise
        return False


def _why_not_held(folder: Path, error: OSError) -> str:
    if isinstance(error, NoLocksError):
        return (
            f"cannot lock {folder}: this file system has no locks ({error.strerror}), and without one two requests at "
            "once could damage the run; put it on another disk (--run_dir, or --run=... --copy_to=...), or mount the "
            "file system with locks"
        )
    return f"cannot write {folder}: {error}; choose another folder, or fix its rights"


def _refuse_alive(folder: Path) -> None:
    """
    Raises:
        RunError: the lock could be taken although a live process on this machine claims to hold it.
    """
    holder = at_work(folder)
    if holder:
        raise RunError(
            f"{folder} is in use by {holder}, although its lock could be taken: locks do not work on this file "
            f"system; wait for it to end. If this number now belongs to another process, delete {folder / HOLDER}"
        )


def _works(holder: Holder) -> bool:
    """Whether the process that wrote this is still running, and not a later one with the same number."""
    if holder["process"] == os.getpid():
        return False
    try:
        process = psutil.Process(holder["process"])
        since = datetime.fromisoformat(holder["since"]).timestamp()
        return bool(process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= since + 1)
    except (psutil.Error, ValueError, TypeError, OverflowError):
        return False


def _leave_no_trace(folder: Path, was_there: bool) -> None:
    """Clean up if no run was made here; the folder may not even be a run folder."""
    with contextlib.suppress(OSError):  # a folder that is not writable has no trace
        if (folder / MANIFEST).exists():
            return
        (folder / LOCK).unlink(missing_ok=True)
        if not was_there and not any(folder.iterdir()):
            folder.rmdir()


def _holder(folder: Path) -> Holder | None:
    """Who holds the folder according to its file; None if that cannot be read."""
    try:
        who = json.loads((folder / HOLDER).read_text(encoding="utf-8"))
        return {"process": who["process"], "host": who["host"], "since": who["since"], "purpose": who["purpose"]}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _by(holder: Holder | None) -> str:
    if holder is None:
        return " by another process"
    return f" by process {holder['process']} on {holder['host']} since {holder['since']} ({holder['purpose']})"
