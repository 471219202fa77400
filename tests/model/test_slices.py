"""A shard trained in slices is what training the same slices from nothing gives, whatever was taken over."""

import pytest
import torch

from recbole_apa.core.places import FIRST, Place, Places, Slices
from recbole_apa.core.seeding import digest_of
from recbole_apa.model.lineage import chain_of, shard_key
from recbole_apa.runs.names import point_name
from recbole_apa.runs.points import ShardPoints
from recbole_apa.runs.store import RunStore
from tests.helpers.by_hand import same, trained_by_hand
from tests.helpers.pieces import DECAY, EPOCHS, WARMUP, build_shards, count_training, shard_files

L = 3
MOMENTS = "optimizer.safetensors"


@pytest.fixture(scope="module")
def sliced(options):
    """A model of a run with three slices, and the loader of its training samples."""
    from recbole_apa.pipeline.build import build
    from recbole_apa.pipeline.config import APAConfig

    changes = {"lora_dropout": 0.2, "epochs": EPOCHS, "warmup_ratio": WARMUP, "weight_decay": DECAY, "shard_slices": L}
    model, data = build(APAConfig("APA", "board", config_dict={**options, **changes}))
    return model, data.train


@pytest.fixture
def cuts(sliced):
    """Sample id -> slice."""
    slices = Slices(L, 1)
    return {s.sample_id: slices.of(s.user_id) for s in sliced[1]._dataset.samples}


@pytest.fixture
def spots(sliced, cuts):
    """Sample id -> shard and piece: shard 0 and 1 have samples in all slices, and shard 0 in two pieces."""
    out = {}
    for i, name in enumerate(cuts):
        out[name] = (i % 2, int(i % 2 == 0 and i % 3 == 0))
    for shard in (0, 1):
        assert {cuts[n] for n, spot in out.items() if spot == (shard, 0)} == set(range(L))
    return out


def test_the_slice_of_a_user_depends_on_seed_and_user_alone():
    slices = Slices(8, 2020)
    assert [slices.of(f"u{i}") for i in range(12)] == [5, 2, 7, 3, 1, 2, 5, 5, 1, 6, 0, 7]
    x = int.from_bytes(digest_of(2020, "slice", "u3")[:8], "big") / 2**64
    assert slices.of("u3") == int(8 * x) and Slices(2, 2020).of("u3") == int(2 * x)
    sizes = torch.bincount(torch.tensor([slices.of(str(i)) for i in range(8000)]), minlength=8)
    assert sizes.min() > 850 and sizes.max() < 1150
    assert [Slices(8, 1).of(f"u{i}") for i in range(12)] != [slices.of(f"u{i}") for i in range(12)]


def test_without_slices_names_keys_and_orders_are_those_of_before(ready, names):
    """Stored values: what a training without slices is drawn for, since the first version."""
    samples = ready[1]._dataset.samples[:6]
    assert Slices().of("anybody") == 0 and FIRST.names == () and Place(2).names == ("piece", 2)
    (piece,) = chain_of(3, samples, Places())
    assert piece.place == FIRST and piece.key == shard_key(3, samples)
    assert piece.key == digest_of(3, *sorted(s.digest() for s in samples)).hex()
    batches = ready[1].shard(names[:8], 4, 1)
    first = [row for batch in batches.epoch(0) for row in batch["label"].tolist()]
    order = sorted(range(8), key=lambda i: digest_of(1, "epoch", 0, names[i]))
    assert first == [float(ready[1]._dataset.samples[i].label) for i in order]


def test_the_places_of_a_shard_follow_one_another(sliced, cuts, spots):
    samples = [s for s in sliced[1]._dataset.samples if spots[s.sample_id][0] == 0]
    places = Places({n: piece for n, (_, piece) in spots.items()}, Slices(L, 1))
    chain = chain_of(0, samples, places)
    assert [piece.place for piece in chain] == sorted({(spots[s.sample_id][1], cuts[s.sample_id]) for s in samples})
    assert len({piece.key for piece in chain}) == len(chain) > L
    for gone in samples:
        left = chain_of(0, [s for s in samples if s is not gone], places)
        at = (spots[gone.sample_id][1], cuts[gone.sample_id])
        for one in left:
            assert (one.key in {p.key for p in chain}) == (one.place < at)


def test_slices_go_on_with_the_moments_of_those_before(sliced, cuts, spots, tmp_path):
    build_shards(sliced, tmp_path / "run", spots)
    store, bank = RunStore(tmp_path / "run"), sliced[0].engine.bank
    factors, state = bank.start(1), None
    for cut in range(L):
        place, members = Place(0, cut), {n for n, spot in spots.items() if spot == (1, 0) and cuts[n] == cut}
        assert place.names == (("slice", cut) if cut else ())
        factors, state = trained_by_hand(sliced, members, factors, 1, place, state)
        point = point_name(0, cut + 1) if cut + 1 < L else ""
        kept = store.load_shard(1, point)[0]
        assert same(factors, kept)
        moments = store.load_moments(1, point, kept)
        assert (moments is not None) == (cut + 1 < L)
        if moments:
            found = [moment for name in bank.layers for moment in moments[name]]
            for i, moment in enumerate(found):
                assert moment.step == state[i]["step"] and torch.equal(moment.mean[None], state[i]["exp_avg"])
                assert torch.equal(moment.square[None], state[i]["exp_avg_sq"])
    assert ShardPoints(store, 1).names() == ["00.01", "00.02"]


@pytest.mark.slow
def test_an_addition_starts_with_new_moments(sliced, cuts, spots, tmp_path):
    build_shards(sliced, tmp_path / "run", spots)
    store = RunStore(tmp_path / "run")
    names = ShardPoints(store, 0).names()
    added = sorted({cuts[n] for n, spot in spots.items() if spot == (0, 1)})
    assert names == ["00.01", "00.02", *(point_name(1, cut) for cut in added)] and len(added) > 1
    for name in names:
        factors = store.load_shard(0, name)[0]
        assert (store.load_moments(0, name, factors) is None) == (name == point_name(1, added[0]))
    kept, place = store.load_shard(0, point_name(1, added[0]))[0], Place(1, added[0])
    members = {n for n, spot in spots.items() if spot == (0, 1) and cuts[n] == added[0]}
    found, _ = trained_by_hand(sliced, members, kept, 0, place, None)
    assert same(found, store.load_shard(0, point_name(1, added[1]))[0])


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    "gone",
    [
        [(1, 0, 0)],
        [(1, 0, 2)],
        [(0, 0, 1)],
        [(0, 1, 1)],
        [(0, 0, 2), (1, 0, 1)],
        [(1, 0, 0), (1, 0, 1), (0, 1, 0)],
    ],
)
@pytest.mark.parametrize("whole", [False, True])
def test_without_some_samples_a_shard_restarts_before_the_first_of_them(
    gone, whole, sliced, cuts, spots, tmp_path, monkeypatch
):
    """(shard, piece, slice) of the samples that go: one of them, or all of that place."""
    build_shards(sliced, tmp_path / "base", spots)
    left = dict(spots)
    for at in gone:
        members = [n for n, (shard, piece) in spots.items() if (shard, piece, cuts[n]) == at]
        for name in members if whole else members[:1]:
            del left[name]
    seen = count_training(monkeypatch)
    fit, adapters = build_shards(sliced, tmp_path / "after", left, tmp_path / "base")
    there = {(shard, piece, cuts[n]) for n, (shard, piece) in left.items()}
    first = {shard: min(at for at in gone if at[0] == shard) for shard in {at[0] for at in gone}}
    expected = sorted(at for at in there if at[0] in first and at >= first[at[0]])
    assert sorted((shard, *(p if isinstance(p, tuple) else (p, 0))) for shard, p in seen) == expected
    assert fit.record.n_places == len(expected)
    _, again = build_shards(sliced, tmp_path / "anew", left)
    assert all((a is None and b is None) or same(a, b) for a, b in zip(adapters, again, strict=True))
    assert shard_files(tmp_path / "after", tmp_path / "base") == shard_files(tmp_path / "anew")


@pytest.mark.slow
def test_a_last_slice_that_is_gone_leaves_no_moments(sliced, cuts, spots, tmp_path, monkeypatch):
    """The point before it is served; nothing goes on from there."""
    build_shards(sliced, tmp_path / "base", spots)
    left = {n: spot for n, spot in spots.items() if (spot, cuts[n]) != ((1, 0), L - 1)}
    seen = count_training(monkeypatch)
    build_shards(sliced, tmp_path / "after", left, tmp_path / "base")
    assert seen == [] and not (tmp_path / "after/shards/001" / MOMENTS).exists()
    build_shards(sliced, tmp_path / "anew", left)
    assert shard_files(tmp_path / "after", tmp_path / "base") == shard_files(tmp_path / "anew")


@pytest.mark.slow
def test_a_point_without_moments_is_not_gone_on_from(sliced, cuts, spots, tmp_path, monkeypatch):
    """A slice that the shard did not have before: what was served has lost its moments, and is trained again."""
    less = {n: spot for n, spot in spots.items() if (spot, cuts[n]) != ((1, 0), L - 1)}
    build_shards(sliced, tmp_path / "base", less)
    seen = count_training(monkeypatch)
    build_shards(sliced, tmp_path / "after", spots, tmp_path / "base")
    assert [place for shard, place in seen if shard == 1] == [Place(0, 1), Place(0, 2)]
    build_shards(sliced, tmp_path / "anew", spots)
    assert shard_files(tmp_path / "after", tmp_path / "base") == shard_files(tmp_path / "anew")


@pytest.mark.slow
def test_slices_of_shards_trained_together_are_those_trained_alone(options, spots, tmp_path):
    from recbole_apa.pipeline.build import build
    from recbole_apa.pipeline.config import APAConfig

    made = []
    for fused in (1, 2):
        config = APAConfig("APA", "board", config_dict={**options, "fused_shards": fused, "shard_slices": L})
        model, data = build(config)
        made.append(build_shards((model, data.train), tmp_path / f"{fused}", spots)[1])
    for one, other in zip(*made, strict=True):
        for name in one or ():
            for x, y in zip(one[name], other[name], strict=True):
                torch.testing.assert_close(x, y, rtol=1e-3, atol=1e-5)
    assert RunStore(tmp_path / "2").load_moments(1, "00.01", RunStore(tmp_path / "2").load_shard(1, "00.01")[0])


@pytest.mark.slow
def test_prefixes_serve_what_the_first_places_left(sliced, cuts, spots, tmp_path, monkeypatch):
    """Nothing is trained; what is missing is trained later, to the same bytes."""
    build_shards(sliced, tmp_path / "base", spots)
    gone = [next(n for n, s in spots.items() if (s, cuts[n]) == at) for at in (((0, 0), 1), ((1, 0), 0))]
    left = {n: spot for n, spot in spots.items() if n not in gone}
    seen = count_training(monkeypatch)
    fit, adapters = build_shards(sliced, tmp_path / "now", left, tmp_path / "base", serves_prefixes=True)
    assert seen == [] and fit.record.prefixes == {0: Place(0, 1), 1: Place(0, 0)}
    assert adapters[1] is None and not (tmp_path / "now/shards/001").exists()
    assert same(adapters[0], RunStore(tmp_path / "base").load_shard(0, "00.01")[0])
    assert (tmp_path / "now/shards/000" / MOMENTS).is_file() and not (tmp_path / "now/shards/000/points").exists()
    ends = fit.record.prefixes
    build_shards(sliced, tmp_path / "anew", left, prefixes=ends)
    assert shard_files(tmp_path / "now") == shard_files(tmp_path / "anew")
    build_shards(sliced, tmp_path / "later", left, tmp_path / "now")
    build_shards(sliced, tmp_path / "whole", left)
    assert shard_files(tmp_path / "later") == shard_files(tmp_path / "whole")
