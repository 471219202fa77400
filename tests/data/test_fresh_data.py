"""Rows hidden and rows deleted by hand are the same dataset: split, draw, numbers, texts, digest; many, by chance.

This is what ``exactness: fresh`` rests on; ``test_fresh.py`` shows what is trained on it.
"""

import random

import pytest
from recbole.utils import init_seed

from recbole_apa import APAConfig
from recbole_apa.core.errors import DataError
from recbole_apa.pipeline.datasets import make_dataset
from tests.helpers.chance_data import drawn_by_chance, request_by_chance, write


def read(folder, options, visible_data=None):
    """All that a training takes from the files; or why it is refused."""
    config = APAConfig("APA", "some", config_dict={**options, "data_path": str(folder)})
    init_seed(config["seed"], True)
    try:
        parts = make_dataset(config, visible_data).build()
    except DataError as error:
        return type(error).__name__
    tensors = [{f: p.inter_feat[f].tolist() for f in sorted(p.inter_feat.interaction)} for p in parts]
    return {
        "samples": [[s.digest() for s in p.samples] for p in parts],
        "tensors": tensors,
        "texts": parts[0].item_texts,
        "digest": parts[0].digest(b"secret").hex(),
        "old_digest": parts[0].old_digest,
        "cutoffs": parts[0].cutoffs,
        "train_rows": list(parts[0].train_rows),
    }


def compare(seed, options, folder):
    """Whether there was something to compare: a dataset that a training takes, before and after."""
    chance = random.Random(seed)
    rows, items, changes = drawn_by_chance(chance)
    visible_data, left = request_by_chance(chance, rows, "timestamp" in changes["load_col"]["inter"])
    given = {**options, **changes}
    whole, cleaned = write(folder / "whole", rows, items), write(folder / "cleaned", left, items)
    hidden, deleted = read(whole, given, visible_data), read(cleaned, given)
    assert hidden == deleted, (seed, given)
    assert read(cleaned, given, visible_data) == deleted, (seed, given)
    return isinstance(deleted, dict) and len(left) < len(rows)


@pytest.mark.slow
@pytest.mark.parametrize("first", [0, pytest.param(1000, marks=[pytest.mark.slow, pytest.mark.soak])])
def test_hidden_and_deleted_rows_are_the_same_dataset(first, options, tmp_path):
    n = 30 if first == 0 else 1000
    compared = sum(compare(seed, options, tmp_path / str(seed)) for seed in range(first, first + n))
    assert compared > n / 3  # the others are refused, either way
