"""Rows that comparisons write for RecBole's models, among the machine's temporary files: a killed one leaves them."""

import shutil
import tempfile
from pathlib import Path

import psutil

ROWS = "recbole-apa-next-"
"""How the folders begin that rows are written to; then comes the number of the process."""


def left_rows() -> list[Path]:
    """Folders of processes that are gone."""
    return [folder for folder in sorted(Path(tempfile.gettempdir()).glob(f"{ROWS}*")) if _is_left(folder)]


def remove_left_rows() -> None:
    """Delete them: whoever is forgotten may be in them."""
    for folder in left_rows():
        shutil.rmtree(folder, ignore_errors=True)


def _is_left(folder: Path) -> bool:
    process = folder.name.removeprefix(ROWS).split("-")[0]
    return process.isdecimal() and not psutil.pid_exists(int(process))
