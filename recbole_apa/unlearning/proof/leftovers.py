"""Files that other programs leave in folders, by name, so that an audit can say what they are and who made them."""

import re

from recbole_apa.runs.names import SCRATCH

_KNOWN = (
    (r"\.DS_Store|\._.*", "macOS stores there how it displayed the folder; delete it"),
    (r"Thumbs\.db|ehthumbs\.db", "Windows stores thumbnails of the folder's files there; delete it"),
    (r"desktop\.ini", "Windows stores there how it displays the folder; delete it"),
    (
        r"\.nfs[0-9a-fA-F]+",
        "a file that was deleted while some process on an NFS client still had it open, which may contain what was "
        "forgotten; it disappears when that process ends",
    ),
    (
        r"\.ipynb_checkpoints",
        "Jupyter's copies of files that were edited there, which may contain what was forgotten; delete them",
    ),
    (
        re.escape(SCRATCH),
        "rows that a killed process left, for RecBole's models, which may contain what was forgotten; the next command "
        "that writes to the run deletes them",
    ),
    (r"\..*\.tmp", "a file of this program that was being written when it was killed; delete it"),
)


def leftover(name: str) -> str:
    """A finding about an entry that is not part of a run.

    Args:
        name: relative to the run folder, with ``/``.
    """
    for pattern, what in _KNOWN:
        if any(re.fullmatch(pattern, part) for part in name.split("/")):
            return f"{name} is not part of the run: {what}"
    return f"{name} is not part of the run: a temporary file or a leftover"


def is_known(name: str) -> bool:
    """Whether it is known which program leaves such an entry."""
    return any(re.fullmatch(pattern, part) for pattern, _ in _KNOWN for part in name.split("/"))
