"""SIGTERM ends a run as Ctrl-C does: finished work is kept, workers are stopped, and the exit status is 143."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

STATUS = 128 + signal.SIGTERM


class Terminated(SystemExit):
    """SIGTERM was received. Raised wherever the program currently is, so that everything is closed on the way out; not
    mistaken for an error of the work."""

    def __init__(self) -> None:
        super().__init__(STATUS)


@contextmanager
def terminable() -> Iterator[None]:
    """Raise :class:`Terminated` on SIGTERM; context manager and decorator.

    Process 1 of a container gets only signals that it has handlers for. A handler set by the calling program is left
    in place; in threads, which cannot set one, nothing is changed.
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
    """Restore the previous SIGTERM handler: Ray replaces it when imported, and again when it starts."""
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
