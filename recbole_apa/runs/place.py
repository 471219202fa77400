"""A new folder for a run without a given one: unique, however many runs start in the same second."""

import contextlib
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_apa.core.errors import RunError
from recbole_apa.core.local_time import get_local_time

if TYPE_CHECKING:
    from recbole.config import Config


def make_run_dir(config: "Config") -> Path:
    """Make ``saved/APA-<dataset>-<time>``, in RecBole's ``checkpoint_dir``; with ``-2``, ``-3``, ... if it exists.

    Raises:
        RunError: it cannot be created.
    """
    return _made(config["checkpoint_dir"], "APA", config["dataset"])


@contextlib.contextmanager
def new_run_dir(checkpoint_dir: str, model: str, dataset: str) -> Iterator[Path]:
    """Like :func:`make_run_dir`, of any model; if the folder is still empty at the end, it is removed."""
    folder = _made(checkpoint_dir, model, dataset)
    try:
        yield folder
    finally:
        with contextlib.suppress(OSError):  # it is not empty
            folder.rmdir()


def _made(checkpoint_dir: str, model: str, dataset: str) -> Path:
    usual = Path(checkpoint_dir) / f"{model}-{dataset}-{get_local_time()}"
    try:
        usual.parent.mkdir(parents=True, exist_ok=True)
        for number in count(1):
            folder = usual if number == 1 else usual.with_name(f"{usual.name}-{number}")
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                return folder
    except OSError as error:
        raise RunError(
            f"cannot create {usual}: {error}; name another folder with --run_dir, or fix the rights of {usual.parent}"
        ) from error
    raise AssertionError
