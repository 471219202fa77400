import hashlib

import torch
from hypothesis import given
from hypothesis import strategies as st

from recbole_apa.core.seeding import derive_seed, draw_cutoff, draw_hash, generator_for, hash_order
from tests.helpers.drawn import is_drawn

ids = st.lists(st.text(max_size=6), unique=True, min_size=1, max_size=30)


@given(ids, st.integers(0, 5), st.data())
def test_removing_an_id_keeps_the_order_of_the_others(names, epoch, data):
    gone = data.draw(st.sampled_from(names))
    before = [names[i] for i in hash_order(names, 3, "epoch", epoch)]
    rest = [n for n in names if n != gone]
    assert [rest[i] for i in hash_order(rest, 3, "epoch", epoch)] == [n for n in before if n != gone]


@given(ids, st.randoms())
def test_order_does_not_depend_on_positions(names, random):
    shuffled = list(names)
    random.shuffle(shuffled)
    assert [names[i] for i in hash_order(names, 0, "a")] == [shuffled[i] for i in hash_order(shuffled, 0, "a")]


@given(ids, st.integers(1, 40))
def test_cutoff_draws_exactly_n_and_each_row_by_itself(names, n):
    cutoff = draw_cutoff(names, n)
    drawn = [x for x in names if is_drawn(x, cutoff)]
    assert len(drawn) == min(n, len(names))
    # forgetting a drawn row brings no other in
    assert [x for x in names[1:] if is_drawn(x, cutoff)] == [x for x in drawn if x != names[0]]


def test_seeds_differ_by_name_and_names_do_not_run_together():
    assert derive_seed(1, "ab", "c") != derive_seed(1, "a", "bc")
    assert derive_seed(1, "x") != derive_seed(2, "x")


def test_generator_leaves_the_global_one_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    torch.rand(100, generator=generator_for(1, "x"))
    assert torch.equal(torch.rand(3), expected)


def test_a_draw_of_none_draws_none():
    cutoff = draw_cutoff(["a", "b"], 0)
    assert cutoff is not None and not any(is_drawn(name, cutoff) for name in ("a", "b", ""))


def test_a_cutoff_is_nobodys_hash():
    """It outlives the sample that it was taken from, and ids are few enough to be tried."""
    names = [f"u{n}:i{n % 7}:{n}" for n in range(300)]
    cutoff = draw_cutoff(names, 40)
    assert sum(is_drawn(name, cutoff) for name in names) == 40
    assert cutoff not in {draw_hash(name) for name in names} and cutoff.rstrip("f") != cutoff[:20]


def test_the_default_draw_stays_and_another_seed_is_another_draw():
    """The first is what runs have been drawn by from the beginning: SHA-256 of the two names with their lengths."""
    told = (4).to_bytes(8, "big") + b"draw" + (7).to_bytes(8, "big") + b"u1:i2:3"
    assert draw_hash("u1:i2:3") == draw_hash("u1:i2:3", None) == hashlib.sha256(told).hexdigest()
    names = [f"u{n}" for n in range(200)]
    drawn = {seed: [n for n in names if is_drawn(n, draw_cutoff(names, 50, seed), seed)] for seed in (None, 0, 1)}
    assert all(len(found) == 50 for found in drawn.values())
    for one, other in ((None, 0), (None, 1), (0, 1)):
        assert 2 < len(set(drawn[one]) & set(drawn[other])) < 25  # 12.5 expected of independent draws
