"""The index of a run on an object store: where each file is stored, and its digest."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from recbole_apa.core.errors import RunError
from recbole_apa.runs.manifest import is_safe_name

FILES = "files"
FORMAT_VERSION, OLD_FORMAT_VERSION = 2, 1
"""In format 1 a file's place was the start of its digest."""
_SHA, _PLACE = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class Stored:
    """Where a file is stored, and its digest."""

    digest: str
    """SHA-256."""
    place: str

    @property
    def is_named_by_digest(self) -> bool:
        """Whether an older version stored it."""
        return self.place == self.digest[:16]


@dataclass(frozen=True)
class Index:
    """The files of a run."""

    generation: int = 0
    """How often the index was written."""
    files: Mapping[str, Stored] = field(default_factory=dict)
    """By name."""

    def keys(self) -> set[str]:
        """Keys of its objects, relative to the URL."""
        return {object_key(name, stored) for name, stored in self.files.items()}

    def as_json(self) -> dict[str, object]:
        """The index as written to the store."""
        files = {name: {"sha256": stored.digest, "place": stored.place} for name, stored in self.files.items()}
        return {"format_version": FORMAT_VERSION, "generation": self.generation, "files": files}


def object_key(name: str, stored: Stored) -> str:
    """``files/<place>/<name>``."""
    return f"{FILES}/{stored.place}/{name}"


def read_index(url: str, found: object) -> Index:
    """
    Raises:
        RunError: damaged, of a newer format, or a file would be outside the run.
    """
    if not isinstance(found, dict) or found.get("format_version") not in (OLD_FORMAT_VERSION, FORMAT_VERSION):
        raise RunError(f"{url}: expected format version {OLD_FORMAT_VERSION} or {FORMAT_VERSION}")
    files, generation = found.get("files"), found.get("generation")
    if not isinstance(files, dict) or type(generation) is not int or generation < 1:
        raise RunError(f"{url} is damaged: expected a generation and files; restore it from a copy")
    unsafe = [name for name in files if not is_safe_name(name)]
    if unsafe:
        raise RunError(f"{url} names {unsafe[0]!r}, which would be outside the run")
    stored = {name: _readstored_as(value) for name, value in files.items()}
    odd = [name for name, value in stored.items() if value is None]
    odd += [name for name in files if any(parent in files for parent in _parents(name))]
    if odd:
        raise RunError(f"{url} is damaged at {odd[0]!r}; restore it from a copy")
    return Index(generation, {name: value for name, value in stored.items() if value is not None})


def _readstored_as(value: object) -> Stored | None:
    """An entry of the index; None if it is neither a digest, as in format 1, nor a digest and a place."""
    if isinstance(value, str):
        return Stored(value, value[:16]) if _SHA.fullmatch(value) else None
    if not isinstance(value, dict) or value.keys() != {"sha256", "place"}:
        return None
    digest, place = value["sha256"], value["place"]
    if not isinstance(digest, str) or not isinstance(place, str):
        return None
    return Stored(digest, place) if _SHA.fullmatch(digest) and _PLACE.fullmatch(place) else None


def _parents(name: str) -> list[str]:
    """The folders in a file's name."""
    return [str(path) for path in PurePosixPath(name).parents][:-1]


def stored_as(digest: str, known: Stored | None) -> Stored:
    """Where a file goes: it keeps its place if its bytes are unchanged, unless the place reveals the digest."""
    same = known is not None and known.digest == digest and not known.is_named_by_digest
    return known if same and known else Stored(digest, secrets.token_hex(8))
