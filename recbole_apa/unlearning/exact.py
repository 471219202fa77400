"""Carry out the requests waiting in the ledger: train the affected shards again, evaluate the new state, certify it,
put it in place. If killed anywhere, the next call resumes."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from logging import getLogger
from pathlib import Path

from recbole_apa.core.errors import RunError
from recbole_apa.core.files.whole import file_digest, read_json
from recbole_apa.data.dataset import APADataset
from recbole_apa.data.loaders import Loaders
from recbole_apa.data.visible_data import VisibleData
from recbole_apa.evidence import Key, KeyRing, secret_of
from recbole_apa.evidence.exactness import EARLIER, FRESH, INHERITED, THIS_DATA, exactness_of
from recbole_apa.model.apa import APA
from recbole_apa.model.contracts import FitInputs, ShardUpdate
from recbole_apa.model.trainer import APATrainer
from recbole_apa.partition.inherited import assignment_alone
from recbole_apa.pipeline.build import RunResult
from recbole_apa.pipeline.evaluate import (
    evaluate_state,
    recbole_figures,
    training_cost,
    write_records,
)
from recbole_apa.pipeline.manifest_options import options_of
from recbole_apa.pipeline.trainer_factory import make_trainer
from recbole_apa.runs.ledger import Entry, Ledger, manifest_digest, served_by
from recbole_apa.runs.ledger_lines import DONE, REQUEST
from recbole_apa.runs.manifest import Manifest
from recbole_apa.runs.names import CERTIFICATES, KEY, MACHINES, METRICS, PENDING
from recbole_apa.runs.reuse import ReusableState
from recbole_apa.runs.store import RunIdentity, RunStore
from recbole_apa.unlearning.approximate.shard_update import EXACT, ApproximateShardUpdate
from recbole_apa.unlearning.certifying import CarriedOut, certify, refuse_uncertified
from recbole_apa.unlearning.checks import refuse_in_exports, refuse_in_state, sought_of
from recbole_apa.unlearning.commit import commit_state, pending_store
from recbole_apa.unlearning.machines import REFUSE, Machines, machines_of
from recbole_apa.unlearning.outside import clean_outside, left_outside, own_outside, remove_boards
from recbole_apa.unlearning.plan import Plan, settle_shards
from recbole_apa.unlearning.prepare import Prepared, method_of, prepare
from recbole_apa.unlearning.probe import ForgottenProbe, table_figures
from recbole_apa.unlearning.redraw import changed_shards


@dataclass
class Outcome:
    """The outcome of requests that were carried out together."""

    requests: list[int]
    """Their lines in the ledger."""
    plan: Plan
    certificates: list[Path]
    figures: dict[str, dict[str, float | None]]
    """Title -> before and after."""
    seconds: float
    """Training, without evaluation."""
    full_seconds: float | None
    """How long the first training of the whole state took."""
    result: RunResult = field(repr=False)
    method: str = EXACT
    """``exact``, or the name of an approximate method."""


def finish_commit(store: RunStore, ledger: Ledger, keys: KeyRing) -> list[Path]:
    """Finish a commit that was killed after the new state was complete. The caller holds the lock.

    Returns:
        the certificates of the requests that this finished.
    """
    if pending_store(store).is_ready():
        commit_state(store)
    manifest = store.manifest()
    late = [e.position for e in ledger.waiting() if e.kind == REQUEST and served_by(manifest, e)]
    if not ledger.waiting() and pending_store(store).folder.exists():
        shutil.rmtree(pending_store(store).folder)  # left by a commit that was killed at its end
    if late:
        refuse_uncertified(store, late[0], keys)
        _close(store, ledger, late, keys)
    return _certificate_paths(store, late)


def carry_out(
    opened: RunResult,
    requests: Sequence[Entry],
    show: bool,
    prepared: Prepared | None = None,
    other_machine: str = REFUSE,
) -> Outcome:
    """Carry out requests that are in the ledger; each affected shard is trained once. The caller holds the lock.

    Args:
        opened: the run as it is.
        prepared: the data and plan of these requests, if already made: the plan that was checked is carried out.
        other_machine: see :func:`~recbole_apa.unlearning.stage.unlearn`.

    Raises:
        RequestError: the run comes from another kind of machine, and ``other_machine`` does not say what to do.
    """
    store = opened.store
    method = method_of(requests)
    machines = machines_of(store, opened.model.engine.decoder.device, other_machine)
    machines.refuse_others(method)
    ledger, before = Ledger(store.storage, store.salt), store.manifest()
    key = opened.keys.key(requests[-1].content[KEY])
    exactness = exactness_of(requests)
    dropped = ForgottenProbe(opened)
    prepared = prepared or prepare(opened, requests)
    data, plan = prepared.data, prepared.plan
    update = None if method == EXACT else ApproximateShardUpdate(opened, data.train_set, method)
    dropped.judge("before", plan.affected)
    opened.model.use_dataset(data.train_set)
    _purge_memory(opened.model, data)

    pending = _start_pending(store, data.train_set, before, exactness, key, machines)
    line = f"run folder: {store.place} (if interrupted, resume with --run={store.place} --resume)"
    trainer = make_trainer(opened.config, opened.model, pending, FitInputs(key=key, begin_line=line))
    inputs = _inputs_of(trainer, opened, machines, exactness, update)
    result = _train(opened, data, trainer, inputs, show)
    del update, inputs  # they hold prompts that are now forgotten
    dropped.judge("after")
    _purge_memory(opened.model, data)
    served = [e for e in ledger.requests() if served_by(before, e) or e in requests]
    sought = sought_of(data.train_set, [e.content for e in served], store.salt, opened.keys)
    refuse_in_state(pending, data, sought)
    _settle(plan, store, trainer, machines)
    own = clean_outside(own_outside(store, before), result, store)
    refuse_in_exports(own.exports, data, sought)
    about = _about(before, served, exactness, data.train_set.visible_data)
    about["outside"] = left_outside(before, trainer, result, own)
    write_records(result, about, _carried_out(served))
    seconds = training_cost(trainer)["seconds"]
    figures = table_figures(opened_metrics(store), result.metrics, dropped)
    done = CarriedOut(before, plan, exactness, method, seconds, figures, own, key, machines)
    certify(store, pending, requests, trainer, done)
    pending.seal({"ready": True})
    commit_state(store)
    positions, full = [e.position for e in requests], before.get("full_training", {}).get("seconds")
    _close(store, ledger, positions, opened.keys)
    trainer.store = RunStore(store.storage)
    certificates = _certificate_paths(store, positions)
    return Outcome(positions, plan, certificates, figures, seconds, full, result, method)


def _train(opened: RunResult, data: Loaders, trainer: APATrainer, inputs: FitInputs, show: bool) -> RunResult:
    """Train and evaluate the new state."""
    _, valid_result = trainer.fit_with(data.train, data.valid, inputs, show_progress=show)
    result = RunResult({}, opened.store.folder, opened.config, opened.model, trainer, data, opened.keys)
    result.metrics = evaluate_state(result, show) | recbole_figures("valid", valid_result)
    return result


def _settle(plan: Plan, store: RunStore, trainer: APATrainer, machines: Machines) -> None:
    """Record in a plan which shards were trained, if it could not know before."""
    if plan.exactness != INHERITED:
        cost = store.manifest().get("full_training", {})
        settle_shards(plan, trainer.record.sizes, changed_shards(store, trainer), cost)
    if machines.retrains:
        plan.shards, plan.n_train_samples = list(range(plan.n_shards)), plan.n_kept


def _inputs_of(
    trainer: APATrainer, opened: RunResult, machines: Machines, exactness: str, update: ShardUpdate | None
) -> FitInputs:
    """The inputs of the new state's training. Its samples keep their pieces, unless everything is drawn anew."""
    pieces = {} if exactness == FRESH else opened.store.load_pieces()
    return replace(trainer.inputs, reuse=_reusable(opened, opened.store, machines), shard_update=update, pieces=pieces)


def _reusable(opened: RunResult, store: RunStore, machines: Machines) -> ReusableState | None:
    """What the new state may reuse; None if everything has to be computed on this machine."""
    if not machines.retrains:
        return ReusableState(store)
    opened.model.engine.keep_only([])  # the run's frozen passes come from the other kind of machine, too
    return None


def _about(before: Manifest, served: Sequence[Entry], exactness: str, visible_data: VisibleData) -> dict[str, object]:
    """What the manifest says about the new state."""
    return {
        "full_training": before.get("full_training", {}),
        "forgotten": sorted({digest for e in served for digest in e.content["interactions"]}),
        "plain_ids": visible_data.plain_ids,
        "served_requests": [e.digest for e in served],
        "partition_of": EARLIER if exactness == INHERITED else THIS_DATA,
        "draw_of": THIS_DATA if exactness == FRESH else EARLIER,
        "centres_of": THIS_DATA,
    }


def opened_metrics(store: RunStore) -> Mapping[str, float]:
    """The run's figures so far."""
    return read_json(store.folder / METRICS) if store.has(METRICS) else {}


def _purge_memory(model: APA, data: Loaders) -> None:
    """Forget tokens and frozen activations of every prompt that is not in the remaining data."""
    wanted = [p for part in data.parts for p in model.prompts_of(part)]
    model.engine.keep_only(wanted)


def _start_pending(
    store: RunStore,
    dataset: APADataset,
    before: Manifest,
    exactness: str,
    key: Key,
    machines: Machines,
) -> RunStore:
    """The pending state's folder, with what is inherited; what an interrupted attempt finished is kept."""
    pending = pending_store(store)
    # the backbone may be elsewhere now; its digest was checked when the run was opened
    settings = {**before["settings"], "backbone": dataset.config["backbone"]}
    digest = dataset.digest(secret_of(store.salt, key))
    identity = RunIdentity(
        settings,
        options_of(before, store.place),
        digest.hex(),
        digest.text(),
        before["backbone"],
        dict(dataset.cutoffs),
    )
    # an attempt on another kind of machine, or with other parts taken over, is not resumed
    about = {"exactness": exactness, KEY: key.name, MACHINES: machines.after()}
    try:
        pending.begin(identity, about)
        begun = pending.manifest()
        stale = {name: begun.get(name) for name in about} != about
    except RunError:
        stale = True  # belongs to another request, or was cut off while it was begun
    if stale:
        remove_boards(pending)
        shutil.rmtree(pending.folder)
        pending.begin(identity, about)
    if exactness == INHERITED and pending.load_partition() is None:
        old = store.load_partition()
        assert old is not None
        # the old centres contain what is now forgotten
        pending.save_partition(assignment_alone(old, {s.sample_id for s in dataset.samples}))
    return pending


def _carried_out(served: Sequence[Entry]) -> list[dict[str, object]]:
    """What the report says about each request."""
    return [{"position": e.position, "time": e.time, "n_interactions": len(e.content["interactions"])} for e in served]


def _certificate_paths(store: RunStore, requests: Sequence[int]) -> list[Path]:
    return [store.folder / CERTIFICATES / f"{position:04d}.json" for position in requests]


def _close(store: RunStore, ledger: Ledger, requests: Sequence[int], keys: KeyRing) -> None:
    """Record in the ledger that requests were carried out, with the digests of their certificates."""
    pending = store.folder / PENDING
    if pending.exists():
        shutil.rmtree(pending)
    folder = store.folder / CERTIFICATES
    names = [f"{n:04d}.{kind}" for n in requests for kind in ("json", "html")]
    key = {KEY: store.manifest().get(KEY)}
    ledger.append(
        DONE,
        {
            "requests": list(requests),
            "certificates": {name: file_digest(folder / name) for name in names},
            "manifest": manifest_digest(key, store, keys),
            **key,
        },
    )
    getLogger().info(f"{len(requests)} request(s) carried out; certificates in {folder}")
