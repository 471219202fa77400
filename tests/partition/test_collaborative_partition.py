"""The partitions of RecEraser and GraphEraser, with the traps of their released code."""

from collections import Counter
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recbole_apa.core.errors import PartitionError
from recbole_apa.partition import PARTITIONERS, Collaborative
from recbole_apa.partition.balanced_kmeans import balanced_kmeans, squared_distances
from recbole_apa.partition.grapheraser import grapheraser_capacity
from recbole_apa.partition.label_propagation import balanced_label_propagation
from recbole_apa.partition.receraser import receraser_capacity


def blobs(n_users=12, n_items=8, per_user=5):
    """Users and items in two groups; each user rates items of its own group."""
    generator = torch.Generator().manual_seed(0)
    side = lambda i: 1.0 if i % 2 else -1.0  # noqa: E731
    vector = lambda i: torch.tensor([5 * side(i), 3.0]) + 0.1 * torch.randn(2, generator=generator)  # noqa: E731
    users = {f"u{i}": vector(i) for i in range(n_users)}
    items = {f"i{i}": vector(i) for i in range(n_items)}
    pairs = [(u, f"i{(2 * j + u) % n_items}") for u in range(n_users) for j in range(min(per_user, n_items // 2))]
    ids = [f"u{u}:{item}" for u, item in pairs]
    known = Collaborative(
        {name: name.split(":")[0] for name in ids}, {name: name.split(":")[1] for name in ids}, users, items
    )
    return ids, known


@pytest.mark.parametrize("kind", ["user", "item", "interaction", "bekm"])
@pytest.mark.parametrize("seed", range(5))
def test_two_groups_are_recovered(kind, seed):
    ids, known = blobs()
    partition = PARTITIONERS[kind].made_with(known)(ids, torch.ones(len(ids), 3), 2, 30, seed)
    group = {name: int(known.user_of[name][1:]) % 2 for name in ids}
    assert len({(group[name], shard) for name, shard in partition.shard_of.items()}) == 2
    assert set(partition.shard_of) == set(ids)


@pytest.mark.parametrize("kind", ["user", "bekm", "blpa"])
def test_a_users_samples_stay_together(kind):
    ids, known = blobs()
    shard_of = PARTITIONERS[kind].made_with(known)(ids, torch.ones(len(ids), 3), 3, 20, 1).shard_of
    assert len({(known.user_of[name], shard_of[name]) for name in ids}) == 12


@given(st.integers(1, 25), st.integers(1, 6), st.integers(0, 5), st.booleans())
def test_capacity_is_never_exceeded_and_all_are_assigned(n, k, seed, of_receraser):
    vectors = torch.randn(n, 3, generator=torch.Generator().manual_seed(seed))
    capacity = (receraser_capacity if of_receraser else grapheraser_capacity)(n, k)
    names = [f"n{i}" for i in range(n)]
    found, _ = balanced_kmeans(names, vectors, vectors[[i % n for i in range(k)]], capacity, 20)
    assert set(found) == set(names) and max(Counter(found.values()).values()) <= capacity


def test_without_a_limit_every_unit_goes_to_its_nearest_anchor():
    vectors = torch.randn(30, 4, generator=torch.Generator().manual_seed(3))
    found, _ = balanced_kmeans([f"n{i:02d}" for i in range(30)], vectors, vectors[:3], 30, 1)
    nearest = squared_distances(vectors, vectors[:3]).argmin(1).tolist()
    assert [found[f"n{i:02d}"] for i in range(30)] == nearest


def test_without_a_limit_inertia_does_not_rise():
    """The mean vector of the members minimises it; RecEraser's released code takes a scalar mean instead."""
    vectors = torch.randn(40, 4, generator=torch.Generator().manual_seed(5))
    names = [f"n{i:02d}" for i in range(40)]
    inertia = []
    for rounds in range(1, 8):
        found, _ = balanced_kmeans(names, vectors, vectors[:4], 40, rounds)
        groups = [[i for i, n in enumerate(names) if found[n] == k] for k in range(4)]
        inertia.append(sum(((vectors[g] - vectors[g].mean(0)) ** 2).sum().item() for g in groups if g))
    assert all(b <= a + 1e-5 for a, b in pairwise(inertia))


def test_permuting_names_permutes_the_result():
    vectors = torch.randn(10, 2, generator=torch.Generator().manual_seed(1))
    one, _ = balanced_kmeans([f"n{i}" for i in range(10)], vectors, vectors[:2], 6, 10)
    two, _ = balanced_kmeans([f"n{9 - i}" for i in range(10)], vectors, vectors[:2], 6, 10)
    assert [one[f"n{i}"] for i in range(10)] == [two[f"n{9 - i}"] for i in range(10)]


def test_too_little_room_is_refused():
    with pytest.raises(PartitionError, match="hold 4, fewer than the 5"):
        balanced_kmeans([f"n{i}" for i in range(5)], torch.randn(5, 2), torch.randn(2, 2), 2, 3)


def clique(prefix, n):
    return [(f"{prefix}{i}", f"{prefix}{j}") for i in range(n) for j in range(i)]


@pytest.mark.parametrize("seed", range(6))
def test_label_propagation_finds_two_cliques(seed):
    """Room for one node more than half: nodes can get there through the waiting lists alone. (Even cliques that start
    divided in halves change sides as a whole in each round, in the published algorithm too.)"""
    nodes = sorted([f"a{i}" for i in range(7)] + [f"b{i}" for i in range(7)])
    found = balanced_label_propagation(nodes, clique("a", 7) + clique("b", 7), 2, 8, 100, seed)
    assert len({found[f"a{i}"] for i in range(7)}) == len({found[f"b{i}"] for i in range(7)}) == 1


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=40), st.integers(1, 4), st.integers(0, 9))
def test_label_propagation_keeps_its_bounds_and_its_nodes(pairs, k, seed):
    nodes = [f"n{i}" for i in range(10)]
    edges = [(f"n{a}", f"n{b}") for a, b in pairs if a != b]
    capacity = grapheraser_capacity(10, k)
    found = balanced_label_propagation(nodes, edges, k, capacity, 20, seed)
    assert sorted(found) == nodes and max(Counter(found.values()).values()) <= capacity
    start = balanced_label_propagation(nodes, [], k, capacity, 20, seed)
    alone = set(nodes) - {n for edge in edges for n in edge}
    assert all(found[n] == start[n] for n in alone)  # a node without neighbours stays
