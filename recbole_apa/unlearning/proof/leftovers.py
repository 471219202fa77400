"""What other programs leave in folders, by name: an audit says what it is, and who made it."""

import re

_KNOWN = (
    (r"\.DS_Store|\._.*", "macOS keeps how it showed the folder there; delete it"),
    (r"Thumbs\.db|ehthumbs\.db", "Windows keeps small pictures of the folder's files there; delete it"),
    (r"desktop\.ini", "Windows keeps how it shows the folder there; delete it"),
    (
        r"\.nfs[0-9a-fA-F]+",
        "a file that was deleted while some process on an NFS client still had it open, and may hold what was "
        "forgotten; it goes when that process ends",
    ),
    (
        r"\.ipynb_checkpoints",
        "Jupyter's copies of files that were edited there, which may hold what was forgotten; delete them",
    ),
    (r"\..*\.tmp", "a file of this program that was being written when it was killed; delete it"),
)


def leftover(name: str) -> str:
    """A finding about an entry that is no part of a run.

    Args:
        name: below the run folder, with ``/``.
    """
    for pattern, what in _KNOWN:
        if any(re.fullmatch(pattern, part) for part in name.split("/")):
            return f"{name} is no part of the run: {what}"
    return f"{name} is no part of the run: a temporary file or a leftover"


def is_known(name: str) -> bool:
    """Whether it is known who leaves such an entry."""
    return any(re.fullmatch(pattern, part) for pattern, _ in _KNOWN for part in name.split("/"))
