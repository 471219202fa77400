"""The data of a run with rows that join it, before anything is changed."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_apa.core.errors import RequestError
from recbole_apa.data.added_rows import NewRows, grown_rows
from recbole_apa.data.index.additions import next_piece
from recbole_apa.data.index.facts import Addition
from recbole_apa.data.index.rows import ALLOWED, DRAWN, IndexedRows
from recbole_apa.data.read_data import read_sides
from recbole_apa.data.run_data import RunData
from recbole_apa.data.samples import Interactions
from recbole_apa.pipeline.build_data import build_data
from recbole_apa.runs.keep_index import can_be_indexed
from recbole_apa.unlearning.additions.incoming import Incoming
from recbole_apa.unlearning.additions.refusals import refuse_changed, refuse_early, refuse_forgotten, refuse_known

if TYPE_CHECKING:
    from recbole_apa.data.loaders import Loaders
    from recbole_apa.pipeline.build import RunResult


@dataclass(frozen=True)
class Grown:
    """A run's data with an addition."""

    data: "Loaders"
    addition: Addition
    n_readmitted: int
    """Rows that name something forgotten."""
    readmits: frozenset[str]
    """The digests under which it was."""

    @property
    def made(self) -> RunData:
        """The rows and what is made of them."""
        made: RunData = self.data.train_set.run_data
        return made


def grow(opened: "RunResult", incoming: Incoming, position: int, readmit: bool) -> Grown:
    """The data of a run with rows that join it.

    Args:
        opened: the run as it is.
        position: of the addition's line in the ledger.
        readmit: take rows of what was forgotten.

    Raises:
        RequestError: rows that a run does not take (:mod:`.refusals`).
    """
    part, store = opened.data.train_set, opened.store
    before: RunData = part.run_data
    if not can_be_indexed(before.options.files):
        raise RequestError(
            f"found columns of further ids ({', '.join(before.options.files.ids)}) in the run's data, expected users "
            "and items alone: such a run has no index and cannot grow"
        )
    assignment = store.load_assignment()
    assert assignment is not None
    moved = store.moved_shards(assignment.n_shards)
    if moved:
        raise RequestError(
            f"shards {', '.join(f'{k:03d}' for k in moved)} were moved by an approximate method, and the run cannot "
            "grow from there: make an exact request first, which trains them again"
        )
    refuse_known(before, incoming)
    asked = _interactions(before, incoming)
    n_readmitted, readmits = refuse_forgotten(part.visible_data, asked, incoming, readmit)
    addition = Addition(len(incoming), 0, position, next_piece(before.additions))
    sides = read_sides(before.options.files, Path(part.stem))
    new = NewRows(incoming.users, incoming.items, incoming.times, incoming.values)
    rows = grown_rows(before, sides, new, addition)
    number = len(before.additions) + 1
    may_show = rows.flags[rows.since == number] & ALLOWED != 0
    places = store.places(before.pieces, opened.keys)
    refuse_early(before, incoming, may_show, assignment, places)
    addition = replace(addition, samples=int(((rows.since == number) & (rows.flags & DRAWN != 0)).sum()))
    indexed = IndexedRows(rows, part.files, (*before.additions, addition))
    data = build_data(opened.config, part.visible_data, indexed=indexed)
    refuse_changed(before.samples, data.train_set.splits, assignment, places)
    return Grown(data, addition, n_readmitted, readmits)


def _interactions(before: RunData, incoming: Incoming) -> Interactions:
    """The incoming rows as requests name them."""
    labels, plain_ids = before.options.label.labels(incoming.values), before.raw.plain_ids
    return Interactions(incoming.users, incoming.items, labels, incoming.times, incoming.values, plain_ids)
