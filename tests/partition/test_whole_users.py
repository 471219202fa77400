"""Partitions that divide no user."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_apa.core.errors import PartitionError
from recbole_apa.core.ids import user_of
from recbole_apa.partition import SemanticPartitioner, SemanticUserPartitioner
from recbole_apa.partition.assignment import Assignment, Partition
from recbole_apa.partition.check import check_users_whole
from recbole_apa.partition.growth import assign_added
from recbole_apa.partition.whole_users import assign_whole

USERS = st.lists(st.integers(1, 6), min_size=1, max_size=12)
"""Samples of each user."""


def sample_ids(sizes):
    return [f"u{user}:i{n}" for user, size in enumerate(sizes) for n in range(size)]


def points(n, d=4, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def naive(names, sizes, distance, capacity):
    """Algorithm 1 as it is written: every pair, sorted."""
    load, found = [0] * distance.shape[1], {}
    size_of = dict(zip(names, sizes, strict=True))
    for _, name, k in sorted((float(d), names[i], k) for (i, k), d in np.ndenumerate(distance)):
        if name not in found and load[k] + size_of[name] <= capacity:
            found[name], load[k] = k, load[k] + size_of[name]
    for name in sorted(set(names) - set(found)):
        found[name] = load.index(min(load))
        load[found[name]] += size_of[name]
    return found


@settings(deadline=None, max_examples=80)
@given(USERS, st.integers(1, 5), st.integers(0, 3), st.integers(0, 2**20), st.booleans())
def test_it_is_the_walk_through_all_pairs(sizes, k, slack, seed, coarse):
    names = [f"u{i}" for i in range(len(sizes))]
    distance = np.random.default_rng(seed).random((len(sizes), k))
    distance = np.round(distance, 1) if coarse else distance  # ties
    capacity = math.ceil(sum(sizes) / k) + slack
    assert assign_whole(names, sizes, distance, capacity) == naive(names, sizes, distance, capacity)


@settings(deadline=None, max_examples=60)
@given(USERS, st.integers(1, 6), st.randoms())
def test_no_user_is_divided_and_a_shard_exceeds_the_capacity_by_less_than_one(sizes, k, random):
    ids = sample_ids(sizes)
    x, capacity = points(len(ids)), math.ceil(len(ids) / k)
    partition = SemanticUserPartitioner()(ids, x, k, capacity, 7)
    assert set(partition.shard_of) == set(ids) and partition.centres.shape == (k, 4)
    check_users_whole(partition, {name: user_of(name) for name in ids}, "semantic_user")
    assert max(partition.sizes()) < capacity + max(sizes)
    order = list(range(len(ids)))
    random.shuffle(order)
    other = SemanticUserPartitioner()([ids[i] for i in order], x[order], k, capacity, 7)
    assert other.shard_of == partition.shard_of and torch.equal(other.centres, partition.centres)


def test_users_of_one_sample_are_divided_as_samples_are():
    ids, x = [f"u{user:02d}:i" for user in range(20)], points(20)
    by_user, by_sample = (kind()(ids, x, 3, 7, 5) for kind in (SemanticUserPartitioner, SemanticPartitioner))
    assert by_user.shard_of == by_sample.shard_of


def test_shards_have_users_of_similar_means():
    """Two groups of users far apart, whose samples lie on both sides."""
    ids = sample_ids([2] * 8)
    sides = [1.0 if i // 2 < 4 else -1.0 for i in range(16)]
    x = torch.tensor([[5 * side, 9.0 if i % 2 else -9.0] for i, side in enumerate(sides)])
    shards = SemanticUserPartitioner()(ids, x, 2, 8, 1).shard_of
    assert len({shards[name] for name in ids[:8]}) == len({shards[name] for name in ids[8:]}) == 1
    assert shards[ids[0]] != shards[ids[-1]]


@settings(deadline=None, max_examples=40)
@given(USERS, st.integers(2, 4))
def test_users_who_join_are_not_divided_either(sizes, k):
    before, joining = sample_ids([2] * 6), [f"v{name}" for name in sample_ids(sizes)]
    ids = [*before, *joining]
    x = points(len(ids))
    first = SemanticUserPartitioner()(before, x[: len(before)], k, math.ceil(12 / k), 3)
    users, pieces = [user_of(name) for name in ids], dict.fromkeys(joining, 1)
    grown = assign_added(ids, users, x, pieces, first.assignment, keeps_users_whole=True)
    assert {name: grown.shard_of[name] for name in before} == first.shard_of
    check_users_whole(Partition(dict(grown.shard_of), x[:k]), dict(zip(ids, users, strict=True)), "grown")
    assert max(grown.sizes()) < max(math.ceil(len(ids) / k), max(first.sizes())) + max(sizes)


def test_a_divided_user_is_named():
    partition = Partition(dict(Assignment({"a:1": 0, "a:2": 1, "b:1": 1}, 2).shard_of), torch.zeros(2, 1))
    with pytest.raises(PartitionError, match=r"the samples of 1 users into several shards \(first: user a\)"):
        check_users_whole(partition, {"a:1": "a", "a:2": "a", "b:1": "b"}, "mine")
