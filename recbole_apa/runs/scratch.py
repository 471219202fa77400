"""Where rows stand that RecBole's own models read from files, while they are trained."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recbole_apa.runs.names import SCRATCH


@contextmanager
def scratch(run: Path | None) -> Iterator[Path]:
    """An empty folder for rows, deleted at the end. A killed process leaves it: in a run's folder, under one name,
    until the next command that writes to the run; without a run among the machine's temporary files.

    Args:
        run: the folder of a run that this process writes to; None if it writes to none.

    Raises:
        OSError: it cannot be made or deleted.
    """
    if run is None:
        with tempfile.TemporaryDirectory(prefix="recbole-apa-") as name:
            yield Path(name)
        return
    remove_scratch(run)
    run.mkdir(parents=True, exist_ok=True)
    folder = run / SCRATCH
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        remove_scratch(run)


def remove_scratch(run: Path) -> None:
    """Delete rows that a killed process left in a run's folder; a link goes, what it leads to stays."""
    folder = run / SCRATCH
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder)
    else:
        folder.unlink(missing_ok=True)
