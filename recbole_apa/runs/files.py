"""Read the files of a run folder with care: they may be damaged, or come from a stranger."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbole_apa.core.errors import OtherModelError, RunError
from recbole_apa.core.files.plain import copied, read_plain, refuse_odd
from recbole_apa.core.files.stamps import remembered_digest
from recbole_apa.core.files.tensors import open_tensors, parse_tensors
from recbole_apa.core.files.whole import file_digest, json_of
from recbole_apa.runs.manifest import Manifest, check_manifest
from recbole_apa.runs.names import NEXT_ITEMS
from recbole_apa.runs.storage import Storage, storage_of

if TYPE_CHECKING:
    from pyarrow import Buffer
    from safetensors import safe_open
    from torch import Tensor

FORMAT_VERSION = 6
OLD_FORMAT_VERSIONS = (2, 3, 4, 5)
"""2, of commit 86d8546: forgotten rows were identified only by a digest of user, item and time. 2 and 3: digests were
salted but not keyed, and the dataset's was a single digest over everything. Up to 4: no index. Up to 5: the manifest
lists the digests of all forgotten rows."""
KEYED_FORMAT_VERSION = 4
"""The first with keyed digests."""
MANIFEST = "manifest.json"


class RunFiles:
    """Reads the files in one folder.

    Args:
        place: where the run's files are: a folder, or a storage.
    """

    def __init__(self, place: Path | Storage) -> None:
        self.storage = storage_of(place)
        self.folder = self.storage.folder

    @property
    def place(self) -> str:
        """Where the run is, for display: its folder, or the URL that the folder is a working copy of."""
        return self.storage.place

    @property
    def manifest_path(self) -> Path:
        """``manifest.json``."""
        return self.folder / MANIFEST

    def has(self, name: str) -> bool:
        """Whether a file exists."""
        return (self.folder / name).is_file()

    def manifest(self) -> Manifest:
        """
        Raises:
            RunError: not a run folder, or one of a newer format.
        """
        if not self.manifest_path.is_file():
            raise RunError(f"{self.place} is not a run folder: expected manifest.json in it")
        return self.parse_manifest(read_plain(self.manifest_path))

    def parse_manifest(self, data: bytes) -> Manifest:
        """Like :meth:`manifest`, from bytes that were already read."""
        return copied(_parsed(data, self.manifest_path))

    def manifest_digest(self) -> str:
        """SHA-256 of ``manifest.json``."""
        return file_digest(self.manifest_path)

    def digest_now(self, name: str) -> str:
        """SHA-256 of a file as it is now; of a file that has not changed since, as it was when last asked."""
        return remembered_digest(self.folder / name)

    def open_mapped(self, name: str) -> "Buffer":
        """The bytes of one of the run's large files, mapped into memory until the last user of the buffer is gone.

        Raises:
            RunError: missing, or not a plain file.
        """
        from recbole_apa.data.index.read import mapped  # pyarrow takes half a second

        return mapped(self.folder / name)

    def read(self, name: str) -> bytes:
        """The bytes of one of the run's files.

        Raises:
            RunError: missing, or not a plain file.
        """
        return read_plain(self.folder / name)

    def read_json(self, name: str) -> Any:
        """One of the run's JSON files.

        Raises:
            RunError: missing or damaged.
        """
        return json_of(self.read(name), self.folder / name)

    @contextmanager
    def open_tensors(self, name: str) -> "Iterator[safe_open]":
        """One of the run's large tensor files (:func:`~recbole_apa.core.files.tensors.open_tensors`)."""
        refuse_odd(self.folder / name)
        with open_tensors(self.folder / name) as file:
            yield file

    def _tensors(self, name: str) -> "dict[str, Tensor]":
        return parse_tensors(self.read(name), self.folder / name)


@lru_cache(maxsize=4)
def _parsed(data: bytes, path: Path) -> Manifest:
    """A manifest, kept for the next reading of the same bytes: it is not to be changed."""
    manifest = json_of(data, path)
    if isinstance(manifest, dict) and manifest.get("kind") == NEXT_ITEMS:
        raise OtherModelError(
            f"{path} is the manifest of a run of {NEXT_ITEMS}, expected one of APA; from Python such a run has "
            "functions of its own: open_next_items, forget_next_items, catch_up_next_items, add_next_items, "
            "audit_next_items, verify_next_items"
        )
    version = manifest.get("format_version") if isinstance(manifest, dict) else None
    if type(version) is not int or version not in (FORMAT_VERSION, *OLD_FORMAT_VERSIONS):
        raise RunError(f"{path} has format version {version!r}, expected {OLD_FORMAT_VERSIONS[0]} to {FORMAT_VERSION}")
    check_manifest(manifest, path)
    out: Manifest = manifest
    return out
