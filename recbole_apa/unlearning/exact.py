"""Carry out the requests waiting in the ledger: train the affected shards again, evaluate the new state, certify it,
put it in place. If killed anywhere, the next call resumes."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from recbole_apa.data.dataset import APADataset
from recbole_apa.data.loaders import Loaders
from recbole_apa.evidence import Key, secret_of
from recbole_apa.evidence.exactness import FRESH, INHERITED, exactness_of
from recbole_apa.evidence.search import Sought
from recbole_apa.model.apa import APA
from recbole_apa.model.contracts import FitInputs, ShardUpdate
from recbole_apa.model.serving import serves_nothing
from recbole_apa.model.trainer import APATrainer
from recbole_apa.pipeline.build import RunResult
from recbole_apa.pipeline.evaluate import (
    evaluate_state,
    recbole_figures,
    seal_records,
    training_cost,
    write_records,
)
from recbole_apa.pipeline.trainer_factory import make_trainer
from recbole_apa.runs.keep_index import can_be_indexed, write_next_index
from recbole_apa.runs.ledger import Entry, Ledger, served_by
from recbole_apa.runs.ledger_lines import REQUEST
from recbole_apa.runs.manifest import Manifest
from recbole_apa.runs.names import EVALUATED, KEY, MACHINES, TO_MAKE
from recbole_apa.runs.reuse import ReusableState
from recbole_apa.runs.slice_order import listed_of
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.approximate.known import EXACT
from recbole_apa.unlearning.approximate.shard_update import ApproximateShardUpdate
from recbole_apa.unlearning.at_once import MADE_LATER, is_at_once, without_training
from recbole_apa.unlearning.begin import begin_pending, next_identity
from recbole_apa.unlearning.certifying import CarriedOut, certify, shards_of
from recbole_apa.unlearning.checks import refuse_in_exports, refuse_in_index, refuse_in_state, sought_of
from recbole_apa.unlearning.commit import commit_state
from recbole_apa.unlearning.entries import about_state, carried_out, opened_metrics
from recbole_apa.unlearning.finish import certificate_paths, close
from recbole_apa.unlearning.kept_partition import inherit_partition
from recbole_apa.unlearning.machines import REFUSE, Machines, machines_of
from recbole_apa.unlearning.outcome import Outcome
from recbole_apa.unlearning.outside import clean_outside, left_outside, own_outside
from recbole_apa.unlearning.plan import Plan, settle_shards
from recbole_apa.unlearning.prepare import Prepared, method_of, prepare
from recbole_apa.unlearning.probe import ForgottenProbe, table_figures
from recbole_apa.unlearning.redraw import changed_shards
from recbole_apa.unlearning.statistics_check import ANEW, statistics_done


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
    start, store, method = time.perf_counter(), opened.store, method_of(requests)
    machines = machines_of(store, opened.model.engine.decoder.device, other_machine)
    machines.refuse_others(method)
    ledger, before = Ledger(store.storage, store.salt), store.manifest()
    key, exactness = opened.keys.key(requests[-1].content[KEY]), exactness_of(requests)
    dropped = ForgottenProbe(opened)
    prepared = prepared or prepare(opened, requests)
    data, plan, at_once = prepared.data, prepared.plan, is_at_once(requests)
    update = None if method == EXACT else ApproximateShardUpdate(opened, data.train_set, method)
    if not at_once:
        dropped.judge("before", plan.affected)
    opened.model.use_dataset(data.train_set)
    _purge_memory(opened.model, data)

    pending = start_pending(store, data.train_set, before, exactness, key, machines)
    write_next_index(pending, opened.data.train_set, data.train_set, key, anew=exactness == FRESH)
    kept = exactness == INHERITED and inherit_partition(store, pending, data.train_set.samples, machines)
    line = f"run folder: {store.place} (if interrupted, resume with --run={store.place} --resume)"
    trainer = make_trainer(opened.config, opened.model, pending, FitInputs(key=key, begin_line=line))
    inputs = _inputs_of(trainer, opened, machines, exactness, update)
    if at_once:
        inputs = without_training(inputs)
    result = train_and_evaluate(opened, data, trainer, inputs, show, evaluate=not at_once)
    del update, inputs  # they hold prompts that are now forgotten
    if not at_once:
        dropped.judge("after")
    _purge_memory(opened.model, data)
    served = _served_with(before, ledger, requests)
    sought = _checked(opened, pending, data, served)
    told = statistics_done(pending, before, key, ANEW)
    _settle(plan, store, trainer, machines)
    # a refusal up to here has changed nothing outside the run folder
    own = clean_outside(own_outside(store, before), result, store)
    refuse_in_exports(own.exports, data, sought)
    reached = [*served, *(e for e in served_by(before, ledger.entries()) if e.kind != REQUEST)]
    about = about_state(before, reached, exactness, data.train_set.visible_data.plain_ids, kept)
    about |= {"outside": left_outside(before, trainer, result, own)}
    _write_records(opened, result, about, served, at_once)
    seconds = time.perf_counter() - start if at_once else training_cost(trainer)["seconds"]
    shards = shards_of(store, trainer, method)
    figures = {} if at_once else table_figures(opened_metrics(store), result.metrics, dropped)
    done = CarriedOut(before, plan, exactness, method, seconds, figures, own, key, machines, shards, told)
    return _committed(opened, requests, done, ledger, result, trainer)


def _write_records(
    opened: RunResult, result: RunResult, about: Mapping[str, object], served: Sequence[Entry], at_once: bool
) -> None:
    """Write what the new state tells of itself; at once, without figures and report."""
    if at_once:
        seal_records(result, {**about, TO_MAKE: list(MADE_LATER), EVALUATED: opened.config["variants"]})
    else:
        write_records(result, about, carried_out(served))


def _committed(
    opened: RunResult,
    requests: Sequence[Entry],
    done: CarriedOut,
    ledger: Ledger,
    result: RunResult,
    trainer: APATrainer,
) -> Outcome:
    """Certify the complete new state, put it in place and close the requests."""
    store, pending, positions = opened.store, trainer.store, [e.position for e in requests]
    assert pending is not None
    certify(pending, requests, done)
    pending.seal({"ready": True})
    commit_state(store)
    close(store, ledger, positions, opened.keys)
    stands_in(result, store)
    paths, full = certificate_paths(store, positions), done.before.get("full_training", {}).get("seconds")
    return Outcome(
        positions,
        done.plan,
        paths,
        {title: dict(pair) for title, pair in done.figures.items()},
        done.seconds,
        full,
        len(done.shards.trained),
        lambda: result,
        done.method,
        done.statistics,
        done.shards.slices,
        done.shards.served if is_at_once(requests) else None,
        serves_nothing(trainer),
    )


def _served_with(before: Manifest, ledger: Ledger, requests: Sequence[Entry]) -> list[Entry]:
    """The requests that the new state includes."""
    served = served_by(before, ledger.requests())
    return [*served, *(e for e in requests if e not in served)]


def _checked(opened: RunResult, pending: RunStore, data: Loaders, served: Sequence[Entry]) -> Sought:
    """What must not be found any more, after it was looked for in data and state."""
    sought = sought_of(opened.store, data.train_set, [e.content for e in served], opened.keys)
    refuse_in_state(pending, data, sought)
    if can_be_indexed(data.train_set.run_data.options.files):
        refuse_in_index(pending, sought)
    return sought


def stands_in(result: RunResult, store: RunStore) -> None:
    """Let a result be of the state that was put in place.

    Args:
        store: the run.
    """
    result.trainer.store = RunStore(store.storage)
    result.served = tuple(result.store.manifest()["served_requests"])


def train_and_evaluate(
    opened: RunResult, data: Loaders, trainer: APATrainer, inputs: FitInputs, show: bool, evaluate: bool = True
) -> RunResult:
    """Train and evaluate the new state.

    Args:
        evaluate: whether to make its figures; they can be made later.
    """
    _, valid_result = trainer.fit_with(data.train, data.valid, inputs, show_progress=show)
    result = RunResult({}, opened.store.folder, opened.config, opened.model, trainer, data, opened.keys)
    if evaluate:
        result.metrics = evaluate_state(result, show) | recbole_figures("valid", valid_result)
    return result


def _settle(plan: Plan, store: RunStore, trainer: APATrainer, machines: Machines) -> None:
    """Record in a plan which shards were trained, if it could not know before."""
    if plan.exactness != INHERITED:
        cost = store.manifest().get("full_training", {})
        settle_shards(plan, trainer.record.sizes, changed_shards(store, trainer), cost)
    if machines.retrains:
        plan.retrain_all()


def _inputs_of(
    trainer: APATrainer, opened: RunResult, machines: Machines, exactness: str, update: ShardUpdate | None
) -> FitInputs:
    """The inputs of the new state's training. Its samples keep their pieces, unless everything is drawn anew."""
    pieces = {} if exactness == FRESH else opened.store.load_pieces()
    reuse, listed = reusable(opened, opened.store, machines), listed_of(opened.store, opened.keys)
    return replace(trainer.inputs, reuse=reuse, shard_update=update, pieces=pieces, listed=listed)


def reusable(opened: RunResult, store: RunStore, machines: Machines) -> ReusableState | None:
    """What the new state may reuse; None if everything has to be computed on this machine."""
    if not machines.retrains:
        combined = opened.trainer.combined
        return ReusableState(store, combined.text_states.known if combined else None)
    opened.model.engine.keep_only([])  # the run's frozen passes come from the other kind of machine, too
    return None


def _purge_memory(model: APA, data: Loaders) -> None:
    """Forget tokens and frozen activations of every prompt that is not in the remaining data."""
    wanted = [p for part in data.parts for p in model.prompts_of(part)]
    model.engine.keep_only(wanted)


def start_pending(
    store: RunStore,
    dataset: APADataset,
    before: Manifest,
    exactness: str,
    key: Key,
    machines: Machines,
) -> RunStore:
    """The pending state's folder; what an interrupted attempt finished is kept."""
    digest = dataset.digest(secret_of(store.salt, key))
    identity = next_identity(store, before, digest, dataset.config["backbone"], dataset.cutoffs)
    # an attempt on another kind of machine, or with other parts taken over, is not resumed
    return begin_pending(store, identity, {"exactness": exactness, KEY: key.name, MACHINES: machines.after()})
