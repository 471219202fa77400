"""A run's place, a folder on this machine or a URL, as a storage to work in."""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from logging import getLogger
from pathlib import Path

from recbole_apa.core.cache import cache_folder, user_name
from recbole_apa.core.errors import RunError
from recbole_apa.core.files.line_endings import keep_bytes
from recbole_apa.runs.remote.copies import CopyInUseError, copy_name, held, others_of, remove_left
from recbole_apa.runs.remote.index import Index
from recbole_apa.runs.remote.lease import lease
from recbole_apa.runs.remote.objects import RunObjects
from recbole_apa.runs.storage import Inside, LocalFolder, Storage


class WorkingCopy:
    """A copy of a run on an object store, in this machine's cache.

    Args:
        writes: whether changes to the copy are written back; otherwise they are lost.
    """

    def __init__(self, objects: RunObjects, folder: Path, writes: bool) -> None:
        self._objects, self._writes = objects, writes
        self._folder, self._index = folder, Index()

    @property
    def folder(self) -> Path:
        """Where the copy is."""
        return self._folder

    @property
    def place(self) -> str:
        """The URL, even after the copy is deleted."""
        return self._objects.url

    def pull(self) -> None:
        """Make the copy equal to the run."""
        self._index = self._objects.pull(self._folder)

    def publish(self) -> None:
        """See :class:`~recbole_apa.runs.storage.Storage`."""
        if self._writes:
            self._index = self._objects.push(self._folder, self._index)

    def close(self) -> None:
        """Delete the copy; nothing is written back any more."""
        self._writes = False
        shutil.rmtree(self._folder.parent, ignore_errors=True)

    def shown(self, path: Path) -> str:
        """See :class:`~recbole_apa.runs.storage.Storage`."""
        inside = path == self._folder or self._folder in path.parents
        return "/".join([self.place, *path.relative_to(self._folder).parts]) if inside else str(path)

    def others(self) -> list[str]:
        """Other working copies of the same run in the cache."""
        return others_of(self._folder.parent)

    def at(self, name: str) -> Inside:
        """See :class:`~recbole_apa.runs.storage.Storage`."""
        return Inside(self, self._folder / name)


def is_url(place: str | Path) -> bool:
    """Whether a place is on an object store, not a folder."""
    return "://" in str(place) and not str(place).startswith("file://")


@contextmanager
def open_place(place: str | Path | Storage, purpose: str, writes: bool = True) -> Iterator[Storage]:
    """The run's files; for a URL, in a working copy that is written back and deleted at the end.

    Whatever is published is written back immediately, so that a killed process leaves the same on the store as it would
    in a folder.

    Args:
        place: a folder, a URL, or the storage of a run that was open before.
        writes: hold the URL's lease and write back; otherwise changes to the copy are lost.

    Raises:
        RunError: in use by another process, damaged, or unreachable.
    """
    url = str(place) if isinstance(place, (str, Path)) else place.place
    if not is_url(url):
        yield LocalFolder(Path(url.removeprefix("file://")))
        return
    objects = RunObjects(url)
    folder = _folder_of(objects.url)
    remove_left(folder.parent.parent)
    with ExitStack() as stack:
        try:
            stack.enter_context(held(folder.parent))
        except CopyInUseError:
            raise RunError(f"{objects.url} is in use by this process; wait for that call to return") from None
        copy = WorkingCopy(objects, folder, writes)
        stack.callback(copy.close)
        if writes:
            stack.enter_context(lease(objects, purpose))
            swept = objects.sweep()
            if swept:
                getLogger().warning(f"{objects.url}: deleted {len(swept)} objects that an interrupted write left")
        shutil.rmtree(folder, ignore_errors=True)
        copy.pull()
        yield from _published(copy)


def _published(copy: WorkingCopy) -> Iterator[Storage]:
    try:
        yield copy
    except BaseException as error:
        # finished work is kept, as in a folder, unless the store itself failed
        if not isinstance(error, RunError):
            copy.publish()
        raise
    copy.publish()


def strays_of(place: str | Path) -> list[str]:
    """Objects of a URL that its index does not name; none for a folder."""
    return RunObjects(str(place)).strays() if is_url(place) else []


def copy_run(source: str | Path, target: str | Path) -> None:
    """Copy a run from and to a folder or a URL. A later request on one of them does not change the other.

    Raises:
        RunError: the target is not empty, or there is no run at the source.
    """
    with open_place(source, "copying", writes=False) as run:
        if not (run.folder / "manifest.json").is_file():
            raise RunError(f"{source} is not a run: expected manifest.json in it")
        with open_place(target, "copying") as there:
            folder = there.folder
            if folder.exists() and any(folder.iterdir()):
                raise RunError(f"{target} is not empty; choose another place for the copy")
            shutil.copytree(run.folder, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*"))
            keep_bytes(folder)


def _folder_of(url: str) -> Path:
    """This process's working copy; its last name is the URL's, which is the run's name."""
    digest = hashlib.sha256(f"{user_name()} {url}".encode()).hexdigest()[:12]
    return cache_folder("runs") / copy_name(digest) / url.rsplit("/", 1)[-1]
