"""Check, before a request is accepted, that it can be finished: try every place that it has to read or write."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from recbole_apa.core.errors import RunError
from recbole_apa.runs.outside import OWN, mark, whose
from recbole_apa.runs.store import RunStore

RIGHTS = os.R_OK | os.W_OK | os.X_OK


def refuse_unreachable(store: RunStore) -> None:
    """
    Raises:
        RunError: a request could not be finished here; names every place that prevents it.
    """
    problems = [*_within(store.folder), *_outside(store, store.manifest().get("outside", {}))]
    if problems:
        raise RunError(
            "the request was not accepted, because it could not be finished:\n  "
            + "\n  ".join(problems)
            + "\nask the owner for the rights, or have the owner run the request"
        )


def _within(folder: Path) -> Iterator[str]:
    """What cannot be replaced in a run's folder."""
    for root, folders, files in os.walk(folder, onerror=_passed_on):
        for name in [*folders, *files]:
            path = Path(root) / name
            if path.is_symlink():
                yield f"{path} is a link: its target would stay; put the file or folder itself there"
        if not may(Path(root)):
            yield f"{root}: no right to read and write this folder"


def _passed_on(error: OSError) -> None:
    # an unreadable folder is named when its turn comes; one that is gone does not matter
    if not isinstance(error, (PermissionError, FileNotFoundError)):
        raise RunError(f"cannot look into the run folder: {error}") from error


def _outside(store: RunStore, named: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """What cannot be checked or cleaned outside the run folder."""
    salt, home = store.salt, store.home
    for kind in ("tensorboard", "exports", "logs"):
        for path in map(Path, named.get(kind, [])):
            try:
                there = path.exists()
                own = there and kind != "logs" and whose(path, salt, home) == OWN
            except OSError as error:
                yield f"{path} could not be checked: {error.strerror}"
                continue
            if kind == "logs" and there and not os.access(path, os.R_OK, effective_ids=True):
                yield f"{path}: no right to read this log"
            elif own and kind == "tensorboard" and not (may(path) and may(path.parent)):
                yield f"{path}: no right to delete these tensorboard logs"
            elif own and kind == "exports":
                yield from _try_export(path, salt, home)


def _try_export(path: Path, salt: str, home: str) -> Iterator[str]:
    try:
        mark(path, salt, home)  # the same mark is already there
    except RunError as error:
        yield f"{path}: this export could not be rewritten ({error})"


def may(folder: Path) -> bool:
    """Whether files may be read, created and deleted in a folder."""
    return os.access(folder, RIGHTS, effective_ids=True)
