"""What a run leaves outside its folder: deleted, and written again, only where it carries that run's own mark.

A manifest may come from a stranger, and may name any folder of the person who opens the run.
"""

import json
import re
from collections.abc import Collection
from pathlib import Path

from recbole_apa.files import write_text
from recbole_apa.seeding import digest_of

MARK = ".recbole-apa-run"
_EVENTS = "events.out.tfevents."
_EXPORTED = frozenset({"train.jsonl", "valid.jsonl", "test.jsonl"})


def mark(folder: Path, salt: str) -> None:
    """Say whose a folder is."""
    write_text(folder / MARK, digest_of("mark", salt).hex() + "\n")


def is_marked(folder: Path, salt: str) -> bool:
    """Whether a folder carries the mark of the run with this salt."""
    path = folder / MARK
    return path.is_file() and path.read_bytes() == f"{digest_of('mark', salt).hex()}\n".encode()


def are_own_logs(folder: Path, salt: str, run: str) -> bool:
    """Whether a folder holds a run's tensorboard logs and nothing else.

    Args:
        run: the run folder's name; runs before format 3 left no mark, and their logs are known by it.
    """
    if not folder.is_dir() or folder.is_symlink():
        return False
    names = [path.name for path in folder.iterdir()]
    if not all(name.startswith(_EVENTS) or name == MARK for name in names):
        return False
    named = folder.parent.name == "log_tensorboard" and re.fullmatch(re.escape(run) + "-[0-9a-f]{8}", folder.name)
    return is_marked(folder, salt) or (MARK not in names and bool(named))


def remove_logs(folder: Path) -> None:
    """Delete logs of which :func:`are_own_logs` holds, if they are there."""
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def is_own_export(folder: Path, salt: str, known: Collection[str]) -> bool:
    """Whether a folder holds a run's export.

    Args:
        known: ids of the run's samples; runs before format 3 left no mark, and their exports are known by them.
    """
    if is_marked(folder, salt):
        return True
    paths = [folder / name for name in sorted(_EXPORTED)]
    if (folder / MARK).exists() or not all(path.is_file() and not path.is_symlink() for path in paths):
        return False
    try:
        lines = [json.loads(line) for path in paths for line in path.read_text(encoding="utf-8").splitlines()]
        return all(line["sample_id"] in known for line in lines)
    except (ValueError, KeyError, TypeError, OSError):
        return False
