"""Whether an index is as it is written: nothing hides in it, and each row is where it belongs."""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np

from recbole_apa.core.errors import RunError
from recbole_apa.data.index.order import is_arranged
from recbole_apa.data.index.places import INDEX_FILE, ITEMS_FILE, file_names, part_file
from recbole_apa.data.index.read import Index
from recbole_apa.data.index.rows import ALLOWED, DRAWN, KEPT, NO_ROLE, IndexRows

_FLAGS = ALLOWED | KEPT | DRAWN


def index_problems(index: Index, names: Iterable[str]) -> list[str]:
    """What is wrong with an index, each finding with the name of a file; empty if it is sound.

    Reading already refuses a file that is not, byte for byte, what is written for its rows. This looks at the rows: at
    their order, at the parts of their users, for places that are not unique, and for numbers out of range.

    Args:
        names: the files that there are, relative to the index's folder.
    """
    try:
        expected, items = set(file_names(index.n_parts)), index.items
    except RunError as error:
        return [str(error)]
    there = set(names)
    out = [f"{index.files.shown(name)} is missing; the index has it" for name in sorted(expected - there)]
    out += [f"{index.files.shown(name)} is no file of the index" for name in sorted(there - expected)]
    counts, places = np.zeros(len(items.names), dtype=np.int64), []
    added = np.zeros(1 + len(index.facts.about.additions), dtype=np.int64)
    out += _of_additions(index)
    for number in range(index.n_parts if expected <= there else 0):
        shown = index.files.shown(part_file(number))
        try:
            rows = index.part(number)
        except RunError as error:
            out.append(str(error))
            continue
        found = [f"{shown}: {finding}" for finding in _of_part(rows, number, index)]
        added += np.bincount(rows.since, minlength=len(added)) if not found else 0
        out += found
        counts += np.bincount(rows.items.codes, minlength=len(counts))
        places.append(rows.places)
    if not out:
        out += [*_of_all(counts, np.concatenate(places), index), *_too_many(added, index)]
    return out


def _of_additions(index: Index) -> Iterator[str]:
    """What is wrong with the list of additions: positions grow, and pieces count from 1 after those that are 0."""
    additions, shown = index.facts.about.additions, index.files.shown(INDEX_FILE)
    positions, pieces = [a.position for a in additions], [a.piece for a in additions]
    later = [piece for piece in pieces if piece]
    if any(b <= a for a, b in pairwise([0, *positions])):
        yield f"{shown}: positions of additions are not in order"
    if pieces != [0] * (len(pieces) - len(later)) + list(range(1, len(later) + 1)):
        yield f"{shown}: the pieces of additions are not 1, 2, and so on after those of 0"


def _too_many(added: np.ndarray, index: Index) -> Iterator[str]:
    for number, (there, addition) in enumerate(zip(added[1:].tolist(), index.facts.about.additions, strict=True), 1):
        if there > addition.rows:
            yield f"{index.files.shown('parts')}: addition {number} brought {addition.rows} rows, and has {there}"


def _of_part(rows: IndexRows, number: int, index: Index) -> Iterator[str]:
    strangers = int((index.parts_of(rows.users.names) != number).sum())
    if strangers:
        yield f"{strangers} of its users belong into other parts"
    if not all(rows.users.names):
        yield "a user has no name"
    if not is_arranged(rows):
        yield "its rows are not in order, or a name of a user is not used or occurs twice"
    if rows.times is not None and not np.isfinite(rows.times).all():
        yield "a time is not a finite number"
    limits = {
        "place": (rows.places, np.iinfo(np.int64).max),
        "role": (rows.roles, NO_ROLE),
        "flags": (rows.flags, _FLAGS),
        "since": (rows.since, len(index.facts.about.additions)),
    }
    for name, (column, most) in limits.items():
        if len(rows) and not (column.min() >= 0 and column.max() <= most):
            yield f"{name} is out of range: found {column.min()} to {column.max()}, expected 0 to {most}"
    if ((rows.flags & DRAWN != 0) & (rows.roles == NO_ROLE)).any():
        yield "a row is a sample and in no split"


def _of_all(counts: np.ndarray, places: np.ndarray, index: Index) -> Iterator[str]:
    shown = index.files.shown(ITEMS_FILE)
    if not np.array_equal(counts, index.items.n_rows):
        yield f"{shown}: the numbers of rows are not those of the parts"
    named = [name for name, n in zip(index.items.names, index.items.n_rows.tolist(), strict=True) if n]
    if not all(named) or max(Counter(named).values(), default=1) > 1:
        yield f"{shown}: a name is empty or occurs twice"
    places = np.sort(places)
    if (places[1:] == places[:-1]).any():
        yield f"{index.files.shown('parts')}: two rows have the same place"
