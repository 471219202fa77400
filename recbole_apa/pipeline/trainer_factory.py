"""The trainer of a run, with the workers and the collaborative model that its configuration asks for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from recbole_apa.core.errors import SettingsError
from recbole_apa.model.apa import APA
from recbole_apa.model.trainer import APATrainer
from recbole_apa.partition import Collaborative
from recbole_apa.pipeline.collaborative import collaborative_model
from recbole_apa.pipeline.config import APAConfig
from recbole_apa.pipeline.workers.pool import pool_of
from recbole_apa.runs.reuse import ReusableState
from recbole_apa.runs.store import RunStore


def make_trainer(
    config: APAConfig, model: APA, store: RunStore | None, reuse: ReusableState | None = None
) -> APATrainer:
    """The trainer of a run; the options ``engine`` and ``workers`` say who does its work.

    Raises:
        SettingsError: workers and fused shards together, or an unknown engine.
    """
    trainer = APATrainer(config, model, store, reuse)
    trainer.collaborative = collaborative_of(config)
    trainer.pool = pool_of(config)
    fused = model.settings.training.fused_shards
    if trainer.pool and fused > 1:
        raise SettingsError(
            f"workers is {config['workers']}, engine {config['engine']} and fused_shards {fused}; expected engine: "
            "local and workers: 1 with fused shards, or fused_shards: 1"
        )
    return trainer


def collaborative_of(config: APAConfig) -> Callable[[str, Any], Collaborative]:
    """Trains the collaborative model that a partition asks for."""
    return lambda partition, dataset: collaborative_model(partition, dataset, Path(config["data_path"]), config["seed"])
