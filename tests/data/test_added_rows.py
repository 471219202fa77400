"""Rows that join a run: their splits, their samples, and what histories of added training samples leave out."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_apa.core.seeding import draw_hash
from recbole_apa.data.added_rows import NewRows, grown_rows, roles_of
from recbole_apa.data.grown_windows import GrownWindows
from recbole_apa.data.index.additions import added_at, in_one_piece, next_piece, pieces_of
from recbole_apa.data.index.facts import Addition
from recbole_apa.data.index.rows import DRAWN, KEPT, NO_ROLE, TEST, TRAIN, VALID
from recbole_apa.data.read_data import read_sides
from recbole_apa.data.recbole_split import SplitSettings
from recbole_apa.data.samples import order_windows
from recbole_apa.data.splits import SPLITS
from recbole_apa.data.tokens import Tokens
from tests.helpers.run_data import Case, told_rows

BY_USER = SplitSettings("TO", "RS", [0.8, 0.1, 0.1], True, 1)


@pytest.fixture(scope="module")
def case(options):
    return Case("board", options)


@pytest.fixture(scope="module")
def whole(case):
    return case.of_files()


def new_rows(*rows):
    users, items, times, values = zip(*rows, strict=True)
    return NewRows(Tokens.of(users), Tokens.of(items), np.array(times, dtype=float), np.array(values, dtype=float))


def grown_by(case, before, new, piece=1):
    addition = Addition(len(new.values), 0, 3, piece)
    sides = read_sides(case.options.files, case.stem)
    rows = grown_rows(before, sides, new, addition)
    return case.of_index(rows, before.cutoffs, additions=(*before.additions, addition)), rows


def later(n, user="u1", start=90_000):
    return new_rows(*((user, f"i{i % 20}", start + i, 5.0 - i % 2 * 3) for i in range(n)))


def test_shares_are_those_of_the_split_within_the_addition():
    users = Tokens.of(["a"] * 10 + ["b"] * 10)
    roles = roles_of(users, np.r_[np.arange(10)[::-1], np.arange(10)].astype(float), BY_USER)
    assert roles.tolist() == [TEST, VALID, *[TRAIN] * 8, *[TRAIN] * 8, VALID, TEST]
    assert roles_of(users, None, replace(BY_USER, by_user=False)).tolist() == [TRAIN] * 16 + [VALID] * 2 + [TEST] * 2


@pytest.mark.parametrize("mode, value", [("LS", "valid_and_test"), ("TS", [0.8, 0.1, 0.1])])
def test_splits_without_shares_take_training_rows(mode, value):
    users = Tokens.of(["a"] * 10)
    assert (roles_of(users, None, SplitSettings("TO", mode, value, True, 1)) == TRAIN).all()
    assert (roles_of(users, None, None) == TRAIN).all()


def test_what_the_run_has_stays_and_added_rows_are_settled(case, whole):
    made, rows = grown_by(case, whole, later(20))
    old = rows.since == 0
    before = whole.index_rows()
    assert np.array_equal(rows.roles[old], before.roles) and np.array_equal(rows.flags[old], before.flags)
    assert rows.places[~old].tolist() == list(range(len(before), len(before) + 20))
    assert np.bincount(rows.roles[~old]).tolist() == [16, 2, 2]
    for name in SPLITS:
        known = {s.sample_id for s in whole.samples[name]}
        assert [s for s in made.samples[name] if s.sample_id in known] == whole.samples[name]
    assert told_rows(made.raw.take(np.flatnonzero(made.notes.since == 0))) == told_rows(whole.raw)


@pytest.mark.parametrize("seed", [None, 5])
def test_the_run_s_cutoff_decides_which_added_rows_are_samples(seed, options):
    case = Case("board", {**options, "draw_seed": seed})
    whole = case.of_files()
    made, rows = grown_by(case, whole, later(300))
    assert whole.cutoffs["train"] is not None  # 30 of more were drawn; of the others all
    for role, name in enumerate(SPLITS):
        cutoff = whole.cutoffs[name]
        mine = np.flatnonzero((rows.since == 1) & (rows.roles == role))
        wanted = {id_ for id_ in made.raw.row_ids(mine) if cutoff is None or draw_hash(id_, seed) <= cutoff}
        assert wanted == {s.sample_id for s in made.samples[name]} - {s.sample_id for s in whole.samples[name]}
        assert 0 < len(wanted) < len(mine) if cutoff else len(wanted) == len(mine)


def test_histories_of_added_training_samples_leave_out_what_is_judged(case, whole):
    made, _ = grown_by(case, whole, later(300))
    judged = {s.sample_id for name in SPLITS[1:] for s in made.samples[name]}
    of_user = {name for name in judged if name.startswith("u1:")}
    assert of_user & {s.sample_id for name in SPLITS[1:] for s in whole.samples[name]}
    added = [s for s in made.samples["train"] if s.sample_id in made.pieces]
    assert added and all(not judged & {e.interaction_id for e in s.history} for s in added)
    # planted: without the rule, the first added samples would show them
    plain = order_windows(made.rows.users, made.rows.times)
    first = int(np.flatnonzero(made.notes.since[made.kept] == 1)[0])
    shown = set(made.rows.row_ids(plain.history(first, 40)))
    assert shown & judged and not set(made.rows.row_ids(made.windows.history(first, 40))) & judged
    # those that are judged show what came before them
    later_judged = [s for s in made.samples["test"] if s.sample_id not in {x.sample_id for x in whole.samples["test"]}]
    assert all(len(s.history) == 4 for s in later_judged)


def test_rows_that_no_filter_lets_through_have_no_split(case, whole, options):
    strict = Case("board", {**options, "filter_inter_by_user_or_item": True})
    before = strict.of_files()
    made, rows = grown_by(strict, before, new_rows(("u1", "unknown", 95_000, 5), ("u1", "i3", 95_001, 5)))
    assert rows.roles[-2:].tolist() == [NO_ROLE, TRAIN] and not rows.flags[-2] & (KEPT | DRAWN)
    assert len(made.rows) == len(before.rows) + 1


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_windows_against_a_walk(data):
    n = data.draw(st.integers(1, 30))
    users = data.draw(st.lists(st.sampled_from("abc"), min_size=n, max_size=n))
    times = np.array(data.draw(st.lists(st.integers(0, 5), min_size=n, max_size=n)), dtype=float)
    passing = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    judged = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    plain = order_windows(users, times)
    made = GrownWindows(plain.order, plain.place, plain.n_before, passing, judged)
    for row in range(n):
        earlier = [r for r in sorted(range(n), key=lambda r: (times[r], r)) if users[r] == users[row]]
        earlier = earlier[: earlier.index(row)]
        shown = [r for r in earlier if not (passing[row] and judged[r])]
        assert made.n_history[row] == len(shown)
        for length in (1, 3, 40):
            assert made.history(row, length).tolist() == shown[-length:]


def test_what_additions_say_of_rows():
    since = np.array([0, 2, 1, 0])
    both = (Addition(1, 0, 4, 1), Addition(1, 0, 9, 2))
    assert added_at(since, both).tolist() == [0, 9, 4, 0] and added_at(since, ()) is None
    assert pieces_of(since, both).tolist() == [0, 2, 1, 0] and next_piece(both) == 3
    assert pieces_of(since, in_one_piece(both)).tolist() == [0] * 4 and next_piece(in_one_piece(both)) == 1
    assert added_at(since, in_one_piece(both)).tolist() == [0, 9, 4, 0] and next_piece(()) == 1
