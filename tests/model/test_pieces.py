"""A shard trained piece by piece is what training the same pieces from nothing gives, whatever was taken over."""

import shutil

import pytest
import torch

from recbole_apa.core.errors import SettingsError
from recbole_apa.core.places import Place, Places
from recbole_apa.core.seeding import digest_of
from recbole_apa.model.lineage import chain_of, lineage_of, shard_key
from recbole_apa.partition import Partition
from recbole_apa.pipeline.build import build
from recbole_apa.pipeline.config import APAConfig
from recbole_apa.runs.points import ShardPoints
from recbole_apa.runs.store import RunStore
from tests.helpers.by_hand import same, trained_by_hand
from tests.helpers.pieces import build_shards, count_training, shard_files

FILES = ("adapter_config.json", "adapter_model.safetensors", "training.json")


@pytest.mark.slow
def test_a_later_piece_is_trained_from_the_adapter_alone(ready, places, tmp_path):
    build_shards(ready, tmp_path / "run", places)
    store = RunStore(tmp_path / "run")
    point, served = store.load_shard(0, "01.00")[0], store.load_shard(0)[0]
    assert same(trained_by_hand(ready, {n for n, p in places.items() if p == (0, 1)}, point, 0, Place(1))[0], served)
    assert not same(point, served)
    between = store.load_shard(1, "03.00")[0]
    last = {n for n, p in places.items() if p == (1, 3)}
    assert same(trained_by_hand(ready, last, between, 1, Place(3))[0], store.load_shard(1)[0])


def test_a_first_piece_is_what_a_run_that_never_grew_trains(ready, places, tmp_path):
    first = {name: place for name, place in places.items() if place[1] == 0}
    build_shards(ready, tmp_path / "small", first)
    build_shards(ready, tmp_path / "run", places)
    small, run = shard_files(tmp_path / "small"), shard_files(tmp_path / "run")
    assert set(small) == {f"00{k}/{n}" for k in (0, 1) for n in FILES}
    for k in (0, 1):
        assert {n: small[f"00{k}/{n}"] for n in FILES} == {n: run[f"00{k}/points/01.00/{n}"] for n in FILES}


def test_a_shard_that_was_empty_starts_from_the_common_start(ready, places, tmp_path):
    model, loader = ready
    build_shards(ready, tmp_path / "run", places)
    store, members = RunStore(tmp_path / "run"), [n for n, p in places.items() if p == (2, 2)]
    assert ShardPoints(store, 2).names() == []
    start = model.engine.bank.start(1)
    assert same(trained_by_hand(ready, set(members), start, 2, Place(2))[0], store.load_shard(2)[0])
    samples = sorted(s.digest() for s in loader._dataset.samples if s.sample_id in members)
    assert store.shard_record(2)["key"] == digest_of(shard_key(2, []), "piece", 2, *samples).hex()


def test_keys_follow_one_another(ready, places):
    samples = [s for s in ready[1]._dataset.samples if places[s.sample_id][0] == 1]
    by_piece = {p: [s for s in samples if places[s.sample_id][1] == p] for p in (0, 1, 3)}
    chain = chain_of(1, samples, Places({name: piece for name, (_, piece) in places.items()}))
    first = shard_key(1, by_piece[0])
    second = digest_of(first, "piece", 1, *sorted(s.digest() for s in by_piece[1])).hex()
    third = digest_of(second, "piece", 3, *sorted(s.digest() for s in by_piece[3])).hex()
    assert [(p.place, p.key) for p in chain] == [((0, 0), first), ((1, 0), second), ((3, 0), third)]
    assert [(p.place, p.key) for p in chain_of(1, samples, Places())] == [((0, 0), shard_key(1, samples))]


def test_points_have_the_lineage_of_the_pieces_before_them(ready, places):
    samples = ready[1]._dataset.samples
    partition = Partition({name: shard for name, (shard, _) in places.items()}, torch.zeros(3, 1))
    splits = {"train": samples, "valid": [], "test": []}
    pieces = {name: piece for name, (_, piece) in places.items() if piece}
    seen = lineage_of(partition, splits, False, Places(pieces), {})
    assert {n for n in seen if "points" in n} == {
        "shards/000/points/01.00",
        "shards/001/points/01.00",
        "shards/001/points/03.00",
    }
    for name, piece in (("000/points/01.00", 1), ("001/points/01.00", 1), ("001/points/03.00", 3)):
        of_shard = {n for n, (shard, p) in places.items() if shard == int(name[:3]) and p < piece}
        assert set(seen[f"shards/{name}"]) == of_shard
    assert {n: v for n, v in seen.items() if "points" not in n} == lineage_of(partition, splits, False, Places(), {})


@pytest.mark.slow
def test_a_grown_state_is_one_trained_from_nothing(ready, places, tmp_path, monkeypatch):
    seen, base = count_training(monkeypatch), None
    for newest, expected in enumerate(
        [{(0, 0), (1, 0)}, {(0, 1), (1, 1)}, {(2, 2)}, {(1, 3)}],
    ):
        so_far = {name: place for name, place in places.items() if place[1] <= newest}
        del seen[:]
        fit, _ = build_shards(ready, tmp_path / f"{newest}", so_far, base)
        assert set(seen) == expected and len(seen) == len(expected)
        assert fit.record.trained == sorted({shard for shard, _ in expected})
        untouched = {shard for shard, _ in so_far.values()} - {shard for shard, _ in expected}
        assert set(fit.record.taken_over) == untouched
        build_shards(ready, tmp_path / f"anew{newest}", so_far)
        whole = tmp_path / f"whole{newest}"
        if base:
            shutil.copytree(base, whole)
            for shard in (tmp_path / f"{newest}" / "shards").glob("*"):
                shutil.rmtree(whole / "shards" / shard.name, ignore_errors=True)
        shutil.copytree(tmp_path / f"{newest}", whole, dirs_exist_ok=True)
        assert shard_files(whole) == shard_files(tmp_path / f"anew{newest}")
        base = whole


@pytest.mark.slow
@pytest.mark.parametrize(
    "gone, expected",
    [
        ((1, 0), [(1, 0), (1, 1), (1, 3)]),
        ((0, 0), [(0, 0), (0, 1)]),
        ((0, 1), [(0, 1)]),
        ((1, 3), [(1, 3)]),
        ((2, 2), [(2, 2)]),
        ((1, 1), [(1, 1), (1, 3)]),
    ],
)
def test_only_what_comes_after_a_change_is_trained_again(gone, expected, ready, places, tmp_path, monkeypatch):
    build_shards(ready, tmp_path / "base", places)
    seen = count_training(monkeypatch)
    name = next(n for n, place in places.items() if place == gone)
    left = {n: place for n, place in places.items() if n != name}
    fit, adapters = build_shards(ready, tmp_path / "after", left, tmp_path / "base")
    assert seen == expected
    assert fit.record.taken_over == [k for k in range(3) if k != gone[0]]
    _, again = build_shards(ready, tmp_path / "anew", left)
    assert all(same(one, other) for one, other in zip(adapters, again, strict=True))
    assert shard_files(tmp_path / "after", tmp_path / "base") == shard_files(tmp_path / "anew")


@pytest.mark.slow
def test_without_its_last_piece_a_shard_is_the_point_before_it(ready, places, tmp_path, monkeypatch):
    build_shards(ready, tmp_path / "base", places)
    left = {n: place for n, place in places.items() if place != (1, 3)}
    seen = count_training(monkeypatch)
    fit, _ = build_shards(ready, tmp_path / "after", left, tmp_path / "base")
    # not taken over: the scores that the memory has are of another adapter
    assert seen == [] and fit.record.trained == [] and fit.record.taken_over == [0, 2]
    build_shards(ready, tmp_path / "anew", left)
    assert shard_files(tmp_path / "after", tmp_path / "base") == shard_files(tmp_path / "anew")
    del seen[:]
    again, _ = build_shards(ready, tmp_path / "after", left, tmp_path / "base")  # interrupted and begun again
    assert seen == [] and again.record.taken_over == [0, 2]


@pytest.mark.slow
def test_a_state_that_may_not_be_reused_gives_no_point(ready, places, tmp_path, monkeypatch):
    build_shards(ready, tmp_path / "base", places)
    seen = count_training(monkeypatch)
    build_shards(ready, tmp_path / "after", dict(list(places.items())[1:]), tmp_path / "base", reuse=None)
    assert sorted(seen) == sorted(set(places.values()))


@pytest.mark.slow
def test_shards_trained_together_in_pieces_are_those_trained_alone(options, names, places, tmp_path):
    made = []
    for fused in (1, 2):
        config = APAConfig("APA", "board", config_dict={**options, "fused_shards": fused})
        model, data = build(config)
        made.append(build_shards((model, data.train), tmp_path / f"{fused}", places)[1])
    for one, other in zip(*made, strict=True):
        for name in one:
            for x, y in zip(one[name], other[name], strict=True):
                torch.testing.assert_close(x, y, rtol=1e-3, atol=1e-5)
    assert [p.name for p in sorted((tmp_path / "2" / "shards/001/points").iterdir())] == ["01.00", "03.00"]


@pytest.mark.slow
def test_without_a_store_pieces_are_trained_all_the_same(ready, places, tmp_path):
    _, kept = build_shards(ready, tmp_path / "run", places)
    _, loose = build_shards(ready, None, places)
    assert all(same(one, other) for one, other in zip(kept, loose, strict=True))


def test_an_approximate_method_is_refused_for_a_shard_in_pieces(ready, places, tmp_path):
    class Update:
        def key(self, exact):
            return f"moved:x:{exact}"

    with pytest.raises(SettingsError, match="in several pieces"):
        build_shards(ready, tmp_path / "run", places, shard_update=Update())
    assert not (tmp_path / "run").exists()
