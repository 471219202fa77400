"""A run's place, a folder of this machine or a URL, as a folder to work in."""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path

from recbole_apa.core.cache import cache_folder, user_name
from recbole_apa.core.errors import RunError
from recbole_apa.core.files.line_endings import keep_bytes
from recbole_apa.runs.remote.copies import copy_name, held, others_of, remove_left
from recbole_apa.runs.remote.index import Index
from recbole_apa.runs.remote.lease import lease
from recbole_apa.runs.remote.objects import RunObjects


@dataclass
class _Copy:
    """A working copy in use."""

    objects: RunObjects
    index: Index
    writes: bool


_copies: dict[Path, _Copy] = {}
_places: dict[Path, str] = {}
"""Where the run of a working copy lies, also after the copy is gone."""


def is_url(place: str | Path) -> bool:
    """Whether a place is an object store's, and no folder."""
    return "://" in str(place) and not str(place).startswith("file://")


@contextmanager
def working_folder(place: str | Path, purpose: str, writes: bool = True) -> Iterator[Path]:
    """The run's files as a folder; of a URL, a copy that is written back and deleted at the end.

    Everything that :func:`publish` is told of is written back at once, so that a process that is killed leaves on the
    store what it would leave in a folder.

    Args:
        place: a folder, a URL, or a folder that was the working copy of one.
        writes: hold the URL's lease and write back; else what is done to the copy is lost.

    Raises:
        RunError: in use by another process, damaged, or not to be reached.
    """
    url = _places.get(Path(place), str(place))
    if not is_url(url):
        yield Path(url.removeprefix("file://"))
        return
    objects = RunObjects(url)
    folder = _folder_of(objects.url)
    if folder in _copies:
        raise RunError(f"{objects.url} is in use by this process; wait for that call to return")
    remove_left(folder.parent.parent)
    _places[folder] = objects.url
    with ExitStack() as stack:
        if writes:
            stack.enter_context(lease(objects, purpose))
            swept = objects.sweep()
            if swept:
                getLogger().warning(f"{objects.url}: deleted {len(swept)} objects that an interrupted write left")
        stack.callback(shutil.rmtree, folder.parent, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        stack.enter_context(held(folder.parent))
        _copies[folder] = _Copy(objects, objects.pull(folder), writes)
        stack.callback(_copies.pop, folder)
        yield from _written_back(folder)


def _written_back(folder: Path) -> Iterator[Path]:
    try:
        yield folder
    except BaseException as error:
        # what is finished is kept, as in a folder, unless the store itself is what failed
        if not isinstance(error, RunError):
            publish(folder)
        raise
    publish(folder)


def publish(folder: Path) -> None:
    """Write back what a folder holds, where it is (or lies in) the working copy of a URL; else nothing happens.

    Raises:
        RunError: the store cannot be written, or another process wrote it meanwhile.
    """
    for root in (folder, *folder.parents):
        copy = _copies.get(root)
        if copy is not None and copy.writes:
            copy.index = copy.objects.push(root, copy.index)


def shown(path: Path) -> str:
    """A path as a person should read it: in a working copy, where it lies on the store."""
    for root in (path, *path.parents):
        if root in _places:
            return "/".join([_places[root], *path.relative_to(root).parts])
    return str(path)


def strays_of(place: str | Path) -> list[str]:
    """Objects of a URL that its index does not name; none for a folder."""
    return RunObjects(str(place)).strays() if is_url(place) else []


def copy_run(source: str | Path, target: str | Path) -> None:
    """Copy a run from and to a folder or a URL. A request that is carried out later on one of them leaves the other
    as it is.

    Raises:
        RunError: there is something at the target, or no run at the source.
    """
    with working_folder(source, "copying", writes=False) as run:
        if not (run / "manifest.json").is_file():
            raise RunError(f"{source} is not a run: expected manifest.json in it")
        with working_folder(target, "copying") as folder:
            if folder.exists() and any(folder.iterdir()):
                raise RunError(f"{target} is not empty; choose another place for the copy")
            shutil.copytree(run, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*"))
            keep_bytes(folder)


def _folder_of(url: str) -> Path:
    """The working copy of this process; its last name is the URL's, by which a run is known."""
    digest = hashlib.sha256(f"{user_name()} {url}".encode()).hexdigest()[:12]
    return cache_folder("runs") / copy_name(digest) / url.rsplit("/", 1)[-1]


def copies_left(folder: Path) -> list[str]:
    """Other working copies of the same run that lie in the cache and that nobody here may delete; none for a folder
    that is no working copy."""
    root = next((root for root in (folder, *folder.parents) if root in _copies), None)
    return others_of(root.parent) if root else []
