"""Train several shards at once, each in a process of its own; the bytes are those of training one after another."""

import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from recbole_apa.assembly import build
from recbole_apa.collaborative_model import collaborative_model
from recbole_apa.data.view import DataView
from recbole_apa.errors import SettingsError
from recbole_apa.fitting import FitRecord, StateBuilder
from recbole_apa.former_state import FormerState
from recbole_apa.model import APA
from recbole_apa.partition import Collaborative
from recbole_apa.progress import progress
from recbole_apa.recbole_bridge import APAConfig
from recbole_apa.run_store import RunStore
from recbole_apa.trainer import APATrainer


@dataclass(frozen=True)
class _Task:
    """What a process needs to build the same model and data."""

    dataset: str
    options: dict[str, Any]
    view: DataView | None
    folder: Path
    threads: int


_builder: StateBuilder | None = None
_loader: Any = None


def make_trainer(
    config: APAConfig, model: APA, store: RunStore | None, former: FormerState | None = None
) -> APATrainer:
    """The trainer of a run; the option ``workers`` says how many shards it trains at once."""
    trainer = APATrainer(config, model, store, former)
    trainer.collaborative = collaborative_of(config)
    workers = int(config["workers"] or 1)
    fused = model.settings.training.fused_shards
    if workers > 1 and fused > 1:
        raise SettingsError(f"workers is {workers} and fused_shards {fused}; expected one of them to be 1")
    if workers > 1:
        trainer.train_elsewhere = lambda shards: train_in_processes(config, trainer.store, shards, workers)
    return trainer


def collaborative_of(config: APAConfig) -> Callable[[str, Any], Collaborative]:
    """Trains the collaborative model that a partition asks for."""
    return lambda partition, dataset: collaborative_model(partition, dataset, Path(config["data_path"]), config["seed"])


def train_in_processes(config: APAConfig, store: RunStore | None, shards: Sequence[int], workers: int) -> None:
    """Train shards of the partition in ``store`` and save them there.

    Every process computes with as many threads as this one: another number could round differently.
    """
    assert store is not None
    task = _Task(config.dataset, dict(config.external_config_dict), config.view, store.folder, torch.get_num_threads())
    show = config["show_progress"]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(shards)), context, _start, (task,)) as pool:
        jobs = [pool.submit(_train, shard) for shard in shards]
        for job in progress(as_completed(jobs), f"Train {len(shards)} shards", show, total=len(jobs)):
            job.result()


def _start(task: _Task) -> None:
    global _builder, _loader
    torch.set_num_threads(task.threads)
    config = APAConfig("APA", task.dataset, None, {**task.options, "show_progress": False})
    config.view = task.view
    model, data = build(config)
    _loader = data[0]
    _builder = StateBuilder(model, FitRecord(), RunStore(task.folder), None, lambda *a: None, False)


def _train(shard: int) -> float:
    """Train one shard and save it; seconds."""
    assert _builder is not None and _builder.store is not None
    start = time.perf_counter()
    partition = _builder.store.load_partition()
    assert partition is not None
    _builder.train_shards(_loader, partition, [shard])
    return time.perf_counter() - start
