"""Train what requests at once have left untrained, and make figures and report. The old state serves meanwhile."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from recbole_apa.core.errors import RequestError
from recbole_apa.core.system.signals import terminable
from recbole_apa.model.contracts import FitInputs
from recbole_apa.pipeline.build import RunResult
from recbole_apa.pipeline.evaluate import show_figures, training_cost, write_records
from recbole_apa.pipeline.plugins import PLUGINS, import_plugins
from recbole_apa.pipeline.trainer_factory import make_trainer
from recbole_apa.runs.counted import n_forgotten
from recbole_apa.runs.keep_index import write_next_index
from recbole_apa.runs.ledger import Entry, Ledger, served_by
from recbole_apa.runs.ledger_lines import CAUGHT_UP, REQUEST
from recbole_apa.runs.log import own_log
from recbole_apa.runs.names import KEY, TO_MAKE
from recbole_apa.runs.slice_order import listed_of
from recbole_apa.unlearning.approximate.known import EXACT
from recbole_apa.unlearning.checks import refuse_hidden
from recbole_apa.unlearning.commit import CATCHING_UP, commit_state
from recbole_apa.unlearning.entries import carried_out
from recbole_apa.unlearning.exact import reusable, stands_in, start_pending, train_and_evaluate
from recbole_apa.unlearning.finish import close_catch_up
from recbole_apa.unlearning.kept_partition import inherit_partition
from recbole_apa.unlearning.machines import REFUSE, machines_of
from recbole_apa.unlearning.outcome import UnlearnResult
from recbole_apa.unlearning.outside import clean_outside, left_outside, own_outside
from recbole_apa.unlearning.places import refuse_unreachable
from recbole_apa.unlearning.session import Session, at_run
from recbole_apa.unlearning.statistics_check import refuse_other_sums
from recbole_apa.unlearning.taken import taken

_KEPT = ("full_training", "partition_of", "draw_of", "centres_of", "plain_ids")
"""What the manifest says of both states."""


@dataclass(frozen=True)
class CaughtUp:
    """What catching up led to."""

    result: RunResult
    """The run in its new state."""
    trained: list[int]
    """Shards that were trained further."""
    n_slices: int
    """How many of their slices."""
    seconds: float
    """Training, without evaluation."""


@terminable()
@own_log()
def catch_up(
    run_dir: "str | Path | RunResult", config_dict: Mapping[str, object] | None = None, other_machine: str = REFUSE
) -> UnlearnResult:
    """Train the slices that requests at once left untrained; first finishes what an interrupted call left waiting, and
    goes on with slices that it had trained.

    The state is then, bit for bit, the one that the same requests leave if they are not carried out at once.

    Args:
        run_dir: the run's folder or URL, or the run itself if this process has it open.
        config_dict: where things are now, e.g. ``{"data_path": ...}``.
        other_machine: see :func:`~recbole_apa.unlearning.stage.unlearn`.

    Raises:
        RequestError: nothing is missing; nothing was changed.
        RunError: the run is damaged, in use, or made from other data.
    """
    import_plugins((config_dict or {}).get(PLUGINS))
    with at_run(run_dir, "catching up", writes=True) as (store, opened):
        session = Session(store, config_dict, opened, other_machine, catches_up=True)
        out = UnlearnResult(None, finished=session.finished, shown=store.storage.shown)
        waited = session.finish_waiting(out) or session.closed_now
        if TO_MAKE not in store.manifest():
            if not waited:
                raise RequestError("found nothing to catch up with: every shard is trained to its end")
            return out
        refuse_unreachable(store)
        opened = session.open_now()
        with taken(store):
            out.caught_up = carry_out_catch_up(opened, opened.config["show_progress"], other_machine)
        return out


def carry_out_catch_up(
    opened: RunResult, show: bool, other_machine: str = REFUSE, entry: Entry | None = None
) -> CaughtUp:
    """Train what is missing, and put the new state in place; the caller holds the lock.

    Args:
        opened: the run as it is.
        entry: its line in the ledger, if an interrupted call has written it: that is done once all is trained.
    """
    store, before = opened.store, opened.store.manifest()
    machines = machines_of(store, opened.model.engine.decoder.device, other_machine)
    machines.refuse_others(EXACT)
    ledger, key, data = Ledger(store.storage, store.salt), opened.keys.key(str(before[KEY])), opened.data
    pending = start_pending(store, data.train_set, before, CATCHING_UP, key, machines)
    write_next_index(pending, data.train_set, data.train_set, key, anew=False)
    inherit_partition(store, pending, data.train_set.samples, machines)
    line = f"run folder: {store.place} (it serves its prefixes until this is done)"
    trainer = make_trainer(opened.config, opened.model, pending, FitInputs(key=key, begin_line=line))
    reuse, listed = reusable(opened, store, machines), listed_of(store, opened.keys)
    inputs = replace(trainer.inputs, reuse=reuse, pieces=store.load_pieces(), listed=listed)
    result = train_and_evaluate(opened, data, trainer, inputs, show)
    served = served_by(before, ledger.entries())
    refuse_hidden(pending, data, [e.content for e in served if e.kind == REQUEST], opened.keys)
    refuse_other_sums(pending)
    own = clean_outside(own_outside(store, before), result, store)
    entry = entry or ledger.append(CAUGHT_UP, {KEY: key.name})
    kept = {name: value for name, value in before.items() if name in _KEPT}
    reached = [e.digest for e in [*served, entry]]
    about = {**kept, "forgotten": n_forgotten(served), "served_requests": reached, "exactness": before["exactness"]}
    write_records(result, about | {"outside": left_outside(before, trainer, result, own)}, carried_out(served))
    pending.seal({"ready": True})
    commit_state(store)
    close_catch_up(store, ledger, entry.position, opened.keys)
    stands_in(result, store)
    show_figures(result)
    record = trainer.record
    return CaughtUp(result, list(record.trained), record.n_places, training_cost(trainer)["seconds"])
