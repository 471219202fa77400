"""Rights count for root too, while it lasts: tests of them run in containers, where everybody is root."""

import ctypes
import os
import sys
from contextlib import contextmanager

import pytest

_DAC_OVERRIDE, _DAC_READ_SEARCH, _FOWNER = 1, 2, 3
_VERSION_3 = 0x20080522


class _Head(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Data(ctypes.Structure):
    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)]


@contextmanager
def ordinary_user():
    """Root without the right to pass over rights, in this thread; anybody else as he is."""
    if os.name != "posix" or os.geteuid() != 0:
        yield
        return
    if sys.platform != "linux":
        pytest.skip("root, and not on Linux: rights cannot be tried")
    libc = ctypes.CDLL(None, use_errno=True)
    head, before, less = _Head(_VERSION_3, 0), (_Data * 2)(), (_Data * 2)()
    assert libc.capget(ctypes.byref(head), before) == 0
    ctypes.memmove(less, before, ctypes.sizeof(before))
    less[0].effective &= ~(1 << _DAC_OVERRIDE | 1 << _DAC_READ_SEARCH)
    assert libc.capset(ctypes.byref(head), less) == 0
    try:
        yield
    finally:
        assert libc.capset(ctypes.byref(head), before) == 0


@contextmanager
def read_only(folder):
    """A folder, and all in it, that an ordinary user cannot write."""
    entries = [folder, *folder.rglob("*")]
    modes = {path: path.stat().st_mode & 0o7777 for path in entries}
    for path in entries:
        path.chmod(modes[path] & ~0o222)
    try:
        with ordinary_user():
            yield folder
    finally:
        for path, mode in modes.items():
            path.chmod(mode)
