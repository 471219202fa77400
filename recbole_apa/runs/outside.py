"""What a run leaves outside its folder: deleted or rewritten only if it carries that run's own mark.

A manifest may come from a stranger and name any folder of the person who opens the run, and a copy of a run names what
the original left. So a mark says which run made a folder, and where that run was.
"""

from pathlib import Path

from recbole_apa.core.errors import RunError
from recbole_apa.core.files.whole import read_json, write_text
from recbole_apa.core.seeding import digest_of

MARK = ".recbole-apa-run"
_EVENTS = "events.out.tfevents."
OWN, ANOTHERS, UNKNOWN = "own", "another's", "unknown"
"""Whose a folder is: this run's, another run's, or unknown."""


def mark(folder: Path, salt: str, home: str) -> None:
    """Write into a folder which run it belongs to.

    Args:
        home: where the run is.
    """
    write_text(folder / MARK, f"{digest_of('mark', salt).hex()}\n{home}\n")


def whose(folder: Path, salt: str, home: str) -> str:
    """Whose a folder is, for the run with this salt at this place: ``OWN``, ``ANOTHERS`` or ``UNKNOWN``.

    It is another's if it has another run's mark, or that of a run with the same salt that still exists elsewhere, of
    which this one is a copy. It is unknown without a mark, with an old mark that records no place, or if the run that
    it names is no longer there: that run may have been moved here, or copied and deleted.
    """
    path = folder / MARK
    if folder.is_symlink() or path.is_symlink() or not path.is_file():
        return UNKNOWN
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    if not lines or lines[0] != digest_of("mark", salt).hex():
        return ANOTHERS if lines else UNKNOWN
    if len(lines) != 2:
        return UNKNOWN
    if lines[1] == home:
        return OWN
    # a run on an object store is copied from there, never moved
    return ANOTHERS if "://" in lines[1] or _is_run(Path(lines[1]), salt) else UNKNOWN


def are_own_logs(folder: Path, salt: str, home: str) -> bool:
    """Whether a folder contains this run's TensorBoard logs and nothing else."""
    if whose(folder, salt, home) != OWN:
        return False
    return all(path.name.startswith(_EVENTS) or path.name == MARK for path in folder.iterdir())


def remove_logs(folder: Path) -> None:
    """Delete a folder of own logs (:func:`are_own_logs`), if it exists; the mark that identifies it goes last."""
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir(), key=lambda path: path.name == MARK):
        path.unlink()
    folder.rmdir()


def _is_run(folder: Path, salt: str) -> bool:
    try:
        manifest = read_json(folder / "manifest.json")
    except (RunError, OSError, ValueError):
        return False
    return isinstance(manifest, dict) and manifest.get("salt") == salt
