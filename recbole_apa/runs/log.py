"""A run's own log handlers in RecBole's format, added when it starts and removed when it ends.

RecBole adds its handlers once per process, and not at all if the program has set up logging: a second run would write
to the first one's file, and a notebook would show nothing.
"""

import logging
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count
from logging import FileHandler, Filter, Formatter, Handler, LogRecord, StreamHandler
from pathlib import Path
from typing import TYPE_CHECKING

import colorlog

from recbole_apa.core.local_time import get_local_time

if TYPE_CHECKING:
    from recbole.config import Config

LEVEL_COLOURS = {"DEBUG": "cyan", "WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}
"""RecBole's colours."""
_COLOURS = re.compile(r"\x1B(?:[@-Z\\-_]|\[[0-?]*[ -/]*[@-~])")


class _Scope:
    """One call that logs: its handlers, once it has started them."""

    def __init__(self) -> None:
        self.handlers: list[Handler] = []


_scope: ContextVar[_Scope | None] = ContextVar("recbole_apa_run_log", default=None)


@contextmanager
def own_log() -> Iterator[None]:
    """Handlers that :func:`start_log` adds meanwhile are removed at the end; also a decorator. When nested it does
    nothing: a comparison's runs write to the comparison's log."""
    if _scope.get() is not None:
        yield
        return
    scope = _Scope()
    token = _scope.set(scope)
    try:
        yield
    finally:
        _scope.reset(token)
        _root.leave(scope.handlers)


def start_log(config: "Config", folder: Path | None) -> None:
    """Log to standard error, and to ``<folder>/<model>/<model>-<dataset>-<time>.log``, until :func:`own_log` ends.

    Does nothing outside of :func:`own_log`, or if the log was already started.

    Args:
        config: RecBole's, for the level (``state``) and the file's name.
        folder: None writes no file.

    Raises:
        OSError: the file cannot be created.
    """
    scope = _scope.get()
    if scope is None or scope.handlers:
        return
    level = logging.getLevelName(str(config["state"] or "info").upper())
    level = level if isinstance(level, int) else logging.INFO
    handlers: list[Handler] = [_shown()] if folder is None else [_shown(), _file(config, folder)]
    for handler in handlers:
        handler.setLevel(level)
        handler.addFilter(_Of(scope))
    scope.handlers = handlers
    _root.enter(handlers, level)


def _shown() -> Handler:
    handler = _Shown()
    look = "%(log_color)s%(asctime)-15s %(levelname)s  %(message)s"
    handler.setFormatter(colorlog.ColoredFormatter(look, "%d %b %H:%M", log_colors=LEVEL_COLOURS))
    handler.addFilter(_NotShown())
    return handler


def _file(config: "Config", folder: Path) -> Handler:
    """A file of its own, even if two runs start in the same second."""
    name = f"{config['model']}-{config['dataset']}-{get_local_time()}"
    (folder / config["model"]).mkdir(parents=True, exist_ok=True)
    for number in count(1):
        path = folder / config["model"] / f"{name}{'' if number == 1 else f'-{number}'}.log"
        try:
            handler = _InFile(path, mode="x", encoding="utf-8", errors="backslashreplace")
        except FileExistsError:
            continue
        handler.mode = "a"  # it is reopened if all handlers are closed, as Ray does when it starts
        handler.setFormatter(_Plain("%(asctime)-15s %(levelname)s  %(message)s", "%a %d %b %Y %H:%M:%S"))
        return handler
    raise AssertionError


class _Shown(StreamHandler):
    """The current standard error, also that of a notebook."""

    failed = False

    def handleError(self, record: LogRecord) -> None:
        """Nobody is reading any more: stay silent, and let the run continue."""
        self.failed = True


class _InFile(FileHandler):
    """A file; if it can no longer be written, one line says so."""

    failed = False

    def handleError(self, record: LogRecord) -> None:
        """Replaces :meth:`logging.Handler.handleError`, which prints a traceback for every line."""
        if not self.failed and sys.stderr is not None:
            self.failed = True
            sys.stderr.write(f"the log {self.baseFilename} can no longer be written: {sys.exc_info()[1]}\n")


class _Plain(Formatter):
    """Without colours."""

    def format(self, record: LogRecord) -> str:
        """See :class:`logging.Formatter`."""
        return _COLOURS.sub("", super().format(record))


class _Root:
    """The root logger while calls log; after the last of them its level and the program's handlers are restored."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ours: list[Handler] = []
        self._others: list[Handler] = []
        self._before = self._during = logging.NOTSET
        self._as_before = _AsBefore(logging.NOTSET)

    def enter(self, handlers: list[Handler], level: int) -> None:
        """Add handlers, and lower the level for these handlers only."""
        root = logging.getLogger()
        with self._lock:
            if not self._ours:
                self._before = self._during = root.level
                self._as_before, self._others = _AsBefore(root.level), list(root.handlers)
                for other in self._others:
                    other.addFilter(self._as_before)
            self._ours += handlers
            for handler in handlers:
                root.addHandler(handler)
            if root.level > level:
                root.setLevel(level)
                self._during = level

    def leave(self, handlers: list[Handler]) -> None:
        """Remove handlers."""
        root = logging.getLogger()
        with self._lock:
            for handler in handlers:
                root.removeHandler(handler)
                self._ours.remove(handler)
                handler.close()
            if handlers and not self._ours:
                for other in self._others:
                    other.removeFilter(self._as_before)
                self._others = []
                if root.level == self._during:  # otherwise the program has set it meanwhile
                    root.setLevel(self._before)

    def is_shown(self, record: LogRecord) -> bool:
        """Whether one of the program's own handlers shows a record on the terminal."""
        consoles = [h for h in self._others if h in logging.getLogger().handlers and _is_console(h)]
        return self._as_before.filter(record) and any(h.level <= record.levelno for h in consoles)


class _Of(Filter):
    """Records of one call, if calls run in several threads; all records of helper threads, which belong to no call."""

    def __init__(self, scope: _Scope) -> None:
        super().__init__()
        self._scope = scope

    def filter(self, record: LogRecord) -> bool:
        """See :class:`logging.Filter`."""
        return _scope.get() in (None, self._scope)


class _NotShown(Filter):
    """Records that none of the program's own handlers shows on the terminal."""

    def filter(self, record: LogRecord) -> bool:
        """See :class:`logging.Filter`."""
        return not _root.is_shown(record)


class _AsBefore(Filter):
    """Records that the program's own handlers would have received without the run's log."""

    def __init__(self, level: int) -> None:
        super().__init__()
        self._level = level

    def filter(self, record: LogRecord) -> bool:
        """See :class:`logging.Filter`."""
        return record.levelno >= self._level or _has_own_level(record.name)


def _has_own_level(name: str) -> bool:
    logger: logging.Logger | None = logging.getLogger(name)
    while logger is not None and logger.parent is not None:
        if logger.level:
            return True
        logger = logger.parent
    return False


def _is_console(handler: Handler) -> bool:
    stream = getattr(handler, "stream", None) if isinstance(handler, StreamHandler) else None
    return stream is not None and stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)


_root = _Root()
