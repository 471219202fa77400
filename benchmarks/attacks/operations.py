"""Counts the file operations of this process below some folders, and kills it at one of them.

The patches stand where Python calls the operating system, so that nothing of the package is known here. A kill after
an operation leaves what a kill before the next one leaves; "half" cuts what is being written.
"""

import builtins
import io
import os
import pathlib
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BEFORE, HALF = "before", "half"
WRITES = frozenset({"write", "serialize_file", "sendfile", "copy_file_range"})
"""Operations that can be cut in half."""
_ON_NAMES = ("mkdir", "rmdir", "unlink", "remove", "truncate", "chmod", "utime", "symlink")
_ON_TWO = ("rename", "replace", "link")
_ON_HANDLES = ("fsync", "fdatasync", "ftruncate")


@dataclass
class Watch:
    """What was done so far, and when to die."""

    roots: tuple[str, ...]
    kill_at: int | None = None
    """1, 2, 3, ...; None: only count."""
    manner: str = BEFORE
    seen: list[tuple[str, str]] = field(default_factory=list)
    """Operation, and the file's name below its root."""

    def concerns(self, path: str) -> str | None:
        """The name below a root; None for what lies elsewhere."""
        for root in self.roots:
            if path == root or path.startswith(root + os.sep):
                return os.path.basename(root) + path[len(root) :]
        return None

    def hit(self, kind: str, path: str, half: Callable[[], Any] | None = None) -> None:
        """Note an operation that is about to happen, and kill this process if it is the one."""
        name = self.concerns(path)
        if name is None:
            return
        self.seen.append((kind, name))
        if len(self.seen) == self.kill_at:
            if self.manner == HALF and half is not None:
                half()
            os.kill(os.getpid(), signal.SIGKILL)


def watch(roots: list[Path], kill_at: int | None = None, manner: str = BEFORE) -> Watch:
    """Patch this process, for good: it is a forked child that ends soon."""
    found = Watch(tuple(str(root) for root in roots), kill_at, manner)
    for name in _ON_NAMES:
        setattr(os, name, _on_name(found, name, getattr(os, name)))
    for name in _ON_TWO:
        setattr(os, name, _on_two(found, name, getattr(os, name)))
    for name in _ON_HANDLES:
        setattr(os, name, _on_handle(found, name, getattr(os, name)))
    for name in ("sendfile", "copy_file_range"):
        setattr(os, name, _on_copy(found, name, getattr(os, name)))
    os.write = _on_write(found, os.write)  # type: ignore[assignment]
    os.open = _on_os_open(found, os.open)  # type: ignore[assignment]
    builtins.open = io.open = _on_open(found, io.open)  # type: ignore[assignment]
    _watch_pathlib()
    _watch_safetensors(found)
    return found


def _watch_pathlib() -> None:
    """Python 3.10's paths hold the functions of ``os`` and ``io`` as they were when pathlib was imported."""
    accessor = getattr(pathlib, "_NormalAccessor", None)
    if accessor is not None:
        accessor.open = staticmethod(io.open)
        for name in (*_ON_NAMES, *_ON_TWO):
            if hasattr(accessor, name):
                setattr(accessor, name, staticmethod(getattr(os, name)))


def _path(target: Any, dir_fd: int | None = None) -> str:
    """An absolute path of a name or handle; "" where it has none."""
    try:
        if isinstance(target, int):
            return os.readlink(f"/proc/self/fd/{target}")
        name = os.fsdecode(target)
        return os.path.join(_path(dir_fd), name) if dir_fd is not None else os.path.abspath(name)
    except (OSError, TypeError):
        return ""


def _on_name(found: Watch, kind: str, original: Callable[..., Any]) -> Callable[..., Any]:
    def operation(path: Any, *args: Any, **kwargs: Any) -> Any:
        found.hit(kind, _path(path, kwargs.get("dir_fd")))
        return original(path, *args, **kwargs)

    return operation


def _on_two(found: Watch, kind: str, original: Callable[..., Any]) -> Callable[..., Any]:
    def operation(old: Any, new: Any, **kwargs: Any) -> Any:
        target = _path(new, kwargs.get("dst_dir_fd"))
        found.hit(kind, target if found.concerns(target) else _path(old, kwargs.get("src_dir_fd")))
        return original(old, new, **kwargs)

    return operation


def _on_handle(found: Watch, kind: str, original: Callable[..., Any]) -> Callable[..., Any]:
    def operation(handle: Any, *args: Any) -> Any:
        found.hit(kind, _path(handle if isinstance(handle, int) else handle.fileno()))
        return original(handle, *args)

    return operation


def _on_copy(found: Watch, kind: str, original: Callable[..., Any]) -> Callable[..., Any]:
    """``sendfile(out, in, offset, count)`` and ``copy_file_range(in, out, count, ...)``."""
    out = 0 if kind == "sendfile" else 1

    def operation(*args: Any) -> Any:
        source = args[1 - out]
        half = os.fstat(source).st_size // 2
        found.hit(kind, _path(args[out]), lambda: _copy(source, args[out], half))
        return original(*args)

    return operation


def _copy(source: int, target: int, size: int) -> None:
    os.lseek(source, 0, os.SEEK_SET)
    _plain_write(target, os.read(source, size))


_plain_write = os.write


def _on_write(found: Watch, original: Callable[[int, Any], int]) -> Callable[[int, Any], int]:
    def write(handle: int, data: Any) -> int:
        found.hit("write", _path(handle), lambda: original(handle, data[: len(data) // 2]))
        return original(handle, data)

    return write


def _on_os_open(found: Watch, original: Callable[..., int]) -> Callable[..., int]:
    def opened(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            found.hit("open", _path(path, kwargs.get("dir_fd")))
        return original(path, flags, *args, **kwargs)

    return opened


def _on_open(found: Watch, original: Callable[..., Any]) -> Callable[..., Any]:
    class Raw(io.FileIO):
        """A file whose writes are counted as they reach the operating system."""

        def write(self, data: Any) -> int:  # type: ignore[override]
            found.hit("write", _path(self.fileno()), lambda: io.FileIO.write(self, bytes(data)[: len(data) // 2]))
            return io.FileIO.write(self, data)

    def opened(
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        if not set(mode) & set("wax+") or found.concerns(_path(file)) is None:
            return original(file, mode, buffering, encoding, errors, newline, closefd, opener)
        if not isinstance(file, int):
            found.hit("open", _path(file))
        raw = Raw(file, mode.replace("b", "").replace("t", ""), closefd, opener)
        if buffering == 0:
            return raw
        buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding, errors, newline)

    return opened


def _watch_safetensors(found: Watch) -> None:
    """Its writer is no Python: all of a file is one operation."""
    import safetensors.torch

    original = safetensors.torch.serialize_file

    def serialize_file(tensors: Any, filename: Any, *args: Any, **kwargs: Any) -> Any:
        def half() -> None:
            original(tensors, filename, *args, **kwargs)
            with io.FileIO(filename, "r+") as file:
                file.truncate(os.path.getsize(filename) // 2)

        found.hit("serialize_file", _path(filename), half)
        return original(tensors, filename, *args, **kwargs)

    safetensors.torch.serialize_file = serialize_file
