"""What a run leaves outside its folder: deleted, and written again, only where it carries that run's own mark.

A manifest may come from a stranger, and may name any folder of the person who opens the run. A copy of a run names what
the original left. So a mark says which run it is, and where that run lay.
"""

from pathlib import Path

from recbole_apa.core.errors import RunError
from recbole_apa.core.files.whole import read_json, write_text
from recbole_apa.core.seeding import digest_of

MARK = ".recbole-apa-run"
_EVENTS = "events.out.tfevents."
OWN, ANOTHERS, UNKNOWN = "own", "another's", "unknown"
"""Whose a folder is: this run's; one that answers for itself; or nobody can tell."""


def mark(folder: Path, salt: str, home: str) -> None:
    """Say whose a folder is.

    Args:
        home: where the run lies.
    """
    write_text(folder / MARK, f"{digest_of('mark', salt).hex()}\n{home}\n")


def whose(folder: Path, salt: str, home: str) -> str:
    """Whose a folder is, for the run with this salt at this place: ``OWN``, ``ANOTHERS`` or ``UNKNOWN``.

    It is another's with another run's mark, or with that of a run with the same salt that still lies elsewhere, of
    which this one is a copy. Nobody can tell without a mark, with one of before places were noted, or where the run
    that is named is no longer at its place: it may have been moved here, or copied and deleted.
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
    # a run on an object store is copied from there, and not moved
    return ANOTHERS if "://" in lines[1] or _is_run(Path(lines[1]), salt) else UNKNOWN


def are_own_logs(folder: Path, salt: str, home: str) -> bool:
    """Whether a folder holds this run's tensorboard logs and nothing else."""
    if whose(folder, salt, home) != OWN:
        return False
    return all(path.name.startswith(_EVENTS) or path.name == MARK for path in folder.iterdir())


def remove_logs(folder: Path) -> None:
    """Delete logs of which :func:`are_own_logs` holds, if they are there; the mark at last, by which they are known."""
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
