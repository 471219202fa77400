"""New rows join a run of APANext: users whose sequences grow are read again, and the run is in every bit what a
training on all rows gives with the same division of users."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recbole_apa.core.errors import RequestError
from recbole_apa.core.system.signals import terminable
from recbole_apa.next_item.added_rows import AddedRows, are_in
from recbole_apa.next_item.change import Change, Exchange
from recbole_apa.next_item.options import MODEL
from recbole_apa.next_item.run.added_files import keep_incoming
from recbole_apa.next_item.run.opened import NextItemRun, open_state, visible_of
from recbole_apa.next_item.run.pending import refuse_edited, refuse_waiting
from recbole_apa.next_item.run.put_in_force import Transition
from recbole_apa.next_item.run.result import ForgetResult
from recbole_apa.next_item.run.session import Session
from recbole_apa.next_item.run.store import NextItemStore
from recbole_apa.next_item.title_slices import kept_slices
from recbole_apa.runs.ledger_lines import ADDED
from recbole_apa.runs.lock import run_lock
from recbole_apa.runs.log import own_log
from recbole_apa.runs.names import KEY
from recbole_apa.unlearning.additions.incoming import Incoming
from recbole_apa.unlearning.additions.read import read_incoming

if TYPE_CHECKING:
    from recbole_apa.unlearning.additions.read import Given

_MOST_TOLD = 10


@dataclass
class NextItemAddition:
    """What a call did, or would do."""

    n_rows: int
    n_users: int
    """Users of the run before."""
    n_shards: int
    change: Change
    position: int | None = None
    """The addition's line in the ledger; None for a dry run."""
    figures: Mapping[str, Mapping[str, float]] | None = None
    """``before`` and ``after``: what is served, by RecBole's names. Held-out items are each user's last, so they are
    others for users who grew."""
    slices: dict[str, dict[str, int]] = field(default_factory=dict)
    """Of shards that change (:func:`~recbole_apa.next_item.title_slices.kept_slices`)."""
    caught_up: list[int] | None = None
    """The shards whose adapters a request at once had left for later, and which were trained along with the addition's
    own; None if there were none."""
    seconds: float = 0.0
    run: NextItemRun | None = None
    """The run in its new state."""
    finished: ForgetResult | None = None
    """What an interrupted call had left waiting."""


@terminable()
@own_log()
def add_next_items(
    folder: str | Path,
    interactions: "Given",
    *,
    columns: Mapping[str, object] | None = None,
    dry_run: bool = False,
    config_dict: Mapping[str, object] | None = None,
) -> NextItemAddition:
    """Let new rows of known and new users join a finished run; first finishes what an interrupted call left waiting.

    Args:
        folder: the run's folder.
        interactions, columns: as for :func:`recbole_apa.add`.
        dry_run: say what the rows change, and change nothing.
        config_dict: where things are now, e.g. ``{"data_path": ...}``.

    Raises:
        RequestError: malformed rows, or such as the run does not take, by line; nothing was changed.
        RunError: the run is damaged, in use, made from other data.
        SettingsError: it was made on another kind of machine.
    """
    store = NextItemStore(folder)
    store.manifest()
    with run_lock(store.folder, "adding", writes=not dry_run):
        session = Session(store, config_dict or {})
        finished = None
        if dry_run:
            refuse_waiting(store, store.manifest())
        else:
            waited, done = session.finish_waiting()
            finished = done if waited else None
        refuse_edited(store, store.manifest(), session.keys)
        opened = open_state(store, session.changes, session.keys)
        rows = _read(session, opened, interactions, columns)
        made = session.with_rows(opened, rows)
        session.refuse_unfit(opened, made)
        settings, change = opened.options.settings, made.change
        out = NextItemAddition(len(rows), len(opened.data.sequences), settings.n_shards, change)
        out.slices, out.finished = kept_slices(opened.state.learnt, change.first, settings), finished
        if not dry_run:
            _fill(out, _taken(session, opened, rows, made))
        return out


def _taken(session: Session, opened: NextItemRun, rows: AddedRows, made: Exchange) -> Transition:
    session.keys.outside(session.store.folder)
    session.keys.keep(session.keys.newest())
    key = session.keys.newest()
    digest = keep_incoming(session.store, rows, key)
    ledger = session.store.ledger(session.store.manifest())
    entry = ledger.append(ADDED, {"n_rows": len(rows), "readmits": [], KEY: key.name, "rows": digest})
    return session.grow(entry, opened, made)


def _fill(out: NextItemAddition, grown: Transition) -> None:
    (entry,) = grown.entries
    out.position, out.seconds, out.run = entry.position, grown.seconds, grown.after
    out.caught_up = grown.caught_up or None
    out.figures = {"before": grown.before.figures.get(MODEL, {}), "after": grown.after.figures.get(MODEL, {})}


def _read(
    session: Session, opened: NextItemRun, interactions: "Given", columns: Mapping[str, object] | None
) -> AddedRows:
    """The rows, if the run takes them.

    Raises:
        RequestError: lists the first ten that it does not take, by line.
    """
    data, options = opened.data, opened.options.data
    filters = options.filters
    if filters.values or filters.keep_duplicate:
        raise RequestError(
            "the run has filters (val_interval, rm_dup_inter) under which rows would count or not by what others there "
            "are; such a run takes no additions: train a new one on all rows"
        )
    incoming = read_incoming(interactions, options.files, options.label, data.raw.times is not None, columns)
    times = None if incoming.times is None else tuple(map(float, incoming.times))
    values = tuple(map(float, incoming.values))
    rows = AddedRows(tuple(incoming.users.texts()), tuple(incoming.items.texts()), times, values)
    shown = rows.interactions(options.label)
    hidden = ~visible_of(session.store, session.store.manifest(), session.keys).visible(shown)
    lacking = np.array([item not in data.catalogue for item in rows.items], dtype=bool)
    _refuse(
        incoming,
        [
            (lacking, "an item that the run's catalogue does not have; it is that of the .item file at the training"),
            (hidden, "a user, an item or an interaction that was forgotten"),
            (are_in(shown, data.raw), "a row that the run has"),
        ],
    )
    return rows


def _refuse(incoming: Incoming, reasons: Sequence[tuple[np.ndarray, str]]) -> None:
    told = [f"{incoming.where(row)}: {why}" for which, why in reasons for row in np.flatnonzero(which).tolist()]
    if told:
        more = f"; and {len(told) - _MOST_TOLD} more" if len(told) > _MOST_TOLD else ""
        raise RequestError(f"{'; '.join(told[:_MOST_TOLD])}{more}. Nothing was added: leave them out")
