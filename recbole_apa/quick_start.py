"""Train and evaluate, or load and evaluate, a page each."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path
from typing import Any

from recbole.data import data_preparation
from recbole.utils import get_model, get_trainer, init_logger, init_seed
from torch import Tensor

from recbole_apa.data.export import export_samples
from recbole_apa.data.splits import SPLITS
from recbole_apa.errors import RunError, SettingsError
from recbole_apa.evaluation.variants import ScoredSplit, score_split, split_figures
from recbole_apa.files import write_json
from recbole_apa.model import APA
from recbole_apa.recbole_bridge import APAConfig, load_own_checkpoint, make_dataset
from recbole_apa.report import figures as draw
from recbole_apa.report.html import write_report
from recbole_apa.report.table import text_table, verdict
from recbole_apa.run_store import RunStore
from recbole_apa.trainer import APATrainer

MOVABLE = frozenset({"data_path", "backbone", "device", "use_gpu", "gpu_id", "show_progress", "trunk_cache_gib"})
"""Options that may differ when a run is loaded: digests tell whether what they name is the same."""


@dataclass
class RunResult:
    """What a run leaves in memory; ``metrics`` holds the same figures as ``metrics.json``."""

    metrics: dict[str, float]
    run_dir: Path | None
    config: APAConfig
    model: Any
    trainer: Any
    data: tuple[Any, Any, Any]
    """RecBole's loaders: train, valid, test."""


def run(
    model: str = "APA",
    dataset: str = "ml-100k",
    config_file_list: Sequence[str] | None = None,
    config_dict: Mapping[str, Any] | None = None,
    run_dir: str | Path | None = None,
) -> RunResult:
    """Train a model and evaluate it: APA, or any RecBole model by its name.

    Args:
        config_file_list: YAML files of options.
        config_dict: options; they win over the files.
        run_dir: where APA's run goes; an interrupted one found there is finished.

    Raises:
        APAError: with what was found, expected, and what to do.
    """
    start = time.perf_counter()
    config = APAConfig(model, dataset, list(config_file_list or []), config_dict)
    _start_logging(config)
    built = _build(config)
    if config["model"] != "APA":
        return _run_baseline(config, *built)
    trainer = APATrainer(config, built[0], RunStore(Path(run_dir)) if run_dir else None)
    _export(config, trainer, built[1])
    show = config["show_progress"]
    _, valid_result = trainer.fit(built[1][0], built[1][1], show_progress=show)
    result = RunResult({}, None, config, built[0], trainer, built[1])
    result.metrics = _evaluate(result, show)
    result.metrics |= recbole_figures("valid", valid_result)
    result.metrics["total_seconds"] = round(time.perf_counter() - start, 1)
    _finish(result)
    return result


def evaluate_run(folder: str | Path, config_dict: Mapping[str, Any] | None = None) -> RunResult:
    """Load a finished run and evaluate it again; nothing in its folder is changed.

    Args:
        config_dict: where things lie now, e.g. ``{"data_path": ...}``; the settings are the run's own.

    Raises:
        RunError: damaged, unfinished, or made of other data or another backbone.
        SettingsError: an option that would change what the run computes.
    """
    store = RunStore(Path(folder))
    manifest = store.check()
    fixed = sorted(set(config_dict or {}) - MOVABLE)
    if fixed:
        raise SettingsError(
            f"{', '.join(fixed)}: a finished run is evaluated with its own settings; expected only "
            f"{', '.join(sorted(MOVABLE))}"
        )
    options = {**manifest["options"], **(config_dict or {})}
    config = APAConfig("APA", options.pop("dataset"), None, options)
    _start_logging(config)
    model, data = _build(config)
    _check_same(manifest, model, data[0]._dataset)
    trainer = APATrainer(config, model, store)
    trainer.load(store)
    result = RunResult({}, store.folder, config, model, trainer, data)
    result.metrics = _evaluate(result, config["show_progress"])
    _show(result)
    return result


def _start_logging(config: APAConfig) -> None:
    try:
        init_logger(config)
    except OSError as error:
        raise RunError(
            f"cannot write RecBole's log under {Path.cwd() / 'log'}: {error}; start from another folder"
        ) from error
    init_seed(config["seed"], config["reproducibility"])
    getLogger().info(f"{config['model']} on {config['dataset']}, device {config['device']}")


def _build(config: APAConfig) -> tuple[Any, tuple[Any, Any, Any]]:
    """Dataset, loaders and model, by RecBole's own look-ups."""
    dataset = make_dataset(config)
    getLogger().info(dataset)
    data = data_preparation(config, dataset)
    # RecBole models may draw their first weights from the global generators
    init_seed(config["seed"], config["reproducibility"])
    model = get_model(config["model"])(config, data[0]._dataset).to(config["device"])
    return model, data


def _run_baseline(config: APAConfig, model: Any, data: tuple[Any, Any, Any]) -> RunResult:
    """A RecBole model, as RecBole trains it."""
    getLogger().info(model)
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    show = config["show_progress"]
    _, valid_result = trainer.fit(data[0], data[1], show_progress=show)
    if Path(trainer.saved_model_file).is_file():
        load_own_checkpoint(trainer)
    test_result = trainer.evaluate(data[2], load_best_model=False, show_progress=show)
    figures = recbole_figures("valid", valid_result or {}) | recbole_figures("test", test_result)
    for name, value in figures.items():
        getLogger().info(f"{name}: {value:.4f}")
    return RunResult(figures, None, config, model, trainer, data)


def _export(config: APAConfig, trainer: APATrainer, data: tuple[Any, Any, Any]) -> None:
    if not config["export_samples"]:
        return
    model: APA = trainer.model
    parts = {name: loader._dataset for name, loader in zip(SPLITS, data, strict=True)}
    tokens = parts["train"].field2token_id[parts["train"].iid_field]
    words = {
        name: [model.engine.encoder.words(x)[0].text for x in model.prompt_inputs(part.labelled)]
        for name, part in parts.items()
    }
    folder = Path(config["export_samples"])
    samples = {name: part.samples for name, part in parts.items()}
    export_samples(folder, samples, lambda item: model.item_texts[tokens[item]], words)
    getLogger().info(f"samples written to {folder}")


def _evaluate(result: RunResult, show: bool) -> dict[str, float]:
    """All figures of the run. Ranking metrics judge the chosen aggregation; labelled rows judge every variant."""
    trainer: APATrainer = result.trainer
    test = result.data[2]
    metrics: dict[str, float] = {**_training_figures(trainer)}
    start = time.perf_counter()
    if trainer.ranking:
        outcome = trainer.evaluate(test, load_best_model=False, show_progress=show)
    else:
        known = trainer.known_valid_scores or trainer.validation_scores(result.data[1]._dataset)
        metrics |= split_figures(
            "valid", _score(result, result.data[1], "Score validation", show, known), result.config["seed"]
        )
        scored = _score(result, test, "Score test samples", show)
        metrics |= split_figures("test", scored, result.config["seed"])
        chosen = f"aggregated.{result.model.settings.aggregation.aggregation}"
        labels = test._dataset.labelled[result.config["LABEL_FIELD"]]
        outcome = trainer.evaluate_scores(Tensor(scored.scores[chosen]), labels)
        _draw(result, scored)
    metrics |= recbole_figures("test", outcome)
    metrics["evaluate_seconds"] = round(time.perf_counter() - start, 1)
    return metrics


def _score(
    result: RunResult, loader: Any, title: str, show: bool, known: Mapping[str, Tensor] | None = None
) -> ScoredSplit:
    part = loader._dataset
    prompts = result.model.prompts(part.labelled)
    return score_split(result.model, part.samples, prompts, part.train_rows, title, show, known)


def _training_figures(trainer: APATrainer) -> dict[str, float]:
    record = trainer.record
    figures: dict[str, float] = {k: round(v, 1) for k, v in record.seconds.items()}
    figures |= {f"shards.{k:03d}.n_samples": n for k, n in enumerate(record.sizes)}
    for k, shard in enumerate(record.shards):
        if shard:
            figures[f"shards.{k:03d}.train_seconds"] = round(shard["train_seconds"], 1)
            figures[f"shards.{k:03d}.final_train_loss"] = shard["epoch_losses"][-1]
    figures["attention.tau"] = record.tau
    figures["attention.n_neighbors"] = record.n_neighbors
    figures["prompts.n_cut_prompts"] = record.n_cut_prompts
    figures["prompts.n_cut_lines"] = record.n_cut_lines
    figures["frozen_states_bytes"] = trainer.model.engine.cache.n_bytes
    if trainer.store:
        figures["adapters_bytes"] = sum(p.stat().st_size for p in trainer.store.folder.glob("shards/*/*.safetensors"))
    return figures


def _draw(result: RunResult, scored: ScoredSplit) -> None:
    """Record what the report draws (a loaded run keeps its own)."""
    trainer: APATrainer = result.trainer
    if trainer.train_embeddings is None or trainer.store is None or trainer.partition is None:
        return
    shard_of = trainer.partition.shard_of
    shards = [shard_of[s.sample_id] for s in result.data[0]._dataset.samples]
    drawings = {
        "shard_sizes": draw.shard_sizes(trainer.record.sizes),
        "sample_map": draw.sample_map(trainer.train_embeddings.numpy(), shards),
        "training_losses": draw.training_losses(trainer.record.shards),
        "attention_weights": draw.attention_weights(scored.weights),
        "roc_curves": draw.roc_curves(scored.labels, scored.scores),
    }
    for name, data in drawings.items():
        write_json(trainer.store.folder / "figures" / f"{name}.json", data)


def _finish(result: RunResult) -> None:
    """Write figures and report beside the trained state, and take them into the manifest."""
    trainer: APATrainer = result.trainer
    store = trainer.store
    assert store is not None
    result.run_dir = store.folder
    write_json(store.folder / "metrics.json", result.metrics)
    report = write_report(store.folder)
    store.seal({})
    _show(result)
    getLogger().info(f"run: {store.folder}   report: {report}")


def recbole_figures(split: str, outcome: Mapping[str, float]) -> dict[str, float]:
    """RecBole's metrics under plain keys; those that are not defined (AUC of one label only) are left out."""
    return {f"recbole.{split}.{k}": float(v) for k, v in outcome.items() if math.isfinite(v)}


def _show(result: RunResult) -> None:
    log = getLogger().info
    if "test.n_samples" in result.metrics:
        log("\n" + text_table(result.metrics))
        log(verdict(result.metrics, result.model.settings.aggregation.aggregation))
    else:
        for name, value in result.metrics.items():
            if name.startswith("recbole."):
                log(f"{name}: {value:.4f}")


def _check_same(manifest: Mapping[str, Any], model: APA, dataset: Any) -> None:
    if dataset.content_digest != manifest["dataset"]:
        raise RunError(
            f"the dataset in {dataset.dataset_path} is not the one that the run was made of (its digest differs); "
            "name the right folder with --data_path"
        )
    if model.engine.backbone.digest != manifest["backbone"]:
        raise RunError(
            f"the backbone {model.engine.backbone.name!r} is not the one that the run was trained on "
            "(its digest differs); use the same model and dtype"
        )
    if dataset.cutoffs != manifest["draw"]:
        raise RunError("the dataset's filters draw other samples than the run's; use the options of its manifest.json")
