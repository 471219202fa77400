"""The data files that an index was made of: recognised by a keyed digest while they are unchanged."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from recbole_apa.core.errors import DataError
from recbole_apa.core.files.stamps import remembered_digest
from recbole_apa.data.index.facts import SourceFile

_PERSON = b"recbole-apa data"


class DataFile(NamedTuple):
    """One of the data files, as it was at some time."""

    name: str
    size: int
    """In bytes."""
    digest: str
    """SHA-256 of its bytes, in hex: never written down, see :func:`source_of`."""


def files_as_they_are(paths: Sequence[Path]) -> tuple[DataFile, ...]:
    """The data files now. Taken before they are read: if one changes meanwhile, its digest is no longer this one, and
    it is compared with the index at the next opening.

    Raises:
        DataError: a file is missing.
    """
    return tuple(DataFile(path.name, _size(path), remembered_digest(path)) for path in paths)


def source_of(files: Sequence[DataFile], secret: bytes) -> tuple[SourceFile, ...]:
    """What an index notes of data files.

    A plain digest would tell, of rows that somebody tries, whether a file held them before they were deleted.

    Args:
        secret: :func:`recbole_apa.evidence.key.secret_of` the run, 1 to 64 bytes.
    """

    def keyed(digest: str) -> str:
        told = hashlib.blake2b(bytes.fromhex(digest), digest_size=32, key=secret, person=_PERSON)
        return told.hexdigest()

    return tuple(SourceFile(file.name, file.size, keyed(file.digest)) for file in files)


def unchanged_files(paths: Sequence[Path], source: Sequence[SourceFile], secret: bytes) -> tuple[DataFile, ...] | None:
    """The data files, if they are, byte for byte, those that an index says it is of. Nothing is read if a size differs.

    Raises:
        DataError: a file is missing.
    """
    if [path.name for path in paths] != [file.name for file in source]:
        return None
    if [_size(path) for path in paths] != [file.size for file in source]:
        return None
    files = files_as_they_are(paths)
    return files if source_of(files, secret) == tuple(source) else None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; expected RecBole's atomic file of interactions") from None
