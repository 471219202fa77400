"""Rows a block at a time: the same as all at once, in less memory."""

import tracemalloc
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_apa.data import draw, recbole_split, row_blocks, samples, tokens
from recbole_apa.data.index import places
from recbole_apa.data.recbole_split import SplitSettings, split_rows
from recbole_apa.data.samples import Interactions, order_windows
from recbole_apa.data.tokens import Tokens

codes_of_few = st.lists(st.integers(0, 6), max_size=40).map(lambda codes: np.array(codes, dtype=np.int32))


@given(codes_of_few, st.integers(1, 12))
def test_each_code_is_whole_in_one_block_in_order(codes, size):
    blocks = list(row_blocks.row_blocks(codes, 7, size))
    assert all(len(rows) and (np.diff(rows) > 0).all() for rows in blocks)
    assert sorted(np.concatenate([np.zeros(0, int), *blocks]).tolist()) == list(range(len(codes)))
    assert all(codes[a].max() < codes[b].min() for a, b in pairwise(blocks))
    assert all(len(rows) <= size or len(set(codes[rows].tolist())) == 1 for rows in blocks)
    assert row_blocks.counts(codes, 7, size).tolist() == np.bincount(codes, minlength=7).tolist()


@given(codes_of_few)
def test_rows_of_parts_are_those_of_each_part(codes):
    blocks = partial(row_blocks.row_blocks, size=5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(places, "row_blocks", blocks)
        found = [rows.tolist() for rows in places.rows_of_parts(codes, 8)]
    assert found == [np.flatnonzero(codes == part).tolist() for part in range(8)]


@pytest.fixture
def few_at_a_time(monkeypatch):
    monkeypatch.setattr(samples, "row_blocks", partial(row_blocks.row_blocks, size=20))
    monkeypatch.setattr(recbole_split, "BLOCK", 20)
    monkeypatch.setattr(tokens, "BLOCK", 20)
    monkeypatch.setattr(samples, "CHUNK", 20)
    monkeypatch.setattr(draw, "CHUNK", 20)


@pytest.mark.parametrize("seed", range(4))
def test_blocks_change_no_order_no_split_and_no_id(few_at_a_time, seed):
    rng = np.random.default_rng(seed)
    users, items = (Tokens.of(map(str, rng.integers(size, size=400).tolist())) for size in (30, 5))
    times = rng.integers(9, size=400).astype(np.float64)
    rows = Interactions(users, items, np.zeros(400, dtype=np.int8), times)
    ranks = list(dict.fromkeys(users.texts()))
    windows = order_windows(users, times)
    right = sorted(range(400), key=lambda row: (ranks.index(users[row]), times[row], row))
    assert windows.order.tolist() == right
    assert windows.order[windows.place].tolist() == list(range(400))
    of_user = [[row for row in right if users[row] == users[target]] for target in range(400)]
    assert windows.n_before.tolist() == [rows.index(target) for target, rows in enumerate(of_user)]
    first_in_time = list(dict.fromkeys(users[row] for row in np.argsort(times, kind="stable").tolist()))
    split = split_rows(users, times, SplitSettings("TO", "LS", "valid_and_test", True, 0), windows)
    last = {user: [row for row in right if users[row] == user] for user in first_in_time}
    assert [part.tolist() for part in split] == [
        [row for own in last.values() for row in (own[:-2] or own[:1])],
        [own[-2] for own in last.values() if len(own) > 2],
        [own[-1] for own in last.values() if len(own) > 1],
    ]
    seen: dict[str, int] = {}
    for row, (key, name) in enumerate(zip(rows.row_keys(np.arange(400)), rows.row_ids(np.arange(400)), strict=True)):
        seen[key] = seen.get(key, 0) + 1
        assert name == (key if seen[key] == 1 else f"{key}#{seen[key]}"), row
    assert max(seen.values()) > 1


@pytest.mark.parametrize("size", [1, 19, 50, 399])
def test_a_draw_of_many_rows_is_that_of_all_hashes(few_at_a_time, size):
    users = Tokens.of(map(str, range(400)))
    rows = Interactions(users, users, np.zeros(400, dtype=np.int8), None)
    eligible = np.random.default_rng(0).permutation(400)
    drawn, cutoff = draw.draw_rows(rows, eligible, size)
    hashes = [draw.draw_hash(rows.row_id(row)) for row in eligible.tolist()]
    lowest = set(sorted(hashes)[:size])
    assert drawn.tolist() == [row for row, found in zip(eligible.tolist(), hashes, strict=True) if found in lowest]
    assert sorted(hashes)[size - 1] <= str(cutoff) < sorted(hashes)[size]


def test_ordering_and_splitting_take_few_bytes_a_row(monkeypatch):
    n = 400_000
    monkeypatch.setattr(samples, "row_blocks", partial(row_blocks.row_blocks, size=n // 50))
    monkeypatch.setattr(recbole_split, "BLOCK", n // 50)
    rng = np.random.default_rng(0)
    users = Tokens(rng.integers(2_000, size=n).astype(np.int32), [str(user) for user in range(2_000)])
    rows = Interactions(users, users, np.zeros(n, dtype=np.int8), rng.random(n))
    settings = SplitSettings("TO", "RS", [0.8, 0.1, 0.1], True, 0)
    tracemalloc.start()
    try:
        windows = order_windows(rows.users, rows.times)
        split_rows(rows.users, rows.times, settings, windows)
        rows.row_ids(np.arange(1))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert windows.order.dtype == np.int32
    assert peak < 32 * n  # 16 of them are windows and split; 125 if all rows are sorted at once
