"""Write the index of a run: whole when it is trained, and the parts that change when it forgets."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from recbole_apa.core.errors import RunError
from recbole_apa.data.data_options import FileOptions
from recbole_apa.data.index.change import Change, rewrite
from recbole_apa.data.index.facts import About, Addition
from recbole_apa.data.index.rows import IndexRows
from recbole_apa.data.index.source import DataFile, source_of
from recbole_apa.data.index.write import write_index
from recbole_apa.data.run_data import RunData
from recbole_apa.evidence import Key, secret_of
from recbole_apa.runs.names import INDEX
from recbole_apa.runs.store import RunStore


class Shown(Protocol):
    """The training part of a dataset."""

    run_data: RunData
    files: tuple[DataFile, ...]
    """The data files, as they were before they were read."""


def can_be_indexed(files: FileOptions) -> bool:
    """Whether an index has all that RecBole's dataset is made of: columns of further ids (``alias_of_item_id`` and the
    like), from which RecBole numbers names, too, are not in it."""
    return set(files.ids) <= {files.user, files.item}


def write_first_index(store: RunStore, data: Shown, key: Key | None) -> None:
    """Write the index of a run that is trained now, or of an older one that has none; nothing if its data cannot have
    one.

    Args:
        data: the training part of the data.
        key: for the run's digests, if it has forgotten something or has grown.
    """
    made = data.run_data
    if not can_be_indexed(made.options.files):
        return
    source = source_of(data.files, secret_of(store.salt, key))
    about = About(made.options.to_json(), source, made.additions)
    write_index(store.folder / INDEX, made.index_rows(), store.salt, about)


def write_changed_index(
    pending: RunStore, change: Change, files: Sequence[DataFile], key: Key, additions: Sequence[Addition] | None = None
) -> None:
    """Write the parts of the index of a pending state that differ from those of the state it replaces.

    Args:
        files: the data files, as they were when they were compared with the index.
        key: for the new state's digests.
        additions: of the new state; None if they stay as they were.

    Raises:
        DataError: the index does not have the rows that are to go.
    """
    assert pending.base is not None
    index = pending.base.open_index()
    about = replace(index.facts.about, source=source_of(files, secret_of(pending.salt, key)))
    if additions is not None:
        about = replace(about, additions=tuple(additions))
    rewrite(index, pending.folder / INDEX, change, about)


def write_next_index(pending: RunStore, before: Shown, after: Shown, key: Key, anew: bool) -> None:
    """Write the index of a state that requests lead to, whole if the run has none yet.

    Args:
        before, after: the training parts of the data before and after.
        key: for the new state's digests.
        anew: split and draw were made anew.
    """
    assert pending.base is not None
    if anew or not pending.base.has_index():
        write_first_index(pending, after, key)
    else:
        _refuse_other(pending.base, before)
        change = difference(before.run_data.index_rows(), after.run_data.index_rows())
        write_changed_index(pending, change, after.files, key)


def write_grown_index(pending: RunStore, before: Shown, after: Shown, key: Key) -> None:
    """Write the index of a state that rows have joined, whole if the run has none yet.

    Args:
        before, after: the training parts of the data before and after.
        key: for the new state's digests.
    """
    assert pending.base is not None
    if not pending.base.has_index():
        write_first_index(pending, after, key)
        return
    _refuse_other(pending.base, before)
    rows, additions = after.run_data.index_rows(), after.run_data.additions
    is_new = rows.since == len(additions)
    change = difference(before.run_data.index_rows(), rows.take(np.flatnonzero(~is_new)))
    change = replace(change, added=rows.take(np.flatnonzero(is_new)))
    write_changed_index(pending, change, after.files, key, additions)


def _refuse_other(store: RunStore, before: Shown) -> None:
    """
    Raises:
        RunError: the run's index has another number of rows than the data that a state is made from.
    """
    found, expected = store.open_index().facts.n_rows, len(before.run_data.raw)
    if found != expected:
        raise RunError(
            f"{store.place}: its index has {found} rows, and the run as it was opened {expected}: it has changed "
            "since; open it again"
        )


def difference(before: IndexRows, after: IndexRows) -> Change:
    """What takes an index of ``before`` to one of ``after``; rows of both are in order of place.

    Raises:
        RunError: a row of ``after`` is not in ``before``.
    """
    kept = np.searchsorted(before.places, after.places)
    if len(kept) and (kept[-1] == len(before) or not np.array_equal(before.places[kept], after.places)):
        raise RunError("found rows that the run did not have before; expected those of its index")
    other = np.flatnonzero((before.roles[kept] != after.roles) | (before.flags[kept] != after.flags))
    goes = np.ones(len(before), dtype=bool)
    goes[kept] = False
    gone = np.flatnonzero(goes)
    return Change(before.take(gone) if len(gone) else None, after.take(other) if len(other) else None)
