"""``index.json``: what the index is of, and how large each of its files is."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple, NoReturn

from recbole_apa.core.errors import RunError
from recbole_apa.core.files.plain import parse_json
from recbole_apa.core.files.whole import json_text

VERSION = 1
_MOST_PARTS = 4096


class PartSize(NamedTuple):
    """How much a part holds. A part is read by these numbers, and refused if it is not exactly what they say."""

    n_rows: int
    n_users: int
    name_bytes: int
    """Of the users' names in UTF-8, together."""


class ItemsSize(NamedTuple):
    """How much ``items.arrow`` holds."""

    n_codes: int
    n_unused: int
    """Codes without a row left, whose names are gone."""
    name_bytes: int


@dataclass(frozen=True)
class SourceFile:
    """One of the data files that the rows were read from."""

    name: str
    size: int
    """In bytes."""
    digest: str
    """Keyed digest of its bytes, in hex (:func:`recbole_apa.data.index.source.source_of`)."""


@dataclass(frozen=True)
class Addition:
    """One addition of interactions to the run; the first is number 1 in ``IndexRows.since``."""

    rows: int
    """How many rows it brought."""
    samples: int
    """How many of them became samples."""
    position: int
    """Position of its line in the ledger."""
    piece: int
    """Number of the piece of each shard that its samples are trained in, after those before; 0 if split and draw were
    made anew since: then its rows are like all others, but for what hides them."""


@dataclass(frozen=True)
class About:
    """What an index is of."""

    options: Mapping[str, object] = field(default_factory=dict)
    """The resolved data options, as JSON."""
    source: tuple[SourceFile, ...] = ()
    additions: tuple[Addition, ...] = ()


@dataclass(frozen=True)
class Facts:
    """The content of ``index.json``."""

    about: About
    has_times: bool
    items: ItemsSize
    parts: tuple[PartSize, ...]

    @property
    def n_rows(self) -> int:
        """Rows in all parts."""
        return sum(part.n_rows for part in self.parts)

    def text(self) -> str:
        """As the file is written."""
        return json_text(
            {
                "version": VERSION,
                "options": dict(self.about.options),
                "source": [asdict(file) for file in self.about.source],
                "additions": [asdict(addition) for addition in self.about.additions],
                "has_times": self.has_times,
                "n_rows": self.n_rows,
                "items": list(self.items),
                "parts": [list(part) for part in self.parts],
            }
        )


def parse_facts(data: bytes, file: str) -> Facts:
    """
    Args:
        file: the file's name, for messages.

    Raises:
        RunError: not what :meth:`Facts.text` writes.
    """
    try:
        found = parse_json(data)
    except ValueError as error:
        raise RunError(f"{file} is damaged ({str(error)[:200]}); restore the run folder from a copy") from None
    if not isinstance(found, dict) or found.get("version") != VERSION or type(found["version"]) is not int:
        version = found.get("version") if isinstance(found, dict) else found
        raise RunError(f"{file}: found version {str(version)[:40]!r}, expected {VERSION}: is this program older?")
    for name, holds in _ENTRIES.items():
        if not holds(found.get(name)):
            _refuse(file, name)
    source = tuple(SourceFile(**entry) for entry in found["source"])
    additions = tuple(Addition(**entry) for entry in found["additions"])
    sizes = tuple(PartSize(*part) for part in found["parts"])
    facts = Facts(About(found["options"], source, additions), found["has_times"], ItemsSize(*found["items"]), sizes)
    if facts.text().encode() != data:
        _refuse(file, "text: it")
    return facts


def _refuse(file: str, name: str) -> NoReturn:
    raise RunError(f"{file}: {name} is not as this program writes it; restore the run folder from a copy")


def _whole(value: object) -> bool:
    return type(value) is int and value >= 0


def _small(value: object) -> bool:
    return _whole(value) and int(value) < 2**31  # type: ignore[call-overload]


def _sizes(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(map(_whole, value))


def _parts(value: Any) -> bool:
    return isinstance(value, list) and 1 <= len(value) <= _MOST_PARTS and all(map(_sizes, value))


def _records(kinds: Mapping[str, Callable[[object], bool]]) -> Callable[[Any], bool]:
    def holds(value: Any) -> bool:
        return isinstance(value, list) and all(
            isinstance(entry, dict)
            and entry.keys() == kinds.keys()
            and all(holds_one(entry[name]) for name, holds_one in kinds.items())
            for entry in value
        )

    return holds


def _text(value: object) -> bool:
    return isinstance(value, str)


_ENTRIES: dict[str, Callable[[Any], bool]] = {
    "options": lambda value: isinstance(value, dict),
    "source": _records({"name": _text, "size": _whole, "digest": _text}),
    "additions": _records({"rows": _whole, "samples": _whole, "position": _small, "piece": _small}),
    "has_times": lambda value: isinstance(value, bool),
    "n_rows": _whole,
    "items": _sizes,
    "parts": _parts,
}
