"""A run as objects of a store: one index says where every file lies, so that the run changes all at once.

    URL/index.json                    generation, and file -> SHA-256 and place
    URL/files/<place>/<file>          the files; an object is never written again with other bytes
    URL/lease.json                    who writes (lease.py)

A file is first put at a new place, then the index that names it takes the old one's place, then what no index names any
more is deleted. A reader, or a process that resumes after a kill, finds the old run or the new one. Places are drawn:
names of objects live on in a store's logs, and a digest among them would tell, of rows that somebody tries, whether a
deleted file was made of them.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fsspec.core import url_to_fs

from recbole_apa.core.errors import RunError
from recbole_apa.core.files.plain import parse_json
from recbole_apa.core.files.whole import file_digest
from recbole_apa.runs.remote.index import FILES, Index, Stored, object_key, read_index, stored_as

INDEX = "index.json"


@contextmanager
def told(url: str) -> Iterator[None]:
    """Whatever a store raises is a RunError that names the URL: each store has error classes of its own."""
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
        RunError: no filesystem of fsspec's is known for such a URL.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        with told(self.url):
            self.fs, root = url_to_fs(self.url)
        self.root = root.rstrip("/")
        self._digests: dict[Path, tuple[tuple[int, int, int], str]] = {}

    def path(self, key: str) -> str:
        """A key as the filesystem knows it."""
        return f"{self.root}/{key}"

    def read(self, key: str) -> Any:
        """A JSON object; None where there is none.

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
        """A JSON object, in one piece.

        Args:
            new: refuse to write over an object, as far as the store can (S3 and memory can).
            over: write over this version of the object and no other (:meth:`_tag`).

        Raises:
            FileExistsError: there is one, and ``new``.
            RunError: it cannot be written, or is of another version than ``over``.
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
        """The run as it is now; generation 0 where there is none.

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
                index = now  # a writer took the run's objects away while they were read
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
        """Make the run what the folder holds.

        Args:
            known: what the run was when the folder was last pulled or pushed.

        Raises:
            RunError: another process wrote the run meanwhile; nothing was changed.
        """
        digests = {name: self._digest(folder / name) for name in _names(folder)}
        if digests == {name: stored.digest for name, stored in known.files.items()}:
            return known
        after = Index(known.generation + 1, {n: stored_as(d, known.files.get(n)) for n, d in digests.items()})
        new = {name: stored for name, stored in sorted(after.files.items()) if known.files.get(name) != stored}
        self.upload(folder, new)
        tag = self._tag(INDEX)  # before the look: what is written after it is written over by nobody
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
        """What tells this version of an object from others; None where there is no object, or the store, as fsspec
        knows it, cannot write on the condition of one."""
        if "s3" not in self.fs.protocol:
            return None
        with told(self.url):
            try:
                found: str = self.fs.info(self.path(key), refresh=True)["ETag"]
            except FileNotFoundError:
                return None
        return found

    def upload(self, folder: Path, files: Mapping[str, Stored]) -> None:
        """Put files at their places."""
        with told(self.url):
            if files:
                there = [self.path(object_key(*item)) for item in files.items()]
                self.fs.put([str(folder / name) for name in files], there)

    def delete(self, keys: set[str]) -> None:
        """Delete objects; those that are not there are passed over."""
        with told(self.url):
            for key in sorted(keys):
                with contextlib.suppress(FileNotFoundError):
                    self.fs.rm_file(self.path(key))

    def strays(self) -> list[str]:
        """Keys of objects that the index does not name: what an interrupted write, or deletion, left."""
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
        """SHA-256, computed anew only where the file is another one than last time."""
        about = os.stat(path)
        state = (about.st_ino, about.st_size, about.st_mtime_ns)
        known = self._digests.get(path)
        if known is None or known[0] != state:
            known = self._digests[path] = (state, file_digest(path))
        return known[1]


def _names(folder: Path) -> list[str]:
    """Files below a folder; hidden ones are locks and half-written files."""
    found = (p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
    return ["/".join(p.parts) for p in found if not any(part.startswith(".") for part in p.parts)]
