import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_apa.core.errors import PartitionError
from recbole_apa.partition import (
    PARTITIONERS,
    Partition,
    SemanticPartitioner,
    balanced_kmeans,
    check_partition,
    semantic,
    with_member_means,
)
from recbole_apa.partition.assignment import shard_count
from recbole_apa.partition.bounded import assign_by_distance

OF_SAMPLES = ["random", "semantic"]


def names(n):
    return [f"s{i:03d}" for i in range(n)]


def points(n, d=4, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 30), st.integers(1, 8), st.sampled_from(OF_SAMPLES), st.integers(0, 3))
def test_every_sample_has_one_shard_and_no_shard_overflows(n, k, kind, slack):
    capacity = -(-n // k) + slack
    partition = PARTITIONERS[kind]()(names(n), points(n), k, capacity, 7)
    assert set(partition.shard_of) == set(names(n))
    assert sum(partition.sizes()) == n and max(partition.sizes()) <= capacity
    assert partition.centres.shape == (k, 4) and torch.isfinite(partition.centres).all()


@settings(deadline=None, max_examples=20)
@given(st.integers(2, 20), st.integers(1, 4), st.sampled_from(OF_SAMPLES), st.randoms())
def test_the_order_of_samples_does_not_matter(n, k, kind, random):
    order = list(range(n))
    random.shuffle(order)
    x = points(n)
    one = PARTITIONERS[kind]()(names(n), x, k, -(-n // k), 7)
    two = PARTITIONERS[kind]()([names(n)[i] for i in order], x[order], k, -(-n // k), 7)
    assert one.shard_of == two.shard_of


def naive_walk(ids, distance, capacity):
    pairs = sorted((float(distance[i, k]), ids[i], k) for i in range(len(ids)) for k in range(distance.shape[1]))
    out, load = {}, {}
    for _, name, k in pairs:
        if name not in out and load.get(k, 0) < capacity:
            out[name] = k
            load[k] = load.get(k, 0) + 1
    return out


@given(st.integers(1, 12), st.integers(1, 4), st.integers(0, 3))
def test_walk_equals_the_obvious_one_with_ties(n, k, seed):
    distance = torch.randint(0, 3, (n, k), generator=torch.Generator().manual_seed(seed)).double()
    ids = list(reversed(names(n)))
    assert assign_by_distance(ids, distance, -(-n // k)) == naive_walk(ids, distance, -(-n // k))


@settings(deadline=None, max_examples=30)
@given(st.integers(20, 120), st.integers(2, 12), st.integers(0, 1000), st.booleans())
def test_walk_with_many_full_shards_equals_the_obvious_one(n, k, seed, rounded):
    distance = torch.rand(n, k, generator=torch.Generator().manual_seed(seed)).double()
    distance += torch.linspace(0, 2, k)  # nearly all want the same few shards
    distance = distance.round(decimals=1) if rounded else distance
    ids = [f"s{(i * 37) % n:03d}" for i in range(n)] if n % 37 else names(n)
    assert assign_by_distance(ids, distance, -(-n // k)) == naive_walk(ids, distance, -(-n // k))


def test_the_walk_makes_no_list_of_pairs():
    n, k = 20_000, 64
    distance = torch.rand(n, k, generator=torch.Generator().manual_seed(0)).double()
    tracemalloc.start()
    assign_by_distance(names(n), distance, -(-n // k))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 3 * distance.numel() * 8  # a list of the pairs' places alone took 40 bytes for each


def test_squared_distances_are_the_same_in_blocks(monkeypatch):
    x, anchors = points(101, 5), points(7, 5, seed=1)
    whole = balanced_kmeans.squared_distances(x, anchors)
    assert torch.equal(whole, ((x.double()[:, None] - anchors.double()[None]) ** 2).sum(2))
    monkeypatch.setattr(balanced_kmeans, "_BLOCK_NUMBERS", 350)
    assert torch.equal(balanced_kmeans.squared_distances(x, anchors), whole)


@pytest.mark.parametrize("fitted", ["samples", "items"])
def test_centres_of_many_points_are_fitted_to_some_drawn_by_name(monkeypatch, fitted):
    monkeypatch.setattr(semantic, "FIT_ON_ALL", 30)
    monkeypatch.setattr(semantic, "POINTS_PER_SHARD", 8)
    seen = []
    kmeans_centres = semantic._kmeans_centres

    def kept(drawn, *others):
        seen.append({tuple(point) for point in drawn})
        return kmeans_centres(drawn, *others)

    monkeypatch.setattr(semantic, "_kmeans_centres", kept)
    x, items, order = points(90), points(50, seed=3), torch.randperm(90, generator=torch.Generator().manual_seed(1))
    partitioner = SemanticPartitioner(items if fitted == "items" else None)
    one = partitioner(names(90), x, 3, 35, 7)
    two = partitioner([names(90)[i] for i in order], x[order], 3, 35, 7)
    # the last sample is gone: at most one other point is drawn in its place
    partitioner(names(89), x[:89], 3, 35, 7)
    assert one.shard_of == two.shard_of and seen[0] == seen[1] and len(seen[0]) == 24
    assert len(seen[0] & seen[2]) >= 23


def test_members_are_those_that_the_assignment_names():
    partition = PARTITIONERS["random"]()(names(30), points(30), 4, 9, 7)
    for shard in range(4):
        assert partition.members(shard) == sorted(s for s, k in partition.shard_of.items() if k == shard)


def test_two_blobs_are_recovered():
    blobs = torch.cat(
        [points(20) * 0.05 + torch.tensor([1.0, 0, 0, 0]), points(20) * 0.05 - torch.tensor([1.0, 0, 0, 0])]
    )
    shard_of = PARTITIONERS["semantic"]()(names(40), blobs, 2, 20, 0).shard_of
    left = {shard_of[n] for n in names(40)[:20]}
    right = {shard_of[n] for n in names(40)[20:]}
    assert len(left) == len(right) == 1 and left != right


def test_more_shards_than_samples_leaves_some_empty():
    for kind in OF_SAMPLES:
        partition = PARTITIONERS[kind]()(names(3), points(3), 5, 1, 0)
        assert sorted(partition.sizes()) == [0, 0, 1, 1, 1]


def test_one_shard_holds_all():
    assert PARTITIONERS["semantic"]()(names(9), points(9), 1, 9, 0).sizes() == [9]


def test_equal_embeddings_fill_shards_by_sample_id():
    partition = PARTITIONERS["semantic"]()(names(6), torch.ones(6, 4), 3, 2, 0)
    assert partition.sizes() == [2, 2, 2]
    assert [partition.shard_of[n] for n in names(6)] == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("kind", OF_SAMPLES)
def test_bad_input_is_refused(kind):
    divide = PARTITIONERS[kind]()
    bad = points(4)
    bad[2, 0] = float("nan")
    with pytest.raises(PartitionError, match=r"1 of 4 embeddings contain NaN .* sample s002"):
        divide(names(4), bad, 2, 2, 0)
    with pytest.raises(PartitionError, match="hold 2, fewer than the 4 samples"):
        divide(names(4), points(4), 2, 1, 0)
    with pytest.raises(PartitionError, match="repeated sample ids"):
        divide(["a", "a"], points(2), 1, 2, 0)
    with pytest.raises(PartitionError, match="no samples"):
        divide([], points(0), 1, 2, 0)


def test_shard_size_gives_k():
    assert shard_count(1024, None, 256) == 4
    assert shard_count(1025, None, 256) == 5
    assert shard_count(10, 7, None) == 7


GOOD = Partition({name: i % 2 for i, name in enumerate(names(6))}, torch.ones(2, 4))


def with_shard(shard):
    return replace(GOOD, shard_of={**GOOD.shard_of, "s001": shard})


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (None, r"partition mine returned None, expected a recbole_apa.partition.Partition"),
        (GOOD.shard_of, r"partition mine returned dict \{'s000': 0"),
        (replace(GOOD, shard_of=[0, 1]), r"found shard_of list \[0, 1\], expected a dict of sample id to shard"),
        (replace(GOOD, shard_of={}), "assigns 0 samples, expected the 6 it was given; 6 are missing or unknown"),
        (replace(GOOD, shard_of={**GOOD.shard_of, 3: 0}), "assigns 7 samples.* 1 are missing or unknown, e.g. 3"),
        (with_shard(1.0), "puts sample s001 in shard 1.0; expected a whole number from 0 to 1"),
        (with_shard("1"), "in shard '1'"),
        (with_shard(True), "in shard True"),
        (with_shard(torch.tensor([0, 1])), "in shard tensor"),
        (with_shard(2), "in shard 2; expected a whole number from 0 to 1"),
        (with_shard(-1), "in shard -1"),
        (with_shard(0), r"puts 4 samples into shard 0, expected at most 3 \(its class says takes_capacity"),
        (replace(GOOD, centres=None), r"found centres None, expected a float tensor of shape \(2, 4\)"),
        (replace(GOOD, centres=np.ones((2, 4))), "found centres ndarray"),
        (replace(GOOD, centres=torch.ones(2, 3)), r"centres of shape \(2, 3\), expected \(2, 4\)"),
        (replace(GOOD, centres=torch.ones(3, 4)), r"centres of shape \(3, 4\), expected \(2, 4\)"),
        (replace(GOOD, centres=torch.ones(8)), r"centres of shape \(8,\)"),
        (replace(GOOD, centres=torch.full((2, 4), torch.nan)), "centres of 2 of 2 shards contain NaN or infinity"),
    ],
)
def test_what_is_no_partition_is_refused_by_name(found, says):
    with pytest.raises(PartitionError, match=says):
        check_partition(found, names(6), 2, 4, 3, "mine")


@pytest.mark.parametrize("whole", [int, np.int32, np.uint8, torch.tensor])
def test_whole_numbers_of_any_type_are_shards(whole):
    shard_of = {name: whole(i % 2) for i, name in enumerate(names(6))}
    means = with_member_means(shard_of, names(6), points(6), 2)
    for found in (means, Partition(shard_of, means.centres.double())):
        kept = check_partition(found, names(6), 2, 4, 3, "mine")
        assert kept.shard_of == GOOD.shard_of and {type(k) for k in kept.shard_of.values()} == {int}
        assert kept.centres.dtype == torch.float32 and torch.equal(kept.centres, means.centres)


def test_means_of_an_unfinished_assignment_are_refused_by_name():
    with pytest.raises(
        PartitionError, match=r"assigns 5 samples, expected the 6 it was given; 1 are missing or unknown, e\.g\. s003"
    ):
        with_member_means({n: 0 for n in names(6) if n != "s003"}, names(6), points(6), 2)


def test_a_partition_that_does_not_take_a_capacity_may_exceed_it():
    assert check_partition(with_shard(0), names(6), 2, 4).sizes() == [4, 2]
