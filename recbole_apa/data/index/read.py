"""Read the index: the rows of some users, of some items, or all of them, a part at a time."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa

from recbole_apa.core.files.plain import read_plain, refuse_odd
from recbole_apa.data.index.arrow import Items, copied, parse_items, parse_part
from recbole_apa.data.index.facts import Facts, parse_facts
from recbole_apa.data.index.order import by_place, join_by_place, join_parts
from recbole_apa.data.index.places import INDEX_FILE, ITEMS_FILE, part_file, parts_of
from recbole_apa.data.index.rows import IndexRows
from recbole_apa.data.tokens import Tokens


class IndexFiles(Protocol):
    """Where the files of an index are read from; names are relative to the index's folder."""

    def read(self, name: str) -> bytes:
        """The bytes of a small file.

        Raises:
            RunError: missing, not a regular file, or not the one that the run wrote.
        """
        ...

    def mapped(self, name: str) -> pa.Buffer:
        """The bytes of a large file, mapped into memory until the last user of the buffer is gone.

        Raises:
            RunError: likewise.
        """
        ...

    def shown(self, name: str) -> str:
        """A file's name in messages."""
        ...


class IndexFolder:
    """The files of an index in a folder, as they are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name: str) -> bytes:
        """See :class:`IndexFiles`."""
        return read_plain(self.folder / name)

    def mapped(self, name: str) -> pa.Buffer:
        """See :class:`IndexFiles`."""
        return mapped(self.folder / name)

    def shown(self, name: str) -> str:
        """See :class:`IndexFiles`."""
        return str(self.folder / name)


def mapped(path: Path) -> pa.Buffer:
    """A file's bytes, mapped into memory until the last user of the buffer is gone.

    Raises:
        RunError: missing, not a regular file, or not readable.
    """
    refuse_odd(path)
    if not path.stat().st_size:
        return pa.py_buffer(b"")
    with pa.memory_map(str(path), "r") as file:
        return file.read_buffer()


class Index:
    """What a run may see. Nothing stays open: each part is opened when its rows are asked for, and what is returned is
    a copy.

    Args:
        files: where its files are; a path is a folder.
        salt: the run's salt.
    """

    def __init__(self, files: IndexFiles | Path, salt: str) -> None:
        self.files: IndexFiles = IndexFolder(files) if isinstance(files, Path) else files
        self.salt = salt

    @cached_property
    def facts(self) -> Facts:
        """``index.json``.

        Raises:
            RunError: missing or damaged.
        """
        return parse_facts(self.files.read(INDEX_FILE), self.files.shown(INDEX_FILE))

    @cached_property
    def items(self) -> Items:
        """The items by code.

        Raises:
            RunError: missing or damaged.
        """
        return parse_items(self.files.mapped(ITEMS_FILE), self.facts.items, self.files.shown(ITEMS_FILE))

    @property
    def n_rows(self) -> int:
        """The number of rows."""
        return self.facts.n_rows

    @property
    def n_parts(self) -> int:
        """The number of parts."""
        return len(self.facts.parts)

    def parts_of(self, users: Iterable[str]) -> np.ndarray:
        """The part of each user, whether the index has the name or not, (n,), int64."""
        return parts_of(users, self.salt, self.n_parts)

    def part(self, number: int) -> IndexRows:
        """The rows of one part: users in order of first place, each one's by (time, place).

        User names are the part's own; item names are those of the whole index.

        Raises:
            RunError: the file is missing or damaged.
        """
        return copied(self._view(number))

    def parts(self) -> Iterator[IndexRows]:
        """All parts, one after another."""
        return map(self.part, range(self.n_parts))

    def rows_of_users(self, names: Iterable[str]) -> IndexRows:
        """All rows of some users in order of place, with those names alone that occur; unknown names are passed over.

        Raises:
            RunError: a file is missing or damaged.
        """
        wanted = set(filter(_can_be_written, names))
        numbers = sorted(set(self.parts_of(wanted).tolist()))
        return self._joined([self._of_users(self._view(number), wanted) for number in numbers])

    def rows_of_items(self, names: Iterable[str]) -> IndexRows:
        """All rows of some items in order of place, with those names alone that occur; unknown names are passed over.

        Parts are read until all rows are found: ``items.arrow`` says how many there are.

        Raises:
            RunError: a file is missing or damaged.
        """
        wanted = set(names)
        codes = [code for code, name in enumerate(self.items.names) if name in wanted and self.items.n_rows[code]]
        is_wanted = np.zeros(len(self.items.names), dtype=bool)
        is_wanted[codes] = True
        left, found = int(self.items.n_rows[codes].sum()), []
        for number in range(self.n_parts if left else 0):
            part = self._view(number)
            found.append(part.take(np.flatnonzero(is_wanted[part.items.codes])))
            left -= len(found[-1])
            if left <= 0:
                break
        return self._joined(found)

    def all_rows(self) -> IndexRows:
        """All rows in order of place: about 40 bytes a row, ten more while they are put in order."""
        return join_by_place([self._view(number) for number in range(self.n_parts)])

    def _view(self, number: int) -> IndexRows:
        name = part_file(number)
        size, shown = self.facts.parts[number], self.files.shown(name)
        return parse_part(self.files.mapped(name), size, self.items, self.facts.has_times, shown)

    def _of_users(self, part: IndexRows, wanted: set[str]) -> IndexRows:
        is_wanted = np.fromiter((name in wanted for name in part.users.names), dtype=bool, count=len(part.users.names))
        return part.take(np.flatnonzero(is_wanted[part.users.codes]))

    def _joined(self, parts: Sequence[IndexRows]) -> IndexRows:
        """Rows of several parts in order of place, with the names alone that they use."""
        rows = by_place(join_parts([*parts, self._no_rows()]))
        return replace(rows, users=rows.users.compact(), items=rows.items.compact())

    def _no_rows(self) -> IndexRows:
        empty = np.zeros(0)
        users, items = Tokens(empty.astype(np.int32), []), Tokens(empty.astype(np.int32), self.items.names)
        times = empty if self.facts.has_times else None
        columns = [empty.astype(kind) for kind in (np.int64, np.int8, np.uint8, np.int32)]
        return IndexRows(users, items, times, empty, *columns)


def _can_be_written(name: str) -> bool:
    """Whether a name is valid Unicode, without which no index has it."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
