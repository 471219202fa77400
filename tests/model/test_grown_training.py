"""A state that grew piece by piece is, byte for byte, one that was trained in the same pieces from nothing."""

import shutil

import pytest

from recbole_apa.data.splits import SPLITS
from recbole_apa.data.visible_data import VisibleData
from recbole_apa.pipeline.build import build
from recbole_apa.pipeline.build_data import build_data
from recbole_apa.pipeline.config import APAConfig
from recbole_apa.runs.store import RunStore
from tests.helpers.pieces import count_training, train_in_pieces, trained_files

pytestmark = pytest.mark.slow


def piece_of(sample):
    """Users 9 to 11 come in piece 1, the last rows of all in piece 2."""
    if float(sample.sample_id.split(":")[2]) % 1000 >= 11:
        return 2
    return int(int(sample.user_id[1:]) > 8)


@pytest.fixture(scope="module")
def ready(options):
    """Configuration, model and the loaders of all samples."""
    config = APAConfig("APA", "board", config_dict={**options, "epochs": 1, "weight_rule": "semantic"})
    model, data = build(config)
    return config, model, data


def data_up_to(ready, piece):
    """The loaders without the training samples of pieces after one."""
    config, _, data = ready
    splits = data.train_set.splits
    roles = {name: frozenset(s.sample_id for s in splits[name]) for name in SPLITS}
    roles["train"] = frozenset(s.sample_id for s in splits["train"] if piece_of(s) <= piece)
    return build_data(config, VisibleData(roles=roles, cutoffs=data.train_set.cutoffs))


def whole_state(folder, base):
    """A state with the shards that it left to the preceding one."""
    if base:
        for shard in (base / "shards").iterdir():
            if not (folder / "shards" / shard.name).exists():
                shutil.copytree(shard, folder / "shards" / shard.name)
    return folder


def test_growing_is_training_in_pieces(ready, tmp_path, monkeypatch):
    """Each state takes over what the one before it has: partition, embeddings, memory, adapters."""
    config, model, data = ready
    pieces = {s.sample_id: piece_of(s) for s in data.train_set.samples if piece_of(s)}
    assert set(pieces.values()) == {1, 2}
    base, seen = None, count_training(monkeypatch)
    for piece in range(3):
        so_far = data_up_to(ready, piece)
        anew, folder = tmp_path / f"anew{piece}", tmp_path / f"{piece}"
        del seen[:]
        stored = base and RunStore(base).load_partition()
        trainer = train_in_pieces((config, model), folder, so_far, pieces, base, stored)
        assert seen and {number for _, number in seen} == {piece}  # nothing else is trained
        assert len(trainer.record.sizes) == 3 and sum(trainer.record.sizes) == len(so_far.train_set.samples)
        base = whole_state(folder, base)
        train_in_pieces((config, model), anew, so_far, pieces)
        assert trained_files(base) == trained_files(anew)
    names = [name for name in trained_files(base) if "points" in name]
    assert {name.split("/")[2] for name in names} >= {"02.00"} and "pieces.json" in trained_files(base)


def test_without_pieces_nothing_is_different(ready, tmp_path):
    """Pieces of samples that are not there change no byte."""
    config, model, data = ready
    first = data_up_to(ready, 0)
    names = [s.sample_id for s in data.train_set.samples if piece_of(s)]
    train_in_pieces((config, model), tmp_path / "one", first, {})
    train_in_pieces((config, model), tmp_path / "other", first, dict.fromkeys(names, 1))
    assert trained_files(tmp_path / "one") == trained_files(tmp_path / "other")
