"""Read a file from an untrusted source: only regular files, and only JSON such as this program writes."""

import errno
import json
import math
import os
import re
import stat
from pathlib import Path
from typing import Any, NoReturn, TypeVar, cast

from recbole_apa.core.errors import RunError

V = TypeVar("V")

_HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""An escape that may be half of a surrogate pair."""


def read_plain(path: Path) -> bytes:
    """The bytes of a file; a pipe or a device is not opened, as reading it may never end.

    Raises:
        RunError: the file is missing, not a regular file, or not readable.
    """
    refuse_odd(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise RunError(_why_not_read(path, error)) from error


def refuse_odd(path: Path) -> None:
    """
    Raises:
        RunError: the file is missing, or not a regular file (nor a link to one).
    """
    try:
        kind = kind_of(os.stat(path).st_mode)
    except OSError as error:
        raise RunError(_why_not_read(path, error)) from error
    if kind != "file":
        raise RunError(f"{path} is a {kind}; expected a file: restore the run folder from a copy")


def kind_of(mode: int) -> str:
    """``file``, ``folder``, ``link``, ``FIFO``, ``socket`` or ``device``, from the mode that ``os.lstat`` reports."""
    tests = {"file": stat.S_ISREG, "folder": stat.S_ISDIR, "link": stat.S_ISLNK, "FIFO": stat.S_ISFIFO}
    tests["socket"] = stat.S_ISSOCK
    return next((name for name, holds in tests.items() if holds(mode)), "device")


def parse_json(data: bytes) -> Any:
    """Parse JSON as this program writes it: UTF-8, finite numbers, unique keys, no lone surrogates.

    Raises:
        ValueError: anything else; the message says what was found.
    """
    text = data.decode("utf-8")
    try:
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=each_once)
        if _HALF.search(text):
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise ValueError("brackets are nested too deeply") from None
    except UnicodeEncodeError:
        raise ValueError("found half of a surrogate pair") from None
    return value


def copied(value: V) -> V:
    """A copy of what was parsed from JSON, to change; for long lists much faster than ``copy.deepcopy``."""
    return cast(V, _copied(value))


def _copied(value: object) -> object:
    if isinstance(value, dict):
        return {name: _copied(part) for name, part in value.items()}
    if isinstance(value, list):
        return [part if type(part) is str else _copied(part) for part in value]
    return value


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number in JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:20]} is too large")
    return number


class RepeatedKeyError(ValueError):
    """A JSON object has a key twice, so which value is meant is unknown."""

    def __init__(self, key: str) -> None:
        super().__init__(f"the key {key!r} occurs twice")
        self.key = key


def each_once(pairs: list[tuple[str, V]]) -> dict[str, V]:
    """An ``object_pairs_hook`` for ``json.loads``.

    Raises:
        RepeatedKeyError: a key occurs twice.
    """
    out = dict(pairs)
    if len(out) < len(pairs):
        keys = [key for key, _ in pairs]
        raise RepeatedKeyError(next(k for k in keys if keys.count(k) > 1))
    return out


def _why_not_read(path: Path, error: OSError) -> str:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return f"{path} is missing; expected it in a run folder: restore it from a copy"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{path} is there, and you have no right to read it; ask its owner"
    return f"cannot read {path}: {error.strerror or error}; restore the run folder from a copy"
