"""Plan a request from the run's index: only the rows of those whom it concerns are read, and no model is loaded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from recbole_apa.core.errors import RunError
from recbole_apa.core.system.devices import here
from recbole_apa.data.index.rows import IndexRows
from recbole_apa.data.samples import Sample
from recbole_apa.data.splits import SPLITS
from recbole_apa.data.visible_data import VisibleData
from recbole_apa.evidence import KeyRing
from recbole_apa.evidence.exactness import INHERITED
from recbole_apa.evidence.search import Sought
from recbole_apa.partition.assignment import Assignment
from recbole_apa.pipeline.indexed_run import IndexedRun, data_stem, open_indexed
from recbole_apa.pipeline.manifest_options import options_of
from recbole_apa.pipeline.option_names import refuse_fixed
from recbole_apa.runs.ledger import Ledger, Request, refuse_gap, refuse_pending, served_by, visible_without
from recbole_apa.runs.names import INDEX
from recbole_apa.runs.pinned_run import PinnedStore, read_settled
from recbole_apa.runs.plain_ids import has_plain_ids
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.checks import refuse_in_rows, rows_to_search, sought_in
from recbole_apa.unlearning.collaborative import KeptStatistics
from recbole_apa.unlearning.plan import ARTEFACTS, Plan, Trained, make_plan, settle_meaning
from recbole_apa.unlearning.prepare import places_of
from recbole_apa.unlearning.requests.demands import Demand
from recbole_apa.unlearning.touched import Touched, touched_of


@dataclass(frozen=True)
class Light:
    """What an exact, inherited request would change."""

    plan: Plan
    touched: Touched
    sought: Sought = field(repr=False)
    """What must not be found any more."""
    statistics: KeptStatistics | None = field(default=None, repr=False)
    """Of the run before; None if it keeps none, or until it is known that the request changes no sample."""


def open_light(store: RunStore, changes: Mapping[str, object], keys: KeyRing) -> IndexedRun | None:
    """A finished run by its index; None if that is not enough to plan a request on it.

    Raises:
        RunError: damaged, or a request is waiting.
        SettingsError: an option that would change what the run computes.
    """

    def read(pinned: PinnedStore) -> IndexedRun | None:
        refuse_pending(pinned)
        refuse_gap(pinned, keys)
        if not pinned.has_index():
            return None
        pinned.check()
        refuse_fixed(changes)
        options = here({**options_of(pinned.manifest(), pinned.place), **changes})
        # which GPU is meant has to be settled before torch looks for one; old ids may be two rows'
        if "gpu_id" in options or has_plain_ids(pinned.manifest()):
            return None
        stem = data_stem(options)
        run = open_indexed(pinned, stem, keys)
        # adapters that an approximate method moved are trained again, whatever a request names
        return run if run and run.is_local and not pinned.moved_shards(_assignment(run).n_shards) else None

    return read_settled(store, read)


def device_of(run: IndexedRun, changes: Mapping[str, object]) -> str:
    """The device that the run would be computed on here."""
    import torch

    options = {**options_of(run.manifest, run.store.place), **changes}
    if options.get("device"):
        return str(options["device"])
    return "cuda" if options.get("use_gpu", True) and torch.cuda.is_available() else "cpu"


def plan_light(run: IndexedRun, request: Request, rows: IndexRows, demands: Sequence[Demand]) -> Light:
    """The plan of a request that is not in the ledger yet.

    Args:
        rows: all rows of the users whom it concerns, by place.
        demands: what it names.

    Raises:
        RequestError: nothing would be left to train on.
        CertificateError: something that was to be forgotten could still be reached.
    """
    salt = run.manifest["salt"]
    hidden = visible_without([request], salt, run.keys)
    touched = touched_of(run, rows, hidden.visible)
    sought = _refuse_reachable(run, request, touched, demands)
    plan = make_plan(
        len(set(request.content["interactions"])),
        _trained(run, touched.samples_before()),
        touched.samples_after(),
        hidden.hides,
        _elsewhere(run, touched.samples_before()["train"]),
    )
    settle_meaning(plan, INHERITED, run.store.load_pieces())
    return Light(plan, touched, sought)


def _refuse_reachable(run: IndexedRun, request: Request, touched: Touched, demands: Sequence[Demand]) -> Sought:
    """The independent check, on the rows of the index."""
    manifest, folder = run.manifest, run.store.folder / INDEX
    served = [e.content for e in served_by(manifest, Ledger(run.store.storage, manifest["salt"]).requests())]
    lines: list[Mapping[str, Any]] = [*served, request.content]
    once_a_pair = manifest["options"].get("rm_dup_inter") is not None
    seen = VisibleData(once_a_pair=once_a_pair, plain_ids=has_plain_ids(manifest))
    salt, keys = manifest["salt"], run.keys
    raw = rows_to_search(folder, seen, lines, salt, keys, {d.user for d in demands if d.user})
    sought = sought_in(raw, seen, lines, salt, keys, demands)
    refuse_in_rows(touched.after, raw, touched.n_hidden, sought)
    return sought


def _assignment(run: IndexedRun) -> Assignment:
    assignment = run.store.load_assignment()
    assert assignment is not None
    return assignment


def _trained(run: IndexedRun, before: Mapping[str, Sequence[Sample]]) -> Trained:
    """What the run records about the samples that may change.

    Raises:
        RunError: the index gives other samples than the run was trained on.
    """
    lineage, seen = run.store.lineage(), {}
    for split in SPLITS:
        of_split = lineage[ARTEFACTS[split]]
        seen[ARTEFACTS[split]] = {s.sample_id: s.digest() for s in before[split]}
        if any(of_split.get(name) != digest for name, digest in seen[ARTEFACTS[split]].items()):
            raise RunError(
                f"{run.store.place}: its index gives other {split} samples than its lineage has; restore the run from "
                "a copy, or ask --audit what differs"
            )
    cost = run.manifest.get("full_training", {})
    return Trained(seen, _assignment(run), cost, before, *places_of(run.store, run.keys))


def _elsewhere(run: IndexedRun, before: Sequence[Sample]) -> set[str]:
    """Training samples of other users."""
    return set(_assignment(run).shard_of) - {s.sample_id for s in before}
