"""Samples that join a run get their shards piece by piece; those that have one keep it."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_apa.core.errors import PartitionError
from recbole_apa.partition.assignment import Assignment
from recbole_apa.partition.bounded import assign_by_distance
from recbole_apa.partition.growth import assign_added

EAST, NORTH = (1.0, 0.0), (0.0, 1.0)
PRESENT = {"a1": 0, "a2": 0, "b1": 1, "b2": 1}
WHERE = {"a1": EAST, "a2": EAST, "b1": NORTH, "b2": NORTH}


def grown(joining, known=PRESENT, n_shards=2, where=WHERE):
    """The shards of samples that join those of ``known``; a sample's user is its first letter.

    Args:
        joining: sample -> piece and embedding.
    """
    points = {name: where[name] for name in known} | {name: point for name, (_, point) in joining.items()}
    ids, pieces = list(points), {name: piece for name, (piece, _) in joining.items()}
    embeddings = torch.tensor([points[name] for name in ids])
    found = assign_added(ids, [name[0] for name in ids], embeddings, pieces, Assignment(known, n_shards))
    assert found.n_shards == n_shards and {name: found.shard_of[name] for name in known} == known
    return {name: found.shard_of[name] for name in joining}


def test_a_known_user_stays_and_new_ones_are_walked():
    # of 7 samples a shard may have 4: after a3 there is room for one in shard 0
    joining = {"a3": (1, NORTH), "c1": (1, EAST), "c2": (1, (1.0, 0.2))}
    assert grown(joining) == {"a3": 0, "c1": 1, "c2": 0}


def test_a3_moves_the_mean_that_c1_is_compared_with():
    """In the test above: with a3 the mean of shard 0 is (2/3, 1/3), to which c2 is nearer than c1."""
    assert grown({"c1": (1, EAST), "c2": (1, (1.0, 0.2))}) == {"c1": 0, "c2": 1}


def test_of_two_shards_with_as_many_samples_the_first_is_the_user_s():
    known, where = {"a1": 1, "a2": 0, "b1": 1}, WHERE
    assert grown({"a3": (1, NORTH)}, known, 2, where) == {"a3": 0}
    assert grown({"a3": (1, NORTH)}, {**known, "a4": 1}, 2, {**where, "a4": EAST}) == {"a3": 1}


def test_what_joined_earlier_counts_for_the_user():
    joining = {"c1": (1, EAST), "c2": (2, NORTH), "c3": (3, NORTH)}
    assert grown(joining) == {"c1": 0, "c2": 0, "c3": 0}


def test_a_user_new_in_a_piece_is_new_for_all_of_it():
    # each of c's samples is walked by itself
    assert grown({"c1": (1, EAST), "c2": (1, NORTH)}) == {"c1": 0, "c2": 1}


def test_known_users_alone_need_no_walk():
    assert grown({f"a{i}": (1, NORTH) for i in range(3, 9)}) == {f"a{i}": 0 for i in range(3, 9)}


def test_there_is_room_for_all_however_full_a_shard_is():
    # 4 + 12 samples, at most 6 in each of 3 shards: 9 of a and 2 of b leave room for 0, 4 and 6
    joining = {f"a{i}": (1, NORTH) for i in range(3, 10)} | {f"c{i}": (1, EAST) for i in range(5)}
    found = grown(joining, PRESENT, 3)
    assert [found[f"a{i}"] for i in range(3, 10)] == [0] * 7
    # the mean of all, which is an empty shard's centre, is nearer to east than north is
    assert [found[f"c{i}"] for i in range(5)] == [2] * 5
    # 4 + 17: at most 7; the room is 0, 5 and 7
    joining = {f"a{i}": (1, NORTH) for i in range(3, 10)} | {f"c{i}": (1, EAST) for i in range(10)}
    assert [found for name, found in sorted(grown(joining, PRESENT, 3).items())] == [0] * 7 + [2] * 7 + [1] * 3


def test_equal_distances_are_broken_by_id_then_shard():
    known, where = {"a1": 0, "b1": 1}, {"a1": EAST, "b1": EAST}
    joining = dict.fromkeys(("f1", "c1", "e1", "d1"), (1, EAST))  # at most 3 in each
    assert grown(joining, known, 2, where) == {"c1": 0, "d1": 0, "e1": 1, "f1": 1}


def test_more_shards_than_samples():
    known, where = {"a1": 3}, {"a1": EAST}
    # at most one in each of five; an empty shard's centre is the mean of all, so all are equally near
    found = grown({"c1": (1, EAST), "c2": (1, EAST), "a2": (1, EAST)}, known, 5, where)
    assert found == {"a2": 3, "c1": 0, "c2": 1}


def brute_force(ids, users, embeddings, pieces, known, n_shards):
    """The same by what the definition says, pair by pair."""
    shard_of = dict(known)
    point = dict(zip(ids, embeddings, strict=True))
    user_of = dict(zip(ids, users, strict=True))
    for piece in sorted(set(pieces.values()) - {0}):
        new = sorted(name for name in ids if pieces[name] == piece)
        before = [name for name in ids if pieces[name] < piece]
        for name in new:
            own = [shard_of[n] for n in before if user_of[n] == user_of[name]]
            if own:
                shard_of[name] = max(range(n_shards), key=lambda k: (own.count(k), -k))
        there = sorted(name for name in shard_of if pieces[name] <= piece)
        sizes = [sum(shard_of[n] == k for n in there) for k in range(n_shards)]
        capacity, pairs = math.ceil((len(before) + len(new)) / n_shards), []
        for k in range(n_shards):
            members = [n for n in there if shard_of[n] == k] or there
            centre = torch.stack([point[n] for n in members]).mean(0).double()
            for name in new:
                if name not in there:
                    cosine = torch.nn.functional.cosine_similarity(point[name].double(), centre, dim=0, eps=0)
                    pairs.append((1 - float(cosine), name, k))
        for _, name, k in sorted(pairs):
            if name not in shard_of and sizes[k] < capacity:
                shard_of[name] = k
                sizes[k] += 1
    return shard_of


@st.composite
def growing(draw):
    """Sample ids, users, pieces and the shards of piece 0; few users, so that many are known."""
    n, n_shards, n_users = draw(st.integers(1, 40)), draw(st.integers(1, 6)), draw(st.integers(1, 12))
    ids = draw(st.permutations([f"s{i:02d}" for i in range(n)]))
    users = [f"u{draw(st.integers(0, n_users))}" for _ in ids]
    pieces = {name: draw(st.integers(0, 3)) for name in ids}
    pieces[ids[0]] = 0
    known = {name: draw(st.integers(0, n_shards - 1)) for name in ids if not pieces[name]}
    return ids, users, pieces, known, n_shards, draw(st.integers(0, 1000))


@settings(deadline=None, max_examples=150)
@given(growing())
def test_growth_is_what_the_definition_says(case):
    ids, users, pieces, known, n_shards, seed = case
    embeddings = torch.randn(len(ids), 5, generator=torch.Generator().manual_seed(seed))
    found = assign_added(ids, users, embeddings, pieces, Assignment(known, n_shards))
    assert found.shard_of == brute_force(ids, users, embeddings, pieces, known, n_shards)


@settings(deadline=None, max_examples=60)
@given(growing(), st.randoms())
def test_pieces_one_by_one_are_pieces_together_in_any_order(case, random):
    ids, users, pieces, known, n_shards, seed = case
    embeddings = torch.randint(-1, 2, (len(ids), 3), generator=torch.Generator().manual_seed(seed)).float() + 0.5
    together = assign_added(ids, users, embeddings, pieces, Assignment(known, n_shards))
    so_far = Assignment(known, n_shards)
    for piece in range(4):
        rows = [i for i, name in enumerate(ids) if pieces[name] <= piece]
        random.shuffle(rows)
        names, of_rows = [ids[i] for i in rows], [users[i] for i in rows]
        so_far = assign_added(names, of_rows, embeddings[rows], {n: p for n, p in pieces.items() if p}, so_far)
    assert so_far == together


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 40), st.lists(st.integers(0, 12), min_size=1, max_size=5), st.integers(0, 9), st.booleans())
def test_a_walk_into_shards_that_are_partly_full_equals_the_obvious_one(n, load, capacity, rounded):
    distance = torch.rand(n, len(load), generator=torch.Generator().manual_seed(n)).double()
    distance = distance.round(decimals=1) if rounded else distance
    ids = [f"s{(i * 37) % 101:03d}" for i in range(n)]
    expected, sizes = {}, list(load)
    for _, name, k in sorted((float(distance[i, k]), ids[i], k) for i in range(n) for k in range(len(load))):
        if name not in expected and sizes[k] < capacity:
            expected[name] = k
            sizes[k] += 1
    assert assign_by_distance(ids, distance, capacity, load) == expected


@pytest.mark.parametrize(
    ("pieces", "known"),
    [
        ({}, {}),  # nothing has a shard
        ({}, {"a": 0}),  # b is of the first piece as well
        ({"a": 1, "b": 1}, {"a": 0, "c": 0}),  # of piece 1 only one has
        ({"a": 2, "b": 1}, {"a": 0, "c": 0}),  # a later one has
    ],
)
def test_only_later_pieces_may_lack_shards(pieces, known):
    with pytest.raises(PartitionError, match=r"found no shard for sample [ab] of piece [01].*only later pieces"):
        assign_added(["a", "b", "c"], ["u", "v", "w"], torch.ones(3, 2), pieces, Assignment(known, 2))


def test_bad_embeddings_and_repeated_ids_are_refused():
    bad = torch.tensor([[1.0], [float("nan")]])
    with pytest.raises(PartitionError, match="sample b"):
        assign_added(["a", "b"], ["u", "v"], bad, {"b": 1}, Assignment({"a": 0}, 2))
    with pytest.raises(PartitionError, match="repeated sample ids"):
        assign_added(["a", "a"], ["u", "v"], torch.ones(2, 1), {}, Assignment({"a": 0}, 2))
