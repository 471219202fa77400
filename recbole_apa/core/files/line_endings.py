"""Git and transfers as text that rewrite line endings: every digest then differs, and nothing else was changed."""

import hashlib
from pathlib import Path

from recbole_apa.core.files.whole import write_text

GIT_ATTRIBUTES, GIT_LINES = ".gitattributes", "* -text\n"
"""Tells git to leave the bytes of every file below it as they are."""
_TEXTS = frozenset({".json", ".jsonl", ".html", ".md", ".csv", ".txt"})
LINE_ENDINGS = (
    ": line endings were changed (git with autocrlf does so, and a copy made as text); restore it from a copy, or put "
    "`* -text` into .gitattributes beside it and check it out again"
)


def keep_bytes(folder: Path) -> None:
    """Have git leave a run folder's bytes as they are; a file of that name that is there already stays."""
    if not (folder / GIT_ATTRIBUTES).exists():
        write_text(folder / GIT_ATTRIBUTES, GIT_LINES)


def how_changed(path: Path, digest: str, otherwise: str) -> str:
    """How a file came not to have its digest: what to put behind its name.

    Args:
        digest: SHA-256 of what was written.
        otherwise: what to say where more was changed than line endings.
    """
    if path.suffix not in _TEXTS:
        return otherwise
    data = path.read_bytes()
    as_written = (data.replace(b"\r\n", b"\n"), data.replace(b"\r", b"\n"))
    return LINE_ENDINGS if digest in {hashlib.sha256(text).hexdigest() for text in as_written} else otherwise
