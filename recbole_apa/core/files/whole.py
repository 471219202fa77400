"""Atomic writes: a file is written under a temporary name, synced, and renamed."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from recbole_apa.core.errors import RunError
from recbole_apa.core.files.permissions import as_usual
from recbole_apa.core.files.plain import parse_json, read_plain

_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP)
"""Errors from a file system that cannot sync folders, or has no need to."""


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` create a file or folder under a temporary name next to ``path``, then rename it.

    Raises:
        RunError: it cannot be written (permissions, no space); nothing incomplete is left at ``path``.
    """
    temporary = temporary_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove(temporary)
        write(temporary)
        as_usual(temporary)
        for file in [temporary, *temporary.rglob("*")] if temporary.is_dir() else [temporary]:
            _sync(file)
        if path.is_dir() and not temporary.is_dir():  # a folder gives way to a folder, never to a file
            raise IsADirectoryError(errno.EISDIR, "a folder is there", str(path))
        if path.is_dir():
            shutil.rmtree(path)
        os.replace(temporary, path)
        _sync(path.parent)
    # safetensors raises its own error class if the disk is full
    except Exception as error:
        with contextlib.suppress(OSError):
            _remove(temporary)
        if isinstance(error, OSError) or "SafetensorError" in type(error).__name__:
            raise RunError(_why_not_written(path, error)) from error
        raise


def temporary_of(path: Path) -> Path:
    """The name under which a file or folder is written at first; a killed process may leave it."""
    return path.with_name(f".{path.name}.tmp")


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically; line endings stay as they are."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically."""

    def write(target: Path) -> None:
        target.write_bytes(data)

    write_whole(path, write)


def write_json(path: Path, value: object) -> None:
    """Write JSON with sorted keys, atomically."""
    write_text(path, json_text(value))


def json_text(value: object) -> str:
    """JSON as :func:`write_json` writes it."""
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def read_json(path: Path) -> Any:
    """
    Raises:
        RunError: the file is missing, not a regular file, or not JSON.
    """
    return json_of(read_plain(path), path)


def json_of(data: bytes, path: Path) -> Any:
    """JSON from bytes that have already been read.

    Args:
        path: used in messages.

    Raises:
        RunError: not JSON, or JSON that this program would never write.
    """
    try:
        return parse_json(data)
    except ValueError as error:  # also an invalid byte, or a number of thousands of digits
        raise RunError(f"{path} is damaged ({str(error)[:200]}); restore the run folder from a copy") from None


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes.

    Raises:
        RunError: it exists but is not readable.
    """
    h = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while chunk := file.read(1 << 20):
                h.update(chunk)
    except PermissionError:
        raise RunError(_no_right(path)) from None
    return h.hexdigest()


def _no_right(path: Path) -> str:
    return f"{path} is there, and you have no right to read it; ask its owner"


def sync_folder(path: Path) -> None:
    """Make sure that the names in a folder survive a power loss."""
    _sync(path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC or not path.is_dir():
            raise
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _why_not_written(path: Path, error: Exception) -> str:
    if (isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)) or "No space left" in str(error):
        return f"no space left while writing {path}; no incomplete file was kept: free some space and start again"
    return f"cannot write {path}: {error}; choose another folder with --run_dir, or fix its permissions"
