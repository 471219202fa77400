"""Before a request is taken: can it be finished? Every place that it has to look at or write is tried."""

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
        RunError: a request could not be finished here; names every place that stands in its way.
    """
    problems = [*_within(store.folder), *_outside(store, store.manifest().get("outside", {}))]
    if problems:
        raise RunError(
            "the request was not taken, because it could not be finished:\n  "
            + "\n  ".join(problems)
            + "\nask whoever "
            "owns them for the rights, or let the owner forget"
        )


def _within(folder: Path) -> Iterator[str]:
    """What in a run's folder cannot be replaced."""
    for root, folders, files in os.walk(folder, onerror=_passed_on):
        for name in [*folders, *files]:
            path = Path(root) / name
            if path.is_symlink():
                yield f"{path} is a link: what it leads to would stay; put the file or folder itself there"
        if not may(Path(root)):
            yield f"{root}: no right to read and write this folder"


def _passed_on(error: OSError) -> None:
    # a folder without the right to read is named when its own turn comes; one that is gone is none
    if not isinstance(error, (PermissionError, FileNotFoundError)):
        raise RunError(f"cannot look into the run folder: {error}") from error


def _outside(store: RunStore, named: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """What outside the run folder cannot be looked at, or not be cleaned."""
    salt, home = store.salt, store.home
    for kind in ("tensorboard", "exports", "logs"):
        for path in map(Path, named.get(kind, [])):
            try:
                there = path.exists()
                own = there and kind != "logs" and whose(path, salt, home) == OWN
            except OSError as error:
                yield f"{path} could not be looked at: {error.strerror}"
                continue
            if kind == "logs" and there and not os.access(path, os.R_OK, effective_ids=True):
                yield f"{path}: no right to read this log"
            elif own and kind == "tensorboard" and not (may(path) and may(path.parent)):
                yield f"{path}: no right to delete these tensorboard logs"
            elif own and kind == "exports":
                yield from _try_export(path, salt, home)


def _try_export(path: Path, salt: str, home: str) -> Iterator[str]:
    try:
        mark(path, salt, home)  # it is there already, and says the same
    except RunError as error:
        yield f"{path}: this export could not be written again ({error})"


def may(folder: Path) -> bool:
    """Whether files may be read, made and deleted in a folder."""
    return os.access(folder, RIGHTS, effective_ids=True)
