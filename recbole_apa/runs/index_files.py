"""The index of a run, read from the run's files; a pending state has only the parts that it changes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from recbole_apa.core.errors import RunError
from recbole_apa.core.seeding import digest_of
from recbole_apa.data.index.facts import parse_facts
from recbole_apa.data.index.places import INDEX_FILE, file_names
from recbole_apa.runs.names import INDEX

if TYPE_CHECKING:
    from pyarrow import Buffer

    from recbole_apa.runs.store import RunStore

INDEX_JSON = f"{INDEX}/{INDEX_FILE}"


class RunIndexFiles:
    """The files of a run's index, see :class:`~recbole_apa.data.index.read.IndexFiles`. Only files that the manifest
    lists are read, once the run is sealed."""

    def __init__(self, store: "RunStore") -> None:
        self.store = store
        self.listed = store.manifest().get("files")

    def read(self, name: str) -> bytes:
        """See :class:`~recbole_apa.data.index.read.IndexFiles`."""
        return self._owner(name).read(f"{INDEX}/{name}")

    def mapped(self, name: str) -> "Buffer":
        """See :class:`~recbole_apa.data.index.read.IndexFiles`."""
        return self._owner(name).open_mapped(f"{INDEX}/{name}")

    def shown(self, name: str) -> str:
        """See :class:`~recbole_apa.data.index.read.IndexFiles`."""
        return f"{self.store.place}/{INDEX}/{name}"

    def _owner(self, name: str) -> "RunStore":
        """Which state has a file."""
        full = f"{INDEX}/{name}"
        if self.listed is not None and full not in self.listed:
            raise RunError(f"{self.shown(name)} is not in the manifest: its origin is unknown")
        if self.store.base is None or self.store.has(full):
            return self.store
        return self.store.base


def index_of_base(store: "RunStore", old: dict[str, str]) -> dict[str, str]:
    """The files of an index that a pending state takes over, with their digests: those that its own ``index.json``
    names and that are not in its folder. Without an ``index.json`` of its own it has no index: nothing is taken over,
    and the old one is deleted with the old state, so no request leaves one that it did not change.

    Args:
        old: the digests of the base's files.

    Raises:
        RunError: neither has one of them.
    """
    if not store.has(INDEX_JSON):
        return {}
    facts = parse_facts(store.read(INDEX_JSON), str(store.folder / INDEX_JSON))
    names = [f"{INDEX}/{name}" for name in file_names(len(facts.parts))]
    wanted = [name for name in names if not store.has(name)]
    missing = [name for name in wanted if name not in old]
    if missing:
        raise RunError(f"{store.place} lacks {missing[0]}, which its index names; delete {store.place} and start again")
    return {name: old[name] for name in wanted}


def with_index_as_one(files: Mapping[str, str]) -> dict[str, str]:
    """Digests of a state's files, those of the index as one entry, ``index/``.

    Whoever knows which part a request changed knows that of the candidates: the part of a user follows from the run's
    salt and the name.
    """
    prefix = f"{INDEX}/"
    out = {name: digest for name, digest in files.items() if not name.startswith(prefix)}
    parts = [text for name, digest in sorted(files.items()) if name.startswith(prefix) for text in (name, digest)]
    return out | {prefix: digest_of("index", *parts).hex()} if parts else out
