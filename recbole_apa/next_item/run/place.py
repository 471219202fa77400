"""A new folder for a run without a given one."""

import contextlib
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from recbole_apa.core.errors import RunError
from recbole_apa.core.local_time import get_local_time
from recbole_apa.next_item.options import MODEL, NextItemOptions


@contextlib.contextmanager
def new_folder(options: NextItemOptions) -> Iterator[Path]:
    """``saved/APANext-<dataset>-<time>``, in RecBole's ``checkpoint_dir``; with ``-2``, ``-3``, ... if it exists. If it
    is still empty at the end, it is removed.

    Raises:
        RunError: it cannot be created.
    """
    usual = Path(options.checkpoint_dir) / f"{MODEL}-{options.dataset}-{get_local_time()}"
    folder = _made(usual)
    try:
        yield folder
    finally:
        with contextlib.suppress(OSError):  # it is not empty
            folder.rmdir()


def _made(usual: Path) -> Path:
    try:
        usual.parent.mkdir(parents=True, exist_ok=True)
        for number in count(1):
            folder = usual if number == 1 else usual.with_name(f"{usual.name}-{number}")
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                return folder
    except OSError as error:
        raise RunError(f"cannot create {usual}: {error}; name another folder with --run_dir") from error
    raise AssertionError
