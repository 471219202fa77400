"""Make a run's trainer, with the workers and the RecBole models that its configuration asks for."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from recbole_apa.core.errors import SettingsError
from recbole_apa.data.dataset import APADataset
from recbole_apa.data.slice_order import read_slice_order
from recbole_apa.model.apa import APA
from recbole_apa.model.contracts import NO_INPUTS, FitInputs
from recbole_apa.model.trainer import APATrainer
from recbole_apa.partition import Collaborative
from recbole_apa.pipeline.collaborative import collaborative_model
from recbole_apa.pipeline.config import APAConfig
from recbole_apa.pipeline.evidence_models import evidence_models_of
from recbole_apa.pipeline.workers.pool import pool_of
from recbole_apa.runs.store import RunStore


def make_trainer(config: APAConfig, model: APA, store: RunStore | None, inputs: FitInputs = NO_INPUTS) -> APATrainer:
    """The trainer of a run; the options ``engine`` and ``workers`` say where its work is done.

    Args:
        inputs: other inputs of the training; workers, the collaborative model and those of the evidence
            are added here.

    Raises:
        DataError: the file that ``slice_order`` names is malformed.
        SettingsError: workers and fused shards together, or an unknown engine.
    """
    pool, fused = pool_of(config), model.settings.training.fused_shards
    if pool and fused > 1:
        raise SettingsError(
            f"workers is {config['workers']}, engine {config['engine']} and fused_shards {fused}; expected engine: "
            "local and workers: 1 with fused shards, or fused_shards: 1"
        )
    collaborative, models = collaborative_of(config), evidence_models_of(config)
    inputs = replace(inputs, collaborative=collaborative, evidence_models=models, pool=pool)
    if config["slice_order"]:  # of a first training; a run that is opened has kept it
        order = read_slice_order(Path(config["slice_order"]), model.settings.training.shard_slices)
        inputs = replace(inputs, listed=order.get)
    return APATrainer(config, model, store, inputs)


def collaborative_of(config: APAConfig) -> Callable[[str, APADataset, Path | None], Collaborative]:
    """A function that trains the collaborative model for a partition."""
    source, seed = Path(config["data_path"]), config["seed"]
    return lambda partition, dataset, run: collaborative_model(partition, dataset, source, seed, run)
