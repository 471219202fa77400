"""Read one state of a run while another process may put a new one in its place."""

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from recbole_apa.core.errors import APAError, RunError
from recbole_apa.core.files.plain import copied, read_plain, refuse_odd
from recbole_apa.core.files.whole import json_text
from recbole_apa.runs.manifest import Manifest
from recbole_apa.runs.names import PENDING
from recbole_apa.runs.storage import Storage
from recbole_apa.runs.store import RunStore

if TYPE_CHECKING:
    from pyarrow import Buffer
    from safetensors import safe_open

T = TypeVar("T")
ATTEMPTS = 5
_PAUSE = 0.1
"""Seconds before the second attempt; twice that before the third, and so on."""


class PinnedStore(RunStore):
    """A run as its current manifest describes it: when a file is read, the very bytes that are used are compared with
    the manifest's digest.

    Raises:
        RunError: not a run folder, or a damaged manifest.
    """

    def __init__(self, place: Path | Storage) -> None:
        super().__init__(place)
        if not self.manifest_path.is_file():
            super().manifest()  # raises: this is no run folder
        self._bytes = read_plain(self.manifest_path)
        self._manifest = self.parse_manifest(self._bytes)
        self._seen: dict[str, tuple[int, ...]] = {}

    def manifest(self) -> Manifest:
        """The manifest at the time when this was created."""
        return copied(self._manifest)

    def manifest_digest(self) -> str:
        """SHA-256 of its bytes."""
        return hashlib.sha256(self._bytes).hexdigest()

    def is_as_written(self) -> bool:
        """Whether the manifest's bytes are those that this program would write for its content."""
        return json_text(self._manifest).encode() == self._bytes

    def digest_now(self, name: str) -> str:
        """Like :meth:`RunStore.digest_now`; the file is recognised when it is opened later."""
        refuse_odd(self.folder / name)
        self._seen[name] = _identity(self.folder / name)
        return super().digest_now(name)

    def read(self, name: str) -> bytes:
        """
        Raises:
            RunError: missing, or not the bytes that the manifest names.
        """
        data = super().read(name)
        self._compare(name, hashlib.sha256(data).hexdigest())
        return data

    @contextmanager
    def open_tensors(self, name: str) -> "Iterator[safe_open]":
        """Like :meth:`RunStore.open_tensors`, for the very file whose bytes were checked."""
        self._see(name)
        with super().open_tensors(name) as file:
            self._refuse_another(name)
            yield file

    def open_mapped(self, name: str) -> "Buffer":
        """Like :meth:`RunStore.open_mapped`, for the very file whose bytes were checked."""
        self._see(name)
        out = super().open_mapped(name)
        self._refuse_another(name)
        return out

    def is_overtaken(self) -> bool:
        """Whether another state has replaced this one."""
        try:
            return read_plain(self.manifest_path) != self._bytes
        except RunError:
            return True

    def is_switching(self) -> bool:
        """Whether another state is being put in place, or that was interrupted by a kill."""
        try:
            return RunStore(self.folder / PENDING).is_ready()
        except RunError:
            return True

    def _see(self, name: str) -> None:
        """Check a file's digest, if that was not done yet."""
        if name not in self._seen:
            self._compare(name, self.digest_now(name))

    def _refuse_another(self, name: str) -> None:
        if _identity(self.folder / name) != self._seen[name]:
            raise RunError(f"{self.place}/{name} was changed while it was read; start again")

    def _compare(self, name: str, digest: str) -> None:
        expected = self._manifest.get("files", {}).get(name)
        if expected is not None and digest != expected:
            raise RunError(
                f"{self.place}/{name} was changed after it was written (its digest differs); restore it from a copy"
            )


def read_settled(store: RunStore, read: Callable[[PinnedStore], T]) -> T:
    """The result of ``read`` on one state of a run. If a request puts another state in place meanwhile, the run is read
    again.

    Raises:
        RunError: that happened each time; or whatever ``read`` raises on a state that did not change.
    """
    for attempt in range(1, ATTEMPTS + 1):
        pinned, failed = PinnedStore(store.storage), None
        try:
            out = read(pinned)
        except (APAError, OSError) as error:
            failed = error
        # a commit interrupted by a kill does not go on by itself: report it, do not wait for it
        if not pinned.is_overtaken() and (attempt > 2 or not pinned.is_switching()):
            if isinstance(failed, OSError):
                raise RunError(f"cannot read {failed.filename or store.place}: {failed.strerror or failed}") from failed
            if failed is not None:
                raise failed
            return out
        getLogger().info(f"{store.place}: a request was carried out meanwhile; reading the run again")
        time.sleep(_PAUSE * attempt)
    raise RunError(f"{store.place}: requests were carried out meanwhile, {ATTEMPTS} times; start again")


def _identity(path: Path) -> tuple[int, ...]:
    """Changes if another file takes the name, or the file is written."""
    about = os.stat(path)
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns
