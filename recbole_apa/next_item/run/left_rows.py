"""Rows that comparisons write for RecBole's models, among the machine's temporary files: a killed one leaves them."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil

from recbole_apa.core.system.file_locks import HeldError, NoLocksError, locked

_NAME = re.compile(r"recbole-apa-next-([1-9][0-9]{0,8})-[^/]+")
"""With the number of the process."""
_LOCK = ".lock"
"""Held while the rows are used: in another container the number of the process says nothing."""


@contextmanager
def folder_of_rows() -> Iterator[Path]:
    """A folder for rows, which is deleted afterwards; those that killed processes left are deleted before."""
    remove_left_rows()
    folder = Path(tempfile.mkdtemp(prefix=f"recbole-apa-next-{os.getpid()}-"))
    try:
        with ExitStack() as stack:
            with suppress(NoLocksError):  # then nobody takes it for left, either
                stack.enter_context(locked(folder / _LOCK))
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def left_rows() -> list[Path]:
    """Folders of processes that are gone."""
    places = sorted(Path(tempfile.gettempdir()).glob("recbole-apa-next-*"))
    return [folder for folder in places if _is_left(folder)]


def remove_left_rows() -> None:
    """Delete them: whoever is forgotten may be in them."""
    for folder in left_rows():
        shutil.rmtree(folder, ignore_errors=True)


def _is_left(folder: Path) -> bool:
    named = _NAME.fullmatch(folder.name)
    if named is None or folder.is_symlink() or not folder.is_dir() or psutil.pid_exists(int(named[1])):
        return False
    try:
        with locked(folder / _LOCK):
            return True
    except (HeldError, OSError):  # in use, without locks, or somebody else's
        return False
