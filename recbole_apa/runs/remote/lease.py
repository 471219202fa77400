"""One writer per run on an object store: a lease that its holder has to renew, as a dead holder cannot release it."""

import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from logging import getLogger
from typing import TypedDict

from recbole_apa.core.errors import RunError
from recbole_apa.runs.remote.objects import RunObjects, told

LEASE = "lease.json"
SECONDS, RENEWED = 300.0, 60.0
"""Seconds that a lease lasts, and seconds between renewals."""

_LATEST = 4e9
"""Latest end of a lease, in seconds since 1970: the year 2096."""


class Lease(TypedDict, total=False):
    """What ``lease.json`` says: who writes, and until when unless it is renewed."""

    owner: str
    process: int
    host: str
    since: str
    purpose: str
    until: float
    """Seconds since 1970."""


@contextmanager
def lease(objects: RunObjects, purpose: str) -> Iterator[None]:
    """Hold the run for writing.

    Its limits: the machines' clocks have to agree within minutes; a process that is suspended for longer than the lease
    lasts loses it, and its next write is rejected (``RunObjects.push``); on stores without exclusive writes two
    processes that start at the same moment may both hold it, and the second one's write is rejected.

    Raises:
        RunError: another process holds it.
    """
    mine = secrets.token_hex(8)
    about: Lease = {
        "owner": mine,
        "process": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "purpose": purpose,
    }
    _take(objects, about)
    ended = threading.Event()
    renewing = threading.Thread(target=_renew, args=(objects, about, ended), daemon=True)
    renewing.start()
    try:
        yield
    finally:
        ended.set()
        renewing.join()
        _give_back(objects, mine)


def _take(objects: RunObjects, about: Lease) -> None:
    found = _read(objects)
    if found is not None and found.get("until", 0) > time.time():
        raise RunError(_held(objects, found))
    try:
        objects.write(LEASE, {**about, "until": time.time() + SECONDS}, new=found is None)
    except FileExistsError:
        raise RunError(_held(objects, _read(objects) or Lease())) from None
    now = _read(objects) or Lease()
    if now.get("owner") != about["owner"]:
        raise RunError(_held(objects, now))


def _read(objects: RunObjects) -> Lease | None:
    """The lease that is there, if any.

    Raises:
        RunError: it is not a valid lease, so it cannot be known whether somebody holds it.
    """
    found = objects.read(LEASE)
    until = found.get("until", 0) if isinstance(found, dict) else None
    if found is not None and (not isinstance(until, (int, float)) or not 0 <= until < _LATEST):
        raise RunError(f"{objects.url}/{LEASE} is damaged; delete it if no process writes there")
    held: Lease | None = found
    return held


def _renew(objects: RunObjects, about: Lease, ended: threading.Event) -> None:
    while not ended.wait(RENEWED):
        try:
            if (_read(objects) or about).get("owner") != about["owner"]:
                getLogger().warning(f"{objects.url}: another process took the lease, which had expired")
                return
            objects.write(LEASE, {**about, "until": time.time() + SECONDS})
        except RunError as error:
            getLogger().warning(f"the lease could not be renewed: {error}")


def _give_back(objects: RunObjects, mine: str) -> None:
    try:
        if (_read(objects) or Lease()).get("owner") == mine:
            with told(objects.url):
                objects.fs.rm_file(objects.path(LEASE))
    except RunError as error:
        getLogger().warning(f"the lease could not be released and will expire by itself: {error}")


def _held(objects: RunObjects, found: Lease) -> str:
    until = datetime.fromtimestamp(found.get("until", 0), timezone.utc).isoformat(timespec="seconds")
    return (
        f"{objects.url} is in use by process {found.get('process')} on {found.get('host')} since {found.get('since')} "
        f"({found.get('purpose')}); wait for it to end. If it was killed, its lease ends at {until}, or when "
        f"{objects.url}/{LEASE} is deleted"
    )
