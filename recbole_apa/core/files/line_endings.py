"""Line endings rewritten by git or a text-mode transfer: every digest then differs, although nothing else changed."""

import hashlib
from pathlib import Path

from recbole_apa.core.files.whole import write_text

GIT_ATTRIBUTES, GIT_LINES = ".gitattributes", "* -text\n"
"""Tells git not to change the bytes of any file in the folder."""
_TEXTS = frozenset({".json", ".jsonl", ".html", ".md", ".csv", ".txt"})
LINE_ENDINGS = (
    ": line endings were changed (by git with autocrlf, or by a text-mode copy); restore it from a copy, or put "
    "`* -text` into a .gitattributes next to it and check it out again"
)


def keep_bytes(folder: Path) -> None:
    """Have git leave a run folder's bytes unchanged; an existing ``.gitattributes`` is kept."""
    if not (folder / GIT_ATTRIBUTES).exists():
        write_text(folder / GIT_ATTRIBUTES, GIT_LINES)


def how_changed(path: Path, digest: str, otherwise: str) -> str:
    """Why a file does not have its digest: text to append to its name in a message.

    Args:
        digest: SHA-256 of what was written.
        otherwise: what to say if more than line endings was changed.
    """
    if path.suffix not in _TEXTS:
        return otherwise
    data = path.read_bytes()
    as_written = (data.replace(b"\r\n", b"\n"), data.replace(b"\r", b"\n"))
    return LINE_ENDINGS if digest in {hashlib.sha256(text).hexdigest() for text in as_written} else otherwise
