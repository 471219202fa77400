"""Fixtures of the tests of pieces."""

import pytest

from tests.helpers.pieces import DECAY, EPOCHS, WARMUP


@pytest.fixture(scope="module")
def ready(options):
    """A model whose dropout is on, and the loader of 30 training samples."""
    from recbole_apa.pipeline.build import build
    from recbole_apa.pipeline.config import APAConfig

    changes = {"lora_dropout": 0.2, "epochs": EPOCHS, "warmup_ratio": WARMUP, "weight_decay": DECAY}
    model, data = build(APAConfig("APA", "board", config_dict={**options, **changes}))
    return model, data.train


@pytest.fixture
def names(ready):
    """The samples' ids."""
    return [s.sample_id for s in ready[1]._dataset.samples]


@pytest.fixture
def places(names):
    """Shard 0: pieces 0 and 1. Shard 1: pieces 0, 1 and 3. Shard 2: piece 2 alone."""
    cuts = {(0, 0): 8, (0, 1): 13, (1, 0): 18, (1, 1): 22, (1, 3): 25, (2, 2): 30}
    return {name: next(place for place, end in cuts.items() if i < end) for i, name in enumerate(names)}
