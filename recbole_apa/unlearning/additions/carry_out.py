"""Carry out an addition that is in the ledger: train its samples after what each shard has learnt, evaluate the new
state, put it in place. If killed anywhere, the next call resumes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from recbole_apa.model.contracts import FitInputs
from recbole_apa.pipeline.build import RunResult
from recbole_apa.pipeline.evaluate import training_cost, write_records
from recbole_apa.pipeline.trainer_factory import make_trainer
from recbole_apa.runs.keep_index import write_grown_index
from recbole_apa.runs.ledger import Entry, Ledger, served_by
from recbole_apa.runs.ledger_lines import REQUEST
from recbole_apa.runs.names import KEY
from recbole_apa.runs.slice_order import listed_of
from recbole_apa.unlearning.additions.grow import Grown, grow
from recbole_apa.unlearning.additions.incoming_files import kept_incoming
from recbole_apa.unlearning.approximate.known import EXACT
from recbole_apa.unlearning.checks import refuse_hidden
from recbole_apa.unlearning.commit import commit_state
from recbole_apa.unlearning.entries import about_grown, carried_out, opened_metrics
from recbole_apa.unlearning.exact import reusable, stands_in, start_pending, train_and_evaluate
from recbole_apa.unlearning.finish import close_addition
from recbole_apa.unlearning.kept_partition import inherit_partition
from recbole_apa.unlearning.machines import machines_of
from recbole_apa.unlearning.outside import clean_outside, left_outside, own_outside
from recbole_apa.unlearning.probe import chosen_figures
from recbole_apa.unlearning.statistics_check import refuse_other_sums


@dataclass(frozen=True)
class Added:
    """What an addition led to."""

    position: int
    """Its line in the ledger."""
    result: RunResult
    """The run in its new state."""
    figures: Mapping[str, Mapping[str, float | None]]
    """Title -> before and after."""
    seconds: float
    """Training, without evaluation."""


def carry_out_addition(
    opened: RunResult, entry: Entry, show: bool, grown: Grown | None = None, other_machine: str = "refuse"
) -> Added:
    """Carry out an addition; the caller holds the lock.

    Args:
        opened: the run as it is.
        entry: the addition's line in the ledger.
        grown: the data with its rows, if already made.
        other_machine: see :func:`~recbole_apa.unlearning.stage.unlearn`.

    Raises:
        RequestError: the run comes from another kind of machine, and ``other_machine`` does not say what to do.
        RunError: the rows that wait are not those that were taken.
    """
    store, key = opened.store, opened.keys.key(entry.content[KEY])
    machines = machines_of(store, opened.model.engine.decoder.device, other_machine)
    machines.refuse_others(EXACT)
    ledger, before = Ledger(store.storage, store.salt), store.manifest()
    if grown is None:
        incoming = kept_incoming(store, entry.content["rows"], key)
        grown = grow(opened, incoming, entry.position, bool(entry.content["readmits"]))
    data, earlier = grown.data, opened.data.train_set
    opened.model.use_dataset(data.train_set)
    pending = start_pending(store, data.train_set, before, f"addition {entry.digest}", key, machines)
    write_grown_index(pending, earlier, data.train_set, key)
    inherit_partition(store, pending, earlier.samples, machines)
    line = f"run folder: {store.place} (if interrupted, resume with --run={store.place} --resume)"
    trainer = make_trainer(opened.config, opened.model, pending, FitInputs(key=key, begin_line=line))
    reuse, listed = reusable(opened, store, machines), listed_of(store, opened.keys)
    inputs = replace(trainer.inputs, reuse=reuse, pieces=grown.made.pieces, listed=listed)
    result = train_and_evaluate(opened, data, trainer, inputs, show)
    served = served_by(before, ledger.entries())
    refuse_hidden(pending, data, [e.content for e in served if e.kind == REQUEST], opened.keys)
    refuse_other_sums(pending)
    # a refusal up to here has changed nothing outside the run folder
    own = clean_outside(own_outside(store, before), result, store)
    about = about_grown(before, [*served, entry], data.train_set.visible_data.plain_ids, machines.retrains)
    write_records(result, about | {"outside": left_outside(before, trainer, result, own)}, carried_out(served))
    figures = chosen_figures(opened_metrics(store), result.metrics, result.model)
    pending.seal({"ready": True})
    commit_state(store)
    close_addition(store, ledger, entry.position, opened.keys)
    stands_in(result, store)
    return Added(entry.position, result, figures, training_cost(trainer)["seconds"])
