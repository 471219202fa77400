"""One JSON file for each row and seed of a comparison: the settings, the result, and how it was measured."""

import hashlib
import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path

import psutil

from recbole_apa.core.errors import RunError
from recbole_apa.core.files.whole import read_json, write_json
from recbole_apa.core.option import Says
from recbole_apa.core.option_table import LATER_OPTIONS, names_that_say
from recbole_apa.core.seeding import digest_of
from recbole_apa.core.settings import CollaborativeSettings

FORMAT = 1
DONE, FAILED = "done", "failed"
ROWS = "rows"
_IF_ANY = ("faults", "settings", "all_scores", "machine")
"""Fields that are written if they are not empty."""
REFERENCE = "Retraining"
"""The row that the others are compared with."""
UNLEARN_SECONDS = "unlearn_seconds"
"""The figure that a row lacks if no request was timed."""
KINDS = ("interactions", "users", "items")
"""What the requests name of which a row keeps the average."""


@dataclass(frozen=True)
class Row:
    """One method with one seed."""

    method: str
    seed: int
    status: str
    """``done`` or ``failed``."""
    reason: str = ""
    """Why it failed."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """Their keys say the units."""
    scores: Sequence[float] = ()
    """Of the test samples, in order; ranks of the liked items if lists are ranked."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """``settings``, ``data``, ``code``."""
    faults: Sequence[str] = ()
    """Measures that could not be taken when the row was measured, and why; their figures are missing."""
    settings: Mapping[str, float | str] = field(default_factory=dict)
    """Of an approximate method: its own options, and how it was trained."""
    all_scores: Sequence[float] = ()
    """Of every row of the test split, if they were scored."""
    machine: str = ""
    """The kind that it was measured on, which decides what ``dtype: auto`` is; empty in rows of before."""


def problems(rows: Sequence[Row]) -> list[str]:
    """What went wrong, in a line each: rows that failed, and measures that could not be taken."""
    out = [f"failed: {row.method}, seed {row.seed}: {row.reason}" for row in rows if row.status != DONE]
    return out + [f"fault: {row.method}, seed {row.seed}: {fault}" for row in rows for fault in row.faults]


class RowStore:
    """The rows of one comparison in a folder; a finished row is not computed again.

    Args:
        only_read: nothing may be written; a row that is not there is an error.
    """

    def __init__(self, folder: Path, only_read: bool = False) -> None:
        self.folder, self.only_read = folder / ROWS, only_read

    def path(self, method: str, seed: int, key: str) -> Path:
        """The file of a row; ``key`` changes with settings and data."""
        plain = "".join(c if c.isalnum() or c in "-+=" else "_" for c in method)
        return self.folder / f"{plain}-s{seed}-{digest_of(method, key).hex()[:12]}.json"

    def find(self, method: str, seed: int, key: str) -> Row | None:
        """A finished row; None if there is none."""
        path = self.path(method, seed, key)
        if not path.is_file():
            return None
        value = read_json(path)
        row = Row(**{k: v for k, v in value.items() if k != "format"})
        return row if row.status == DONE else None

    def refuse_missing(self, methods: Sequence[str], seed: int) -> None:
        """
        Raises:
            RunError: rows would have to be measured, and are only to be read.
        """
        if self.only_read:
            raise RunError(
                f"{self.folder} has no finished row of {', '.join(methods)} with seed {seed} and these options and "
                "data, whose scores are as they were judged; expected all rows to be there, as they are only read: "
                "measure it with a comparison into that folder, or into a copy"
            )

    def save(self, row: Row, key: str) -> None:
        """Write a row, whole or not at all."""
        told = {name: value for name, value in vars(row).items() if name not in _IF_ANY or value}
        write_json(self.path(row.method, row.seed, key), {"format": FORMAT, **told})


def deciding_options(options: Mapping[str, object]) -> dict[str, object]:
    """The run's options that decide a row's figures, without the seed and the data's location; options added after rows
    were stored are left out while they have the value that changes nothing. Rows of models rest on no collaborative
    statistics, whatever those options say."""
    neutral = {name for name, value in LATER_OPTIONS.items() if options.get(name) == value}
    neutral |= {f.name for f in fields(CollaborativeSettings)} | set(names_that_say(Says.ROUNDS_ALONE))
    return {name: value for name, value in options.items() if name not in {"seed", "data_path", *neutral}}


def row_key(settings: Mapping[str, object], data: str) -> str:
    """What decides a row's figures besides its method and seed. The code's digest is recorded in the row and not part
    of the key, so that an interrupted comparison resumes after unrelated fixes."""
    return digest_of(json.dumps(settings, sort_keys=True, default=str), data).hex()


def code_digest() -> str:
    """SHA-256 over the package's own source files."""
    h = hashlib.sha256()
    root = Path(__file__).parent.parent
    for path in sorted(root.rglob("*.py")):
        h.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return h.hexdigest()


@contextmanager
def peak_memory() -> Iterator[list[int]]:
    """Yields a list that holds, at the end, this process's peak resident memory in between, in bytes (sampled twenty
    times a second)."""
    process, done, peak = psutil.Process(os.getpid()), threading.Event(), [0]

    def watch() -> None:
        while True:
            peak[0] = max(peak[0], process.memory_info().rss)
            if done.wait(0.05):
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()
