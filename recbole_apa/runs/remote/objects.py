"""A run as objects in a store: one index says where each file is, so that the run changes all at once.

    URL/index.json                    generation, and file -> SHA-256 and place
    URL/files/<place>/<file>          the files; an object is never overwritten with other bytes
    URL/lease.json                    who writes (lease.py)

A file is first stored at a new place, then a new index that names it replaces the old one, then objects that it does
not name are deleted. A reader, or a process that resumes after a kill, finds the old run or the new one. Places are
random: object names live on in a store's logs, and if they contained digests, anyone could test by guessing whether a
deleted file was made from certain rows.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recbole_apa.core.errors import RunError
from recbole_apa.core.files.plain import parse_json
from recbole_apa.core.files.whole import file_digest
from recbole_apa.runs.remote.index import FILES, Index, Stored, object_key, read_index, stored_as

INDEX = "index.json"


@contextmanager
def told(url: str) -> Iterator[None]:
    """Turn whatever a store raises into a RunError that names the URL, as each store has its own error classes."""
    try:
        yield
    except RunError:
        raise
    except ImportError as error:
        raise RunError(f"{url}: {error}; for s3:// it is pip install 'recbole-apa[s3]'") from error
    except Exception as error:
        raise RunError(
            f"{url}: {type(error).__name__}: {error}; check the address, the network and the rights"
        ) from error


class RunObjects:
    """Reads and writes one run's objects.

    Raises:
        RunError: fsspec has no filesystem for such a URL.
    """

    def __init__(self, url: str) -> None:
        from fsspec.core import url_to_fs

        self.url = url.rstrip("/")
        with told(self.url):
            self.fs, root = url_to_fs(self.url)
        self.root = root.rstrip("/")
        self._digests: dict[Path, tuple[tuple[int, int, int], str]] = {}

    def path(self, key: str) -> str:
        """A key as the filesystem's path."""
        return f"{self.root}/{key}"

    def read(self, key: str) -> Any:
        """A JSON object; None if there is none.

        Raises:
            RunError: it cannot be read, or is not JSON.
        """
        with told(self.url):
            try:
                return parse_json(self.fs.cat_file(self.path(key)))
            except FileNotFoundError:
                return None
            except ValueError as error:
                raise RunError(f"{self.url}/{key} is damaged ({str(error)[:120]}); restore it from a copy") from None

    def write(self, key: str, value: object, new: bool = False, over: str | None = None) -> None:
        """Write a JSON object in one piece.

        Args:
            new: do not overwrite an object, if the store supports that (S3 and memory do).
            over: overwrite only this version of the object (:meth:`_tag`).

        Raises:
            FileExistsError: there is an object, and ``new`` is set.
            RunError: it cannot be written, or the object is not of the version ``over``.
        """
        data = json.dumps(value, indent=1, sort_keys=True).encode()
        how = {"mode": "create"} if new else {"IfMatch": over} if over else {}
        with told(self.url):
            try:
                self.fs.pipe_file(self.path(key), data, **how)
                return
            except FileExistsError:
                pass
        raise FileExistsError(key)

    def index(self) -> Index:
        """The current run; generation 0 if there is none.

        Raises:
            RunError: damaged, or of a newer format.
        """
        found = self.read(INDEX)
        if found is None:
            return Index()
        return read_index(f"{self.url}/{INDEX}", found)

    def pull(self, folder: Path) -> Index:
        """Copy the run into an empty folder; every file is checked.

        Raises:
            RunError: an object is missing, or its bytes are not those that the index names.
        """
        index = self.index()
        while True:
            try:
                self._fetch(index, folder)
                return index
            except RunError:
                now = self.index()
                if now.generation == index.generation:
                    raise
                index = now  # a writer deleted the run's objects while they were read
                shutil.rmtree(folder)

    def _fetch(self, index: Index, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name in index.files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
        here = [str(folder / name) for name in index.files]
        there = [self.path(object_key(*item)) for item in index.files.items()]
        with told(self.url):
            if there:
                self.fs.get(there, here)
        for name, stored in index.files.items():
            if not (folder / name).is_file():
                raise RunError(f"{self.url}: {name} is missing; restore the run from a copy")
            if file_digest(folder / name) != stored.digest:
                raise RunError(f"{self.url}: {name} was changed after it was written; restore the run from a copy")

    def push(self, folder: Path, known: Index) -> Index:
        """Make the run equal to the folder.

        Args:
            known: the run's index when the folder was last pulled or pushed.

        Raises:
            RunError: another process wrote the run meanwhile; nothing was changed.
        """
        digests = {name: self._digest(folder / name) for name in _names(folder)}
        if digests == {name: stored.digest for name, stored in known.files.items()}:
            return known
        after = Index(known.generation + 1, {n: stored_as(d, known.files.get(n)) for n, d in digests.items()})
        new = {name: stored for name, stored in sorted(after.files.items()) if known.files.get(name) != stored}
        self.upload(folder, new)
        tag = self._tag(INDEX)  # taken before the check, so that nothing written after it can be overwritten
        self._refuse_other(known.generation)
        try:
            self.write(INDEX, after.as_json(), new=known.generation == 0, over=tag)
        except (FileExistsError, RunError):
            self._refuse_other(known.generation)
            raise
        self.delete(known.keys() - after.keys())
        return after

    def _refuse_other(self, generation: int) -> None:
        """
        Raises:
            RunError: the index is not of this generation.
        """
        now = self.index()
        if now.generation != generation:
            raise RunError(
                f"{self.url} was written by another process meanwhile (generation {now.generation}, expected "
                f"{generation}); start again from what is there now"
            )

    def _tag(self, key: str) -> str | None:
        """Identifies this version of an object; None if there is no object, or if the store, through fsspec, does not
        support conditional writes."""
        if "s3" not in self.fs.protocol:
            return None
        with told(self.url):
            try:
                found: str = self.fs.info(self.path(key), refresh=True)["ETag"]
            except FileNotFoundError:
                return None
        return found

    def upload(self, folder: Path, files: Mapping[str, Stored]) -> None:
        """Store files at their places."""
        with told(self.url):
            if files:
                there = [self.path(object_key(*item)) for item in files.items()]
                self.fs.put([str(folder / name) for name in files], there)

    def delete(self, keys: set[str]) -> None:
        """Delete objects; missing ones are ignored."""
        with told(self.url):
            for key in sorted(keys):
                with contextlib.suppress(FileNotFoundError):
                    self.fs.rm_file(self.path(key))

    def strays(self) -> list[str]:
        """Keys of objects that the index does not name, left by an interrupted write or deletion."""
        with told(self.url):
            self.fs.invalidate_cache()
            found = self.fs.find(self.path(FILES))
        start = len(self._stripped()) + 1
        keys = {str(path)[start:] for path in found}
        return sorted(keys - self.index().keys())

    def sweep(self) -> list[str]:
        """Delete the strays; returns their keys. The caller holds the lease."""
        strays = self.strays()
        self.delete(set(strays))
        return strays

    def _stripped(self) -> str:
        return str(self.fs._strip_protocol(self.root))

    def _digest(self, path: Path) -> str:
        """SHA-256, computed again only if the file has changed since last time."""
        about = os.stat(path)
        state = (about.st_ino, about.st_size, about.st_mtime_ns)
        known = self._digests.get(path)
        if known is None or known[0] != state:
            known = self._digests[path] = (state, file_digest(path))
        return known[1]


def _names(folder: Path) -> list[str]:
    """Files below a folder, without hidden ones, which are locks and half-written files."""
    found = (p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
    return ["/".join(p.parts) for p in found if not any(part.startswith(".") for part in p.parts)]
