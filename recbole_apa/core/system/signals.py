"""SIGTERM ends a run as Ctrl-C does: what is finished is kept, workers are ended, the status is 143."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

STATUS = 128 + signal.SIGTERM


class Terminated(SystemExit):
    """SIGTERM came. Raised where the program is, so that everything on the way out is closed; nobody takes it for an
    error of the work."""

    def __init__(self) -> None:
        super().__init__(STATUS)


@contextmanager
def terminable() -> Iterator[None]:
    """Take SIGTERM for :class:`Terminated` meanwhile; also a decorator.

    Process 1 of a container gets only the signals that it asks for. A handler that a program has set for itself stays,
    and so it is in threads, which cannot set one.
    """
    before = signal.getsignal(signal.SIGTERM)
    if not _is_main_thread() or not (before is signal.SIG_DFL or _is_rays(before)):
        yield
        return
    signal.signal(signal.SIGTERM, _raise)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def sigterm_kept() -> Iterator[None]:
    """Put back what SIGTERM did before: Ray takes it for itself when it is imported, and once more when it starts."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if _is_main_thread():
            signal.signal(signal.SIGTERM, before)


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _is_rays(handler: object) -> bool:
    return str(getattr(handler, "__module__", "")).startswith("ray.")


def _raise(number: int, frame: object) -> NoReturn:
    raise Terminated
