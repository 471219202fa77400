"""Train a run, and open one: what ``--model=APANext`` and ``--run=DIR`` do."""

import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from logging import getLogger
from pathlib import Path

from recbole_apa.core.progress import progress
from recbole_apa.core.system.machine import machine_kind
from recbole_apa.core.system.signals import terminable
from recbole_apa.data.visible_data import VisibleData
from recbole_apa.evidence.exactness import THIS_DATA
from recbole_apa.next_item.change import Exchange, exchanged_state, retrained_state
from recbole_apa.next_item.data import NextItemData, read_next_data
from recbole_apa.next_item.fit import fit, title_trainer, trained_titles
from recbole_apa.next_item.options import MODEL, NextItemOptions, read_options
from recbole_apa.next_item.ranking import refuse_topk
from recbole_apa.next_item.run.figures import figures_of, own_rows, table_of
from recbole_apa.next_item.run.opened import NextItemRun, load_states, open_state, told_options
from recbole_apa.next_item.run.pending import refuse_waiting
from recbole_apa.next_item.run.refusals import refuse_data, refuse_options
from recbole_apa.next_item.run.state_files import write_state
from recbole_apa.next_item.run.store import NextItemStore, files_of
from recbole_apa.next_item.run.title_rows import figures_of_titles
from recbole_apa.next_item.run.to_make import is_whole_without
from recbole_apa.next_item.taught_titles import left_at_once
from recbole_apa.next_item.user_rows import RowReader
from recbole_apa.runs.lock import run_lock
from recbole_apa.runs.log import own_log
from recbole_apa.runs.place import new_run_dir

STATES, ADAPTED, SOLVED = "states", "states and adapters", "heads and figures"
"""What the seconds of a training are counted for."""


@terminable()
@own_log()
def run_next_items(
    dataset: str = "ml-100k",
    config_file_list: Sequence[str] | None = None,
    config_dict: Mapping[str, object] | None = None,
    run_dir: str | Path | None = None,
) -> NextItemRun:
    """Train APANext, rank everything for everybody, and keep the run.

    Args:
        config_file_list: YAML files of options.
        config_dict: options; they take precedence over the files.
        run_dir: the run's folder; None makes ``saved/APANext-<dataset>-<time>``.

    Raises:
        APAError: says what was found, what was expected, and what to do.
    """
    options = read_options(dataset, config_file_list or (), config_dict)
    refuse_options(options)
    data = read_next_data(options.data, options.stem, VisibleData())
    refuse_data(options, data)
    place = nullcontext(Path(run_dir)) if run_dir else new_run_dir(options.checkpoint_dir, MODEL, options.dataset)
    with place as folder, run_lock(folder, "training"):
        store = NextItemStore(folder)
        salt = store.begin()
        getLogger().info(f"{MODEL} on {dataset}: {len(data.sequences)} users, {len(data.catalogue)} items")
        run = trained(options, data)
        state = store.new_state()
        write_state(state, run.state, run.figures)
        store.put_in_force(
            {
                "salt": salt,
                "state": state.name,
                "files": files_of(state),
                "served": [],
                "n_forgotten": 0,
                "key": None,
                "options": told_options(options),
                "backbone_digest": run.backbone_digest,
                "catalogue": data.catalogue.digest,
                "machine": machine_kind(options.device).plain(),
                "partition_of": THIS_DATA,
                "seconds": run.seconds,
            }
        )
        run.folder = folder
        getLogger().info(run.table)
        getLogger().info(f"run: {folder}")
        return run


def trained(
    options: NextItemOptions,
    data: NextItemData,
    shard_of: Mapping[str, int] | None = None,
    known: NextItemRun | None = None,
    left: NextItemRun | None = None,
) -> NextItemRun:
    """A training in RAM.

    Args:
        shard_of: as for :func:`~recbole_apa.next_item.fit.fit`.
        known: a run whose backbone is loaded already.
        left: a run of which a request at once has left parts for later; these are not trained and made here, either.
    """
    refuse_topk(options.topk, len(data.catalogue))
    start = time.perf_counter()
    states, digest = (known.reader.states, known.backbone_digest) if known else load_states(options)
    reader = RowReader(states, data.catalogue)
    with progress(None, "Read", options.show_progress, total=len(data.sequences)) as bar:
        state = fit(data, reader, options.settings, shard_of, bar.update, left.state.learnt.ends if left else None)
    seconds = {STATES if options.settings.adapters == "none" else ADAPTED: round(time.perf_counter() - start, 1)}
    run = NextItemRun(options, data, state, None, backbone_digest=digest, seconds=seconds)
    run.is_whole = left is None or left.is_whole
    evaluate(run, reader if run.is_whole else None)
    run.seconds[SOLVED] = round(time.perf_counter() - start - sum(seconds.values()), 1)
    return run


def changed_run(opened: NextItemRun, made: Exchange, at_once: bool) -> NextItemRun:
    """A run with other data, in which all that did not change stays.

    Args:
        made: from its data to the other.
        at_once: train nothing: changed shards serve what was trained before the first slice that changed, if anything.

    Raises:
        DataError, RunError: as :func:`~recbole_apa.next_item.change.exchanged_state`.
    """
    settings, reader = opened.options.settings, opened.reader
    with progress(None, "Read", opened.options.show_progress, total=made.change.n_readings) as bar:
        state = exchanged_state(opened.state, made, reader, settings, bar.update)
    if at_once:
        state = left_at_once(state, made.change.first, settings)
    else:
        state = retrained_state(state, made, reader, settings)
    run = NextItemRun(opened.options, made.new, state, opened.folder, backbone_digest=opened.backbone_digest)
    run.seconds, run.is_whole = opened.seconds, not at_once or is_whole_without(state, settings)
    evaluate(run, reader if run.is_whole else None)
    return run


def completed_run(opened: NextItemRun) -> NextItemRun:
    """A run with the adapters and rows of titles that requests at once have left for later."""
    trainer = title_trainer(opened.data, opened.reader, opened.options.settings, opened.state.codes)
    run = replace(opened, state=trained_titles(opened.state, opened.data, trainer, {}), is_whole=True)
    evaluate(run, opened.reader)
    return run


def evaluate(run: NextItemRun, reader: RowReader | None = None) -> None:
    """Figures and table of a run.

    Args:
        reader: ranks by titles, where the run has adapters, which takes seconds for each drawn user; None takes these
            rows as they were computed when the adapters were trained.
    """
    if reader is not None:
        run.of_titles = figures_of_titles(run.options, run.data, run.state, reader)
    run.figures = figures_of(run.options, run.data, own_rows(run.state, run.data, run.options.settings.head_ridge))
    run.figures |= run.of_titles
    run.table = "\n".join([table_of(run.figures, {}), *run.notes])


@own_log()
def open_next_items(folder: str | Path, config_dict: Mapping[str, object] | None = None) -> NextItemRun:
    """Load a finished run and evaluate it again; its folder does not change.

    Args:
        config_dict: where things are now, e.g. ``{"data_path": ...}``.

    Raises:
        RunError: damaged, pending, or made with other data.
        SettingsError: an option that would change what the run computes.
    """
    store = NextItemStore(folder)
    manifest = store.manifest()
    with run_lock(store.folder, "reading", writes=False):
        refuse_waiting(store, manifest)
        run = open_state(store, config_dict)
    evaluate(run)
    return run
