"""Evaluate a trained state and write its records: ``metrics.json``, ``figures/``, ``report.html``."""

import math
import time
from collections.abc import Mapping, Sequence
from logging import getLogger
from pathlib import Path

import numpy as np
from torch import Tensor

from recbole_apa.collaborative import known_rows
from recbole_apa.core.files.whole import write_json
from recbole_apa.data.dataset import APADataset
from recbole_apa.data.export import export_samples
from recbole_apa.data.loaders import Loaders
from recbole_apa.data.splits import SPLITS
from recbole_apa.evaluation.attempt import attempt
from recbole_apa.evaluation.evidence_figures import AVERAGES, added_figures, combination_figures, name_of, with_evidence
from recbole_apa.evaluation.evidence_slices import slice_figures, slice_masks
from recbole_apa.evaluation.report import figures as draw
from recbole_apa.evaluation.report.baseline_lines import baseline_lines
from recbole_apa.evaluation.report.evidence_lines import evidence_lines
from recbole_apa.evaluation.report.prefix_table import prefix_table
from recbole_apa.evaluation.report.run_page import write_report
from recbole_apa.evaluation.report.run_table import note, text_table, too_few_users, validation_note, verdict
from recbole_apa.evaluation.scored_split import ScoredSplit, split_figures
from recbole_apa.evaluation.variants import AGGREGATIONS, chosen_aggregation, chosen_scores, score_split
from recbole_apa.model.apa import APA
from recbole_apa.model.trainer import APATrainer
from recbole_apa.pipeline.build import RunResult, log_files
from recbole_apa.pipeline.plugins import registered_by
from recbole_apa.pipeline.prefixes_judged import OPTION as PREFIX_OPTION
from recbole_apa.pipeline.prefixes_judged import figures_by_slices
from recbole_apa.pipeline.run_baselines import train_baselines
from recbole_apa.runs.collaborative_files import save_collaborative_scores
from recbole_apa.runs.manifest import TrainingCost
from recbole_apa.runs.names import BOARDS, METRICS, REGISTERED_BY
from recbole_apa.runs.outside import mark

_OF_MODELS = "evidence_models_seconds"
TRAINING_STAGES = ("read_prompts_seconds", "partition_seconds", "train_shards_seconds", "memory_seconds", _OF_MODELS)
"""The stages of training a state; evaluation is not included."""


def evaluate_state(
    result: RunResult, show: bool, baselines: Sequence[str] = (), run: Path | None = None
) -> dict[str, float]:
    """All figures of the run. Ranking metrics judge the chosen aggregation; labelled rows judge every variant.

    Args:
        baselines: RecBole models to train and judge on labelled rows beside it.
        run: the folder of the run, if it is being written: their rows stand there meanwhile.
    """
    trainer: APATrainer = result.trainer
    data = result.data
    metrics: dict[str, float] = {**_training_figures(trainer)}
    if result.config["variants"] == "none":
        return metrics
    start = time.perf_counter()
    outcome: Mapping[str, float] = {}
    if not data.test_set.samples:
        getLogger().warning("no test sample is left to evaluate the model on")
    elif trainer.ranking:
        outcome = trainer.evaluate(data.test, load_best_model=False, show_progress=show)
    else:
        beside = train_baselines(result, baselines, run)
        metrics |= beside.figures
        if data.valid_set.samples:
            known = trainer.known_valid_scores or trainer.validation_scores(data.valid_set)
            judged = _score(result, "valid", "Score validation", show, known).beside(beside.scores["valid"])
            metrics |= _figures_of("valid", judged, result)
        scored = _score(result, "test", "Score test samples", show).beside(beside.scores["test"])
        metrics |= _figures_of("test", scored, result)
        if trainer.combined:
            metrics |= combination_figures(trainer.combined.fitted.combination)
            metrics[AVERAGES] = float(trainer.combined.settings.fits_averages)
            how = result.config["seed"], result.config["intervals"] == "users"
            metrics |= added_figures(scored, *how) | slice_figures(scored, _slices(result), *how)
        outcome = trainer.evaluate_scores(_served(result, scored), data.test_set)
        attempt("figures of the report", lambda: _draw(result, scored), None)
        if result.config[PREFIX_OPTION]:
            metrics |= attempt("figures by slices", lambda: figures_by_slices(result, scored, show), dict[str, float]())
    metrics |= recbole_figures("test", outcome)
    metrics["evaluate_seconds"] = round(time.perf_counter() - start, 1)
    return metrics


def write_records(
    result: RunResult, about: Mapping[str, object], requests: Sequence[Mapping[str, object]] = ()
) -> Path:
    """Write figures and report next to the trained state, and add them to the manifest.

    Args:
        about: further entries of the manifest.
        requests: those carried out on this run, for the report.

    Returns:
        the report's path.
    """
    store = result.store
    result.run_dir = store.folder
    # JSON has no NaN: an undefined figure is left out, and shown as "-"
    result.metrics = {name: value for name, value in result.metrics.items() if math.isfinite(value)}
    write_json(store.folder / METRICS, result.metrics)
    if result.trainer.combined:
        save_collaborative_scores(store, result.trainer.combined.fitted.scores)
    report = write_report(store.folder, requests, store.name)
    seal_records(result, about)
    return report


def seal_records(result: RunResult, about: Mapping[str, object]) -> None:
    """Add to the manifest what :func:`write_records` adds, for a state whose figures and report are made later."""
    modules = registered_by(result.config, result.model.engine.decoder.family)
    result.store.seal({**about, **({REGISTERED_BY: modules} if modules else {})})


def write_first_records(result: RunResult) -> Path:
    """The records of a run that was just trained; see :func:`write_records`."""
    outside, store = traces_outside(result), result.store
    for name in outside["exports"]:
        mark(Path(name), store.salt, store.home)
    return write_records(result, {"full_training": training_cost(result.trainer), "outside": outside})


def training_cost(trainer: APATrainer) -> TrainingCost:
    """How long training the whole state took, for estimates of later requests."""
    record = trainer.record
    cost: TrainingCost = {
        "seconds": round(sum(record.seconds.get(name, 0.0) for name in TRAINING_STAGES), 3),
        "memory_seconds": round(record.seconds.get("memory_seconds", 0.0), 3),
        "shard_seconds": [round(shard.get("train_seconds", 0.0), 3) for shard in record.shards],
        "shard_samples": record.sizes,
    }
    if _OF_MODELS in record.seconds:
        cost["models_seconds"] = round(record.seconds[_OF_MODELS], 3)
    return cost


def traces_outside(result: RunResult) -> dict[str, list[str]]:
    """Places outside the run folder where this process leaves traces of the training."""
    export = result.config["export_samples"]
    return {
        "tensorboard": result.store.manifest().get(BOARDS, []),
        "logs": [str(Path(name).resolve()) for name in log_files()],
        "exports": [str(Path(export).resolve())] if export else [],
    }


def write_export(folder: Path, model: APA, data: Loaders) -> None:
    """What the model sees of each sample, as JSON lines."""
    parts = dict(zip(SPLITS, data.parts, strict=True))
    tokens = parts["train"].field2token_id[parts["train"].iid_field]
    words = {
        name: [model.engine.encoder.words(x)[0].text for x in part.prompt_inputs(part.samples)]
        for name, part in parts.items()
    }
    samples = {name: part.samples for name, part in parts.items()}
    export_samples(folder, samples, lambda item: model.item_texts[tokens[item]], words)
    getLogger().info(f"samples written to {folder}")


def recbole_figures(split: str, outcome: Mapping[str, float] | None) -> dict[str, float]:
    """RecBole's metrics under plain keys; undefined ones (AUC with a single label) are left out."""
    return {f"recbole.{split}.{k}": float(v) for k, v in (outcome or {}).items() if math.isfinite(v)}


def show_figures(result: RunResult) -> None:
    """Log the final table, and keep it as ``result.table``."""
    log = getLogger().info
    if "test.n_samples" in result.metrics:
        chosen = result.model.settings.aggregation.aggregation
        result.table = text_table(result.metrics, chosen)
        log("\n" + result.table)
        if too_few_users(result.metrics):
            getLogger().warning(note(result.metrics))
        else:
            log(note(result.metrics))
        log(verdict(result.metrics, chosen))
        said = (validation_note(result.metrics), *evidence_lines(result.metrics), *baseline_lines(result.metrics))
        for line in filter(None, said):
            log(line)
        if by_slices := prefix_table(result.metrics):
            result.table += f"\n\n{by_slices}"
            log(by_slices)
    else:
        lines = [f"{name}: {value:.4f}" for name, value in result.metrics.items() if name.startswith("recbole.")]
        result.table = "\n".join(lines)
        for line in lines:
            log(line)


def _slices(result: RunResult) -> dict[str, np.ndarray]:
    """Which test samples are in each slice."""
    assert result.trainer.combined
    data, fitted = result.data.train_set.run_data, result.trainer.combined.fitted
    return slice_masks(*known_rows(data, data.targets["test"], fitted.statistics.codes, fitted.statistics.items.n))


def _figures_of(split: str, scored: ScoredSplit, result: RunResult) -> dict[str, float]:
    by_users = result.config["intervals"] == "users"
    return attempt(f"{split} figures", lambda: split_figures(split, scored, result.config["seed"], by_users), {})


def _score(
    result: RunResult, split: str, title: str, show: bool, known: Mapping[str, Tensor] | None = None
) -> ScoredSplit:
    """The scores of a split's samples; the run keeps those of its model on the test samples."""
    part, trainer = getattr(result.data, f"{split}_set"), result.trainer
    scored = score_split(result.model, part, title, show, known, _wanted(result, split))
    if trainer.combined is None:
        return scored
    name = chosen_scores(result.model)
    model_scores = scored.scores[name if name in scored.scores else "aggregated.prediction"]
    if split == "test":
        trainer.combined = trainer.combined.with_test_scores(part, model_scores)
    return with_evidence(scored, trainer.combined.scores_of(part, model_scores))


def _wanted(result: RunResult, split: str) -> Sequence[str]:
    """The aggregations to score: of validation samples none if the averages that evidence is fitted on will do."""
    if result.config["variants"] != "chosen":
        return AGGREGATIONS
    combined = result.trainer.combined
    averages_do = split == "valid" and combined is not None and combined.settings.fits_averages
    return () if averages_do else chosen_aggregation(result.model)


def score_with_model(result: RunResult, part: APADataset) -> np.ndarray:
    """The scores of a split's samples by the configured aggregation alone, the same as in :func:`evaluate_state`."""
    model = result.model
    return score_split(model, part, "Score", False, wanted=chosen_aggregation(model)).scores[chosen_scores(model)]


def _served(result: RunResult, scored: ScoredSplit) -> np.ndarray:
    """The scores that the run serves, (n,)."""
    combined = result.trainer.combined
    return scored.scores[
        name_of(combined.served, chosen_scores(result.model)) if combined else chosen_scores(result.model)
    ]


def _training_figures(trainer: APATrainer) -> dict[str, float]:
    record = trainer.record
    figures: dict[str, float] = {k: round(v, 1) for k, v in record.seconds.items()}
    figures |= {f"shards.{k:03d}.n_samples": n for k, n in enumerate(record.sizes)}
    for k, shard in enumerate(record.shards):
        if shard:
            figures[f"shards.{k:03d}.train_seconds"] = round(shard["train_seconds"], 1)
            if shard["epoch_losses"]:
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
    """Write the data of the report's figures (a loaded run keeps its own)."""
    trainer: APATrainer = result.trainer
    if trainer.train_embeddings is None or trainer.store is None or trainer.partition is None:
        return
    shard_of = trainer.partition.shard_of
    shards = [shard_of[s.sample_id] for s in result.data.train_set.samples]
    drawings = {
        "shard_sizes": draw.shard_sizes(trainer.record.sizes),
        "sample_map": draw.sample_map(trainer.train_embeddings.numpy(), shards),
        "training_losses": draw.training_losses(trainer.record.shards),
        "attention_weights": draw.attention_weights(scored.weights),
        "roc_curves": draw.roc_curves(scored.labels, scored.scores),
    }
    for name, data in drawings.items():
        write_json(trainer.store.folder / "figures" / f"{name}.json", data)
