"""One writer of a run folder at a time; the second is told who holds it and since when."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from filelock import FileLock, Timeout

from recbole_apa.errors import RunError
from recbole_apa.run_store import MANIFEST

LOCK, HOLDER = ".lock", ".lock-holder.json"


@contextmanager
def run_lock(folder: Path, purpose: str) -> Iterator[None]:
    """Hold the folder for writing. A killed process holds nothing: the operating system takes the lock from it.

    Raises:
        RunError: another process holds it, or the folder cannot be written.
    """
    was_there = folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK)
        lock.acquire(timeout=0)
    except Timeout:
        raise RunError(f"{folder} is in use{_holder(folder)}; wait for it to end, or stop it") from None
    except OSError as error:
        raise RunError(f"cannot write {folder}: {error}; choose another folder, or mend its rights") from error
    try:
        since = datetime.now(timezone.utc).isoformat(timespec="seconds")
        holder = {"process": os.getpid(), "host": socket.gethostname(), "since": since, "purpose": purpose}
        (folder / HOLDER).write_text(json.dumps(holder), encoding="utf-8")
        yield
    finally:
        (folder / HOLDER).unlink(missing_ok=True)
        lock.release()
        if not (folder / MANIFEST).exists():
            _leave_no_trace(folder, was_there)


def _leave_no_trace(folder: Path, was_there: bool) -> None:
    """Nothing came of it, and this may not even be a run folder."""
    (folder / LOCK).unlink(missing_ok=True)
    if not was_there and not any(folder.iterdir()):
        folder.rmdir()


def _holder(folder: Path) -> str:
    try:
        who = json.loads((folder / HOLDER).read_text(encoding="utf-8"))
        return f" by process {who['process']} on {who['host']} since {who['since']} ({who['purpose']})"
    except (OSError, ValueError, KeyError):
        return " by another process"
