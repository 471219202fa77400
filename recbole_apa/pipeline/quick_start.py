"""Train and evaluate, or load and evaluate."""

import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from logging import getLogger
from pathlib import Path

from recbole.model.abstract_recommender import AbstractRecommender

from recbole_apa.core.system.signals import terminable
from recbole_apa.data.loaders import Loaders
from recbole_apa.evaluation.attempt import attempt
from recbole_apa.evaluation.scored_split import BASELINES
from recbole_apa.evidence import KEY_FILE, Key, key_ring
from recbole_apa.model.apa import APA
from recbole_apa.model.contracts import FitInputs
from recbole_apa.model.serving import refuse_nothing, say_prefixes
from recbole_apa.pipeline.build import RunResult, build, open_run, start_logging
from recbole_apa.pipeline.config import APAConfig
from recbole_apa.pipeline.evaluate import (
    evaluate_state,
    recbole_figures,
    show_figures,
    write_export,
    write_first_records,
)
from recbole_apa.pipeline.idle_options import say_idle
from recbole_apa.pipeline.recbole_models import fit_baseline, make_baseline_trainer
from recbole_apa.pipeline.run_baselines import asked_baselines
from recbole_apa.pipeline.trainer_factory import make_trainer
from recbole_apa.runs.lock import run_lock
from recbole_apa.runs.log import own_log
from recbole_apa.runs.names import KEY
from recbole_apa.runs.place import new_run_dir
from recbole_apa.runs.remote.working_copy import open_place
from recbole_apa.runs.store import MANIFEST, RunStore

__all__ = ["RunResult", "evaluate_run", "run"]


@terminable()
@own_log()
def run(
    model: str = "APA",
    dataset: str = "ml-100k",
    config_file_list: Sequence[str] | None = None,
    config_dict: Mapping[str, object] | None = None,
    run_dir: str | Path | None = None,
) -> RunResult:
    """Train a model and evaluate it: APA, or any RecBole model by its name.

    Args:
        config_file_list: YAML files of options.
        config_dict: options; they take precedence over the files.
        run_dir: where APA's run goes, a folder or an fsspec URL (``s3://bucket/run``); an interrupted run there is
            finished. None makes a new folder, which no other run uses.

    Raises:
        APAError: says what was found, what was expected, and what to do.
    """
    start = time.perf_counter()
    config = APAConfig(model, dataset, list(config_file_list or []), config_dict)
    if config["model"] == "APA" and not _is_named(run_dir, config["backbone"]):
        config.settle_backbone()
    start_logging(config)
    if config["model"] == "APA":
        say_idle(config)
    model_, data = build(config)
    if config["model"] != "APA":
        return _run_baseline(config, model_, data)
    with (
        nullcontext(run_dir) if run_dir else new_run_dir(config["checkpoint_dir"], "APA", config["dataset"]) as place,
        open_place(place, "training") as storage,
        run_lock(storage.folder, "training"),
    ):
        return _train(config, model_, data, RunStore(storage), start)


def _is_named(run_dir: str | Path | None, backbone: str) -> bool:
    """Whether the interrupted run to be finished names its backbone in exactly this way."""
    store = RunStore(Path(run_dir or ""))
    return store.has(MANIFEST) and store.manifest()["settings"]["backbone"] == backbone


def _first_key(config: APAConfig, store: RunStore) -> Key | None:
    """The key for the digests of a first training: only a run that keeps an order of its users needs one."""
    if not config["slice_order"]:
        return None
    keys, begun = key_ring({KEY_FILE: config[KEY_FILE]}), store.manifest_path.is_file()
    keys.outside(store.folder)
    name = store.manifest().get(KEY) if begun else None  # an interrupted training goes on with its own
    key = keys.key(name) if name else keys.newest()
    keys.keep(key)
    return key


def _train(config: APAConfig, model: APA, data: Loaders, store: RunStore, start: float) -> RunResult:
    line = f"run folder: {store.place} (if interrupted, resume with --run_dir={store.place})"
    baselines = asked_baselines(config)
    inputs = FitInputs(records_follow=True, refuses_models=True, begin_line=line, key=_first_key(config, store))
    trainer = make_trainer(config, model, store, inputs)
    if config["export_samples"]:
        write_export(Path(config["export_samples"]), model, data)
    show = config["show_progress"]
    _, valid_result = trainer.fit(data.train, data.valid, show_progress=show)
    keys = key_ring({KEY_FILE: config[KEY_FILE]})
    result = RunResult({}, None, config, model, trainer, data, keys)
    result.metrics = evaluate_state(result, show, baselines, store.folder)
    result.metrics |= recbole_figures("valid", valid_result)
    result.metrics["total_seconds"] = round(time.perf_counter() - start, 1)
    report = write_first_records(result)
    attempt("table", lambda: show_figures(result), None)
    getLogger().info(f"run: {store.place}   report: {store.storage.shown(report)}")
    return result


@own_log()
def evaluate_run(
    folder: str | Path, config_dict: Mapping[str, object] | None = None, allow_pending: bool = False
) -> RunResult:
    """Load a finished run and evaluate it again, without changing its folder.

    Args:
        folder: the run's folder, or its URL.
        config_dict: where things are now, e.g. ``{"data_path": ...}``; the settings are the run's own.
        allow_pending: evaluate the old state even if a request is waiting to be carried out; ``metrics`` then includes
            ``pending_requests``.

    Raises:
        RunError: damaged, unfinished, pending, left without anything to serve, or made with other data or another
            backbone.
        SettingsError: an option that would change what the run computes.
    """
    with open_place(folder, "evaluating", writes=False) as here:
        return _evaluate(RunStore(here), config_dict, allow_pending)


def _evaluate(store: RunStore, config_dict: Mapping[str, object] | None, allow_pending: bool) -> RunResult:
    result = open_run(store, config_dict, allow_pending)
    say_prefixes(result.trainer)
    refuse_nothing(result.trainer)
    baselines = asked_baselines(result.config) if BASELINES in (config_dict or {}) else ()
    result.metrics = evaluate_state(result, result.config["show_progress"], baselines)
    n_waiting = result.n_waiting
    if n_waiting:
        result.metrics["pending_requests"] = n_waiting
    show_figures(result)
    if n_waiting:
        getLogger().warning(
            f"PENDING: these figures are of the old state; {n_waiting} request(s) to forget are waiting"
        )
    return result


def _run_baseline(config: APAConfig, model: AbstractRecommender, data: Loaders) -> RunResult:
    """A RecBole model, as RecBole trains it."""
    getLogger().info(model)
    trainer = make_baseline_trainer(config, model)
    show = config["show_progress"]
    valid_result = fit_baseline(trainer, data, show)
    test_result = trainer.evaluate(data.test, load_best_model=False, show_progress=show)
    figures = recbole_figures("valid", valid_result) | recbole_figures("test", test_result)
    result = RunResult(figures, None, config, model, trainer, data)
    show_figures(result)
    return result
