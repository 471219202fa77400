"""What requests would change: the data that they leave, and the plan."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from recbole_apa.core.errors import DataError, RequestError
from recbole_apa.core.places import Place, Places
from recbole_apa.data.visible_data import VisibleData
from recbole_apa.evidence import KeyRing
from recbole_apa.evidence.exactness import FRESH, STRICT, exactness_of
from recbole_apa.runs.ledger import Entry, Ledger, Request, served_by, visible_without
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.approximate.known import EXACT
from recbole_apa.unlearning.checks import refuse_in_data, sought_of
from recbole_apa.unlearning.plan import Plan, Trained, add_moved, make_plan, settle_meaning, settle_moves
from recbole_apa.unlearning.redraw import plan_anew, refuse_plain_ids, without_roles
from recbole_apa.unlearning.requests.demands import Demand

if TYPE_CHECKING:
    from recbole_apa.data.dataset import APADataset
    from recbole_apa.data.index.rows import IndexedRows
    from recbole_apa.data.loaders import Loaders
    from recbole_apa.pipeline.build import RunResult


@dataclass(frozen=True)
class Prepared:
    """The effect of requests, before anything is changed."""

    data: "Loaders"
    """Without what they name."""
    plan: Plan


def served_requests(store: RunStore) -> list[Entry]:
    """The requests that led to this state."""
    manifest = store.manifest()
    return served_by(manifest, Ledger(store.storage, store.salt).requests())


def method_of(requests: Sequence[Request]) -> str:
    """How requests are carried out together: approximately if all ask for the same method, else exactly."""
    asked = {e.content.get("method", EXACT) for e in requests}
    return asked.pop() if len(asked) == 1 else EXACT


def prepare(opened: "RunResult", requests: Sequence[Request], demands: Sequence[Demand] = ()) -> Prepared:
    """The data that requests leave, and what it takes to get there; see :func:`data_without`."""
    data = data_without(opened, requests, demands)
    return Prepared(data, plan_of(opened, data.train_set, requests))


def data_without(opened: "RunResult", requests: Sequence[Request], demands: Sequence[Demand] = ()) -> "Loaders":
    """The loaders of what remains of a run's data.

    Args:
        demands: what the requests name, if known.

    Raises:
        RequestError: nothing would remain, or, with ``fresh``, too little for a new training.
        CertificateError: something that was to be forgotten can still be reached.
    """
    from recbole_apa.pipeline.build import stored_visible_data
    from recbole_apa.pipeline.build_data import build_data

    store = opened.store
    visible_data = stored_visible_data(store, opened.keys)
    if exactness_of(requests) == FRESH:
        refuse_plain_ids(opened.data.train_set)
        visible_data = without_roles(visible_data)
    more = visible_without(requests, store.salt, opened.keys)
    try:
        left = _rows_left(opened, visible_data.without(more)) if store.has_index() else None
        data = build_data(opened.config, visible_data.without(more), indexed=left)
        lines = [e.content for e in [*served_requests(store), *requests]]
        sought = sought_of(store, data.train_set, lines, opened.keys, demands)
        refuse_in_data(opened.data, data, sought)
    except DataError as error:
        if exactness_of(requests) == FRESH:
            raise RequestError(
                f"exactness: {FRESH}: a new training on what remains is not possible ({error}); use {STRICT}"
            ) from error
        # the data could be read a moment ago: only the missing rows are new
        raise RequestError(f"without what is to be forgotten there is no data to train on ({error})") from error
    return data


def _rows_left(opened: "RunResult", left: VisibleData) -> "IndexedRows":
    """The rows of the run's index that no request hides."""
    from recbole_apa.data.index.rows import IndexedRows

    before = opened.data.train_set
    made = before.run_data
    shown = left.visible(before.raw_interactions, made.added_at)
    rows = made.index_rows().take(np.flatnonzero(shown))
    rows = replace(rows, users=rows.users.compact(), items=rows.items.compact())  # without the names of the forgotten
    return IndexedRows(rows, before.files, made.additions)


def places_of(store: RunStore, keys: KeyRing) -> tuple[Places, dict[int, Place]]:
    """When each training sample of a run is trained, and where the training of shards has ended early."""
    return store.places(store.load_pieces(), keys), store.load_prefixes()


def plan_of(opened: "RunResult", dataset: "APADataset", requests: Sequence[Request]) -> Plan:
    """The plan of requests, whether or not they are in the ledger yet.

    Args:
        opened: the run before them.
        dataset: the training part of the data that they leave.
    """
    store = opened.store
    assignment = store.load_assignment()
    assert assignment is not None
    digests, cost = {d for e in requests for d in e.content["interactions"]}, store.manifest().get("full_training", {})
    trained = Trained(store.lineage(), assignment, cost, opened.data.train_set.splits, *places_of(store, opened.keys))
    # what earlier requests forgot may have joined the run again since
    hidden = visible_without(requests, store.salt, opened.keys)
    plan = make_plan(len(digests), trained, dataset.splits, hidden.hides)
    plan.exactness = exactness_of(requests)
    if method_of(requests) == EXACT:
        settle_meaning(plan, plan.exactness, store.load_pieces())
        add_moved(plan, store.moved_shards(assignment.n_shards), dataset.samples, trained)
    else:
        settle_moves(plan, dataset.samples, trained)
    if plan.exactness == FRESH:
        plan_anew(plan, trained.lineage, dataset, cost)
    return plan
