"""The data files that an index was made of: recognised by a keyed digest while they are unchanged."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from recbole_apa.core.errors import DataError
from recbole_apa.core.files.stamps import remembered_digest
from recbole_apa.data.index.facts import SourceFile

_PERSON = b"recbole-apa data"


def source_files(paths: Sequence[Path], secret: bytes) -> tuple[SourceFile, ...]:
    """The data files as they are now.

    A plain digest would tell, of rows that somebody tries, whether a file held them before they were deleted.

    Args:
        secret: :func:`recbole_apa.evidence.key.secret_of` the run, 1 to 64 bytes.

    Raises:
        DataError: a file is missing.
    """
    return tuple(_source_file(path, secret) for path in paths)


def are_unchanged(paths: Sequence[Path], source: Sequence[SourceFile], secret: bytes) -> bool:
    """Whether the data files are, byte for byte, those that an index says it is of. Nothing is read if a size differs.

    Raises:
        DataError: a file is missing.
    """
    if [path.name for path in paths] != [file.name for file in source]:
        return False
    if [_size(path) for path in paths] != [file.size for file in source]:
        return False
    return source_files(paths, secret) == tuple(source)


def _source_file(path: Path, secret: bytes) -> SourceFile:
    size, digest = _size(path), remembered_digest(path)
    keyed = hashlib.blake2b(bytes.fromhex(digest), digest_size=32, key=secret, person=_PERSON).hexdigest()
    return SourceFile(path.name, size, keyed)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; expected RecBole's atomic file of interactions") from None
