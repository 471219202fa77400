"""Train APA on the paper's protocol; shared by the benchmarks. Frozen activations are kept between trainings."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recbole.data import data_preparation
from recbole.utils import init_seed

from recbole_apa import APA, APAConfig, APATrainer
from recbole_apa.backbone.activation_cache import ActivationCache
from recbole_apa.core.option_table import ACTIVATION_KEYS
from recbole_apa.data.loaders import Loaders
from recbole_apa.pipeline.datasets import make_dataset

_caches: dict[tuple[Any, ...], ActivationCache] = {}


@dataclass
class Fitted:
    """A trained model with its data (RecBole's loaders: train, valid, test)."""

    model: APA
    trainer: APATrainer
    data: Loaders
    valid: dict[str, float]


def fit(options: Mapping[str, Any]) -> Fitted:
    """Train on ml-100k with ``protocol: tallrec`` and these options; writes nothing but RecBole's TensorBoard logs."""
    given = {"protocol": "tallrec", "show_progress": False, "trunk_cache_gib": 8, **options}
    config = APAConfig("APA", "ml-100k", config_dict=given)
    init_seed(config["seed"], config["reproducibility"])
    data = Loaders(*data_preparation(config, make_dataset(config)))
    model = APA(config, data.train_set)
    key = tuple(str(config[name]) for name in ACTIVATION_KEYS)
    if key not in _caches:
        _caches.clear()  # one at a time fits in memory
        _caches[key] = model.engine.cache
    model.engine.cache = _caches[key]
    trainer = APATrainer(config, model)
    _, valid = trainer.fit(data[0], data[1], saved=False)
    return Fitted(model, trainer, data, valid)


def commit() -> str:
    """The commit this was measured on, with ``+`` if the tree has changes."""
    return os.popen("git describe --always --dirty=+ --abbrev=10").read().strip()
