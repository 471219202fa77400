"""The partition of a run that grows is the one that replaying its pieces gives, byte for byte."""

from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch

from recbole_apa.core.errors import PartitionError
from recbole_apa.data.samples import Sample
from recbole_apa.model.contracts import FitInputs
from recbole_apa.model.fit_context import FitContext
from recbole_apa.model.make_partition import make_partition
from recbole_apa.partition import PARTITIONERS, Collaborative, Partition
from recbole_apa.partition.inherited import assignment_alone, with_own_centres
from recbole_apa.runs.store import RunStore

N_USERS, PER_USER = 9, 6
FILES = ("partition.json", "partition.safetensors")


def sample(user, nth):
    return Sample(f"u{user}:i{nth}:{10 * nth + user}", f"u{user}", f"i{nth}", nth % 2, ())


SAMPLES = [sample(user, nth) for user in (4, 1, 7, 0, 3, 8, 2, 6, 5) for nth in range(PER_USER)]
"""In an order of users that is not that of their names; users 6 to 8 join in piece 1 or 2."""
EMBEDDING = {s.sample_id: torch.randn(5, generator=torch.Generator().manual_seed(i)) for i, s in enumerate(SAMPLES)}


def piece_of(one):
    """Users 0 to 5 have samples in pieces 0 and 1, user 6 in 1, user 7 in 1 and 2, user 8 in 2 alone."""
    user, nth = int(one.user_id[1:]), int(one.item_id[1:])
    if user < 6:
        return int(nth > 3)
    return {6: 1, 7: 1 + int(nth > 2), 8: 2}[user]


PIECES = {s.sample_id: piece_of(s) for s in SAMPLES if piece_of(s)}
KINDS = [
    {},
    {"partition": "random"},
    {"partition": "user"},
    {"partition": "interaction"},
    {"n_shards": None, "shard_size": 10},
    {"n_shards": 40},
    {"n_shards": 1},
    {"shard_capacity": 20},
]


def collaborative(name, dataset, run):
    """Vectors of users and items; as a model of all rows, whatever the samples are."""
    vectors = torch.randn(N_USERS + PER_USER, 4, generator=torch.Generator().manual_seed(7))
    users = {f"u{i}": vectors[i] for i in range(N_USERS)}
    items = {f"i{i}": vectors[N_USERS + i] for i in range(PER_USER)}
    of = {s.sample_id: s for s in dataset.samples}
    return Collaborative({n: s.user_id for n, s in of.items()}, {n: s.item_id for n, s in of.items()}, users, items)


def partition_of(samples, pieces, folder=None, **options):
    """What a training with these options divides the samples into; a stored partition is in ``folder``."""
    given = {"n_shards": 4, "shard_size": None, "shard_capacity": None, "partition": "semantic", **options}
    settings = SimpleNamespace(partition=SimpleNamespace(partition_fit="samples", **given), seed=3)
    store = folder and RunStore(folder)
    inputs = FitInputs(pieces=pieces, collaborative=collaborative)
    fit = FitContext(SimpleNamespace(settings=settings), store=store, inputs=inputs)
    return make_partition(fit, SimpleNamespace(samples=samples), embeddings_of(samples))


def embeddings_of(samples):
    return torch.stack([EMBEDDING[s.sample_id] for s in samples])


def up_to(piece):
    return [s for s in SAMPLES if piece_of(s) <= piece]


def stored(folder):
    return [(folder / name).read_bytes() for name in FILES]


def means_of(partition, samples):
    return with_own_centres(partition, [s.sample_id for s in samples], embeddings_of(samples)).centres


@pytest.mark.parametrize("options", KINDS)
def test_growing_piece_by_piece_is_replaying_all(options, tmp_path):
    grown, states = tmp_path / "grown", []
    grown.mkdir()
    for piece in range(3):
        anew = tmp_path / f"anew{piece}"
        anew.mkdir()
        samples = up_to(piece)
        one = partition_of(samples, PIECES, grown, **options)
        other = partition_of(list(samples), PIECES, anew, **options)
        assert one.shard_of == other.shard_of and torch.equal(one.centres, other.centres)
        assert stored(grown) == stored(anew)
        states.append(one)
    for before, after in pairwise(states):
        assert before.shard_of.items() <= after.shard_of.items() and before.n_shards == after.n_shards
    assert torch.equal(states[2].centres, means_of(states[2], SAMPLES))
    together = partition_of(SAMPLES, PIECES, **options)
    assert together.shard_of == states[2].shard_of and torch.equal(together.centres, states[2].centres)


@pytest.mark.parametrize("options", KINDS[:4])
def test_piece_0_alone_is_what_the_option_gives(options):
    samples = up_to(0)
    ids, given = [s.sample_id for s in samples], {"partition": "semantic", **options}
    kind = PARTITIONERS[given["partition"]]
    partitioner = kind.made_with(collaborative("", SimpleNamespace(samples=samples), None))
    expected = partitioner(ids, embeddings_of(samples), 4, -(-len(ids) // 4), 3)
    for pieces in ({}, PIECES):
        found = partition_of(samples, pieces, **options)
        assert found.shard_of == expected.shard_of and torch.equal(found.centres, expected.centres)
    whole = partition_of(SAMPLES, PIECES, **options)
    assert {name: whole.shard_of[name] for name in ids} == expected.shard_of


def test_a_user_of_two_pieces_stays_in_one_shard():
    found = partition_of(SAMPLES, PIECES).shard_of
    for user in range(6):
        own = [s for s in SAMPLES if s.user_id == f"u{user}"]
        before = [found[s.sample_id] for s in own if not piece_of(s)]
        most = max(range(4), key=lambda k: (before.count(k), -k))
        assert {found[s.sample_id] for s in own if piece_of(s)} == {most}


def test_the_number_of_shards_is_that_of_piece_0():
    assert partition_of(SAMPLES, PIECES, n_shards=None, shard_size=10).n_shards == -(-len(up_to(0)) // 10)
    assert partition_of(SAMPLES, {}, n_shards=None, shard_size=10).n_shards == -(-len(SAMPLES) // 10)


def test_without_piece_0_the_first_that_is_left_is_divided():
    left = [s for s in SAMPLES if piece_of(s)]
    found = partition_of(left, PIECES, n_shards=None, shard_size=6)
    first = [s for s in left if piece_of(s) == 1]
    alone = partition_of(first, {}, n_shards=None, shard_size=6)
    assert found.n_shards == alone.n_shards == -(-len(first) // 6)
    assert {s.sample_id: found.shard_of[s.sample_id] for s in first} == alone.shard_of
    # all of one piece, but not of the first: its centres are means all the same
    later = partition_of(first, PIECES, n_shards=None, shard_size=6)
    assert later.shard_of == alone.shard_of and torch.equal(later.centres, means_of(later, first))


def test_a_stored_partition_of_all_stays(tmp_path):
    shard_of = {s.sample_id: i % 4 for i, s in enumerate(SAMPLES)}
    RunStore(tmp_path).save_partition(Partition(shard_of, torch.ones(4, 5)))
    before = stored(tmp_path)
    found = partition_of(SAMPLES, PIECES, tmp_path)
    assert found.shard_of == shard_of and torch.equal(found.centres, torch.ones(4, 5)) and stored(tmp_path) == before


def test_an_assignment_without_centres_gets_the_means(tmp_path):
    """As an inherited request leaves it: some samples are gone, none is new."""
    left = [s for i, s in enumerate(SAMPLES) if i % 5]
    whole = partition_of(SAMPLES, PIECES)
    kept = assignment_alone(whole, {s.sample_id for s in left})
    RunStore(tmp_path).save_partition(kept)
    found = partition_of(left, PIECES, tmp_path)
    assert found.shard_of == kept.shard_of and torch.equal(found.centres, means_of(kept, left))


def test_an_addition_after_a_request_extends_what_it_left(tmp_path):
    """Piece 2 joins when some samples are forgotten: the others keep their shards, and no replay is the same."""
    whole = partition_of(up_to(1), PIECES)
    left = [s for i, s in enumerate(SAMPLES) if i % 5]
    kept = assignment_alone(whole, {s.sample_id for s in left})
    RunStore(tmp_path).save_partition(kept)
    found = partition_of(left, PIECES, tmp_path)
    assert kept.shard_of.items() < found.shard_of.items() and found.shard_of.keys() == {s.sample_id for s in left}
    for one in left:
        before = [kept.shard_of[s.sample_id] for s in left if s.user_id == one.user_id and piece_of(s) < 2]
        if piece_of(one) == 2 and before:
            assert found.shard_of[one.sample_id] == max(range(4), key=lambda k: (before.count(k), -k))
    assert torch.equal(found.centres, means_of(found, left))


def test_a_stored_partition_that_lacks_a_sample_of_an_earlier_piece_is_refused(tmp_path):
    shard_of = {s.sample_id: 0 for s in up_to(0)[1:]}
    RunStore(tmp_path).save_partition(Partition(shard_of, torch.ones(4, 5)))
    with pytest.raises(PartitionError, match=r"found no shard for sample .* of piece 0"):
        partition_of(SAMPLES, PIECES, tmp_path)


def test_the_order_of_later_pieces_samples_does_not_matter():
    """Nor that of all, with an option that is not the sum of many embeddings."""
    one = partition_of(SAMPLES, PIECES, partition="random")
    other = partition_of(SAMPLES[::-1], PIECES, partition="random")
    assert one.shard_of == other.shard_of and torch.equal(one.centres, other.centres)
