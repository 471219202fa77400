"""What a request makes of the users whose rows it names, from the run's index; nobody else's rows are read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from recbole_apa.core.errors import DataError
from recbole_apa.data.index.additions import added_at
from recbole_apa.data.index.change import Change
from recbole_apa.data.index.rows import ALLOWED, IndexRows
from recbole_apa.data.run_data import RunData
from recbole_apa.data.samples import Interactions, Sample
from recbole_apa.data.splits import SPLITS
from recbole_apa.data.survey import starts_of_users
from recbole_apa.pipeline.indexed_run import IndexedRun
from recbole_apa.runs.plain_ids import has_plain_ids
from recbole_apa.unlearning.checks import refuse_found
from recbole_apa.unlearning.requests.demands import Demand


@dataclass(frozen=True)
class Touched:
    """The rows of all users of whom a request hides something, before and after."""

    before: RunData
    after: RunData | None
    """None if none of their rows is left, or none that passes the filters."""
    change: Change
    """Of the index."""
    n_hidden: int

    def samples_before(self) -> dict[str, list[Sample]]:
        """The samples by split."""
        return self.before.samples

    def keeps_order(self) -> bool:
        """Whether the samples that stay are surely listed in the same order: by the first row of each user."""
        return self.after is None or starts_of_users(self.before) == starts_of_users(self.after)

    def samples_after(self) -> dict[str, list[Sample]]:
        """The samples by split."""
        return self.after.samples if self.after else {name: [] for name in SPLITS}


def concerned_rows(run: IndexedRun, demands: Sequence[Demand]) -> IndexRows:
    """All rows of the users that demands name, and of those who have an item that they name; by place."""
    users = {d.user for d in demands if d.user is not None}
    items = {d.item for d in demands if d.item is not None and d.user is None}
    if items:
        users.update(run.index.rows_of_items(items).users.names)
    return run.index.rows_of_users(users)


def interactions_of(run: IndexedRun, rows: IndexRows) -> Interactions:
    """The rows as requests look them up."""
    labels = run.options.label.labels(rows.values)
    return Interactions(rows.users, rows.items, labels, rows.times, rows.values, has_plain_ids(run.manifest))


def touched_of(
    run: IndexedRun, rows: IndexRows, visible: Callable[[Interactions, np.ndarray | None], np.ndarray]
) -> Touched:
    """What becomes of users when some of their rows are hidden.

    Args:
        rows: all rows of those users, by place.
        visible: which rows stay, (n,), bool, given also the position in the ledger of the addition that brought each.

    Raises:
        CertificateError: no row is hidden.
    """
    shown = visible(interactions_of(run, rows), added_at(rows.since, run.index.facts.about.additions))
    if shown.all():
        refuse_found(["the request was found in the data, and hides no row of it"])
    touched = np.unique(rows.users.codes[~shown])
    of_touched = np.isin(rows.users.codes, touched)
    rows, shown = rows.take(np.flatnonzero(of_touched)), shown[of_touched]
    left = rows.take(np.flatnonzero(shown))
    after = _data_left(run, left)
    removed = rows.take(np.flatnonzero(~shown))
    return Touched(run.data_of(rows), after, Change(removed, _changed(left, after)), len(removed))


def _data_left(run: IndexedRun, left: IndexRows) -> RunData | None:
    """What is made of the rows that stay; None if none of them passes the filters."""
    if not (left.flags & ALLOWED).any():
        return None
    try:
        return run.data_of(left, filtered=False)
    except DataError:  # those that would pass are repeats of rows that do not
        return None


def _changed(left: IndexRows, after: RunData | None) -> IndexRows | None:
    """The rows that got other roles or flags."""
    if after is None:
        return None
    now = after.index_rows()
    other = np.flatnonzero((now.roles != left.roles) | (now.flags != left.flags))
    return now.take(other) if len(other) else None
