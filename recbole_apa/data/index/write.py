"""Write the index of a run, part after part; the same rows and salt give the same bytes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from recbole_apa.core.errors import DataError
from recbole_apa.core.files.whole import write_whole
from recbole_apa.data.index.arrow import Items, items_bytes, part_bytes, part_size
from recbole_apa.data.index.facts import About, Facts, PartSize
from recbole_apa.data.index.order import arranged, by_place
from recbole_apa.data.index.places import INDEX_FILE, ITEMS_FILE, n_parts_for, part_file, parts_of, rows_of_parts
from recbole_apa.data.index.rows import IndexRows
from recbole_apa.data.row_blocks import counts
from recbole_apa.data.tokens import Tokens


def write_index(
    folder: Path,
    rows: IndexRows,
    salt: str,
    about: About,
    codes: Sequence[str] | None = None,
    n_parts: int | None = None,
) -> Facts:
    """Write the index of all visible rows into ``folder``.

    Args:
        rows: in any order; places are unique.
        salt: the run's salt, by which users are assigned to parts.
        codes: item names by code; ``""`` for one that is no longer used. None numbers items by their first place.
        n_parts: a power of two; None chooses it by the number of rows.

    Returns:
        what ``index.json`` says.

    Raises:
        DataError: places repeat, times are not finite, or a name is no valid Unicode.
        RunError: a file cannot be written.
    """
    rows = by_place(rows)
    refuse_odd(rows)
    rows, items = _with_codes(rows, codes)
    n_parts = n_parts or n_parts_for(len(rows))
    part_of_user = parts_of(rows.users.names, salt, n_parts)
    code_in_part, users_of = _codes_in_parts(part_of_user, n_parts)
    part_of_row = part_of_user.astype(np.uint16)[rows.users.codes]
    sizes = []
    for part, which in enumerate(rows_of_parts(part_of_row, n_parts)):
        here = rows.take(which)
        names = [rows.users.names[user] for user in users_of[part].tolist()]
        users = Tokens(code_in_part[here.users.codes], names)
        sizes.append(write_part(folder / part_file(part), arranged(replace(here, users=users))))
    return write_facts(folder, items, Facts(about, rows.times is not None, items.size(), tuple(sizes)))


def write_part(path: Path, rows: IndexRows) -> PartSize:
    """Write one part, whose rows are arranged."""
    size = part_size(rows)
    _write(path, part_bytes(rows))
    return size


def write_facts(folder: Path, items: Items, facts: Facts) -> Facts:
    """Write ``items.arrow``, and last ``index.json``."""
    _write(folder / ITEMS_FILE, items_bytes(items))
    _write(folder / INDEX_FILE, facts.text().encode())
    return facts


def refuse_odd(rows: IndexRows) -> None:
    """
    Args:
        rows: in order of place.

    Raises:
        DataError: see :func:`write_index`.
    """
    places = rows.places
    if len(places) and (places[0] < 0 or (places[1:] == places[:-1]).any()):
        raise DataError("found places of rows that repeat or are negative; expected a place of its own for each row")
    if rows.times is not None and not np.isfinite(rows.times).all():
        raise DataError("found times that are not finite; expected numbers")


def _with_codes(rows: IndexRows, codes: Sequence[str] | None) -> tuple[IndexRows, Items]:
    """The rows with the index's item codes, and the items."""
    if codes is None:
        column = rows.items.compact()
    else:
        code_of = {name: code for code, name in enumerate(codes)}
        at = np.array([code_of.get(name, -1) for name in rows.items.names], dtype=np.int32)
        column = Tokens(at[rows.items.codes], list(codes))
        if len(rows) and column.codes.min() < 0:
            raise DataError("found a row of an item that has no code; expected a code for every item")
    n_rows = counts(column.codes, len(column.names))
    names = [name if n else "" for name, n in zip(column.names, n_rows.tolist(), strict=True)]
    if any(n and not name for name, n in zip(names, n_rows.tolist(), strict=True)):
        raise DataError("found an item whose name is empty; expected a name for each")
    return replace(rows, items=Tokens(column.codes, names)), Items(names, n_rows)


def _codes_in_parts(part_of_user: np.ndarray, n_parts: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Each user's number among those of the same part, (n,), int32; and the users of each part."""
    order = np.argsort(part_of_user, kind="stable")
    counts = np.bincount(part_of_user, minlength=n_parts)
    ends = np.cumsum(counts)
    codes = np.empty(len(order), dtype=np.int32)
    codes[order] = np.arange(len(order)) - np.repeat(ends - counts, counts)
    return codes, np.split(order, ends[:-1])


def _write(path: Path, data: "bytes | pa.Buffer") -> None:
    def write(target: Path) -> None:
        target.write_bytes(data)

    write_whole(path, write)
