"""The draw by hash of sample ids, ids and windows by columns, equal to slow loops over names."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_apa.core.seeding import NONE_DRAWN, draw_cutoff, draw_hash
from recbole_apa.data import draw, samples
from recbole_apa.data.draw import draw_rows
from recbole_apa.data.forgotten import ITEM, PAIR, ROW, USER, Digester, Forgotten, Scope, digests_of
from recbole_apa.data.samples import Interactions, order_windows, time_texts
from recbole_apa.data.tokens import Tokens
from recbole_apa.data.visible_data import VisibleData, key_of
from recbole_apa.evidence import Key
from tests.helpers.drawn import is_drawn

few = settings(deadline=None, max_examples=100)
names = st.sampled_from(["u", "v", "u:v", "é", "", "#2", "u#2", "NA", "%3A", "u%3Av", "100%"])
times = st.sampled_from([0.0, -0.0, 1.0, 1.5, -3.0, 881250949.0, 1e17, 0.1 + 0.2])
tables = st.lists(st.tuples(names, names, st.integers(0, 1), times), max_size=30)


def interactions(table, timed=True):
    users, items, labels, when = zip(*table, strict=True) if table else ((), (), (), ())
    stamps = np.array(when, dtype=np.float64) if timed else None
    return Interactions(users, items, np.array(labels, dtype=np.int64), stamps)


def word(token):
    """A token as ids hold it."""
    marked = ":" in token or "#" in token or "%25" in token or "%3A" in token or "%23" in token
    return "".join({"%": "%25", ":": "%3A", "#": "%23"}.get(mark, mark) for mark in token) if marked else token


def slow_ids(table, timed):
    """``user:item:time``, and ``#2`` and on for what was there before."""
    seen, out = {}, []
    for user, item, _, time in table:
        text = f":{int(time)}" if float(time).is_integer() else f":{time!r}"
        key = f"{word(user)}:{word(item)}" + (text if timed else "")
        parts = (user, item, float(time) if timed else None)
        seen[parts] = seen.get(parts, 0) + 1
        out.append(key if seen[parts] == 1 else f"{key}#{seen[parts]}")
    return out


@few
@given(tables, st.booleans(), st.randoms())
def test_ids_are_those_of_the_slow_loop(table, timed, random):
    rows = interactions(table, timed)
    right = slow_ids(table, timed)
    assert rows.row_ids(np.arange(len(table))) == right and len(set(right)) == len(table)
    some = np.array(random.sample(range(len(table)), len(table) // 2), dtype=np.int64)
    assert rows.row_ids(some) == [right[row] for row in some]
    assert [rows.row_id(row) for row in range(len(table))] == right
    assert [rows.row_key(row) for row in range(len(table))] == rows.row_keys(np.arange(len(table)))


@few
@given(tables, st.booleans(), st.integers(1, 7))
def test_ids_in_chunks_are_the_same(table, timed, size):
    rows = interactions(table, timed)
    order = np.arange(len(table))[::-1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(samples, "CHUNK", size)
        chunks = list(rows.id_chunks(order))
    assert [row for part, _ in chunks for row in part] == order.tolist()
    assert [name for _, ids in chunks for name in ids] == rows.row_ids(order)
    assert all(len(ids) <= size for _, ids in chunks)


def test_the_time_of_an_id_does_not_depend_on_its_neighbours():
    values = [0.0, 5.0, 1e17, 2.5, -1.0, 2.0**53 + 2]
    assert time_texts(np.array(values)) == [text for value in values for text in time_texts(np.array([value]))]
    assert time_texts(np.array([])) == []


@few
@given(
    tables, st.booleans(), st.sampled_from([None, 0, 1, 2, 5, 29, 30, 100]), st.randoms(), st.sampled_from([None, 7])
)
def test_the_draw_is_that_of_the_whole_list_of_ids(table, timed, size, random, seed):
    rows = interactions(table, timed)
    eligible = np.array(random.sample(range(len(table)), len(table) * 2 // 3), dtype=np.int64)
    ids = [slow_ids(table, timed)[row] for row in eligible]
    cutoff = draw_cutoff(ids, size, seed)
    right = [row for row, name in zip(eligible.tolist(), ids, strict=True) if is_drawn(name, cutoff, seed)]
    for mask in (2**64 - 1, 0xFF << 56, 0):  # whole heads, heads that often tie, heads that all do
        with pytest.MonkeyPatch.context() as patch:
            real = draw._heads
            patch.setattr(draw, "_heads", lambda *names, real=real, mask=mask: real(*names) & np.uint64(mask))
            drawn, found = draw_rows(rows, eligible, size, seed)
        assert found == cutoff and drawn.tolist() == right
    if size is not None:
        assert len(right) == min(size, len(ids))


def test_no_row_and_size_0_draw_nothing_now_and_later():
    rows = interactions([])
    nothing = np.zeros(0, dtype=np.int64)
    assert draw_rows(rows, nothing, 0)[1] == draw_cutoff([], 0) == NONE_DRAWN
    assert draw_rows(rows, nothing, None)[1] is draw_cutoff([], None) is None
    assert draw_rows(rows, nothing, 3)[1] is draw_cutoff([], 3) is None


def test_heads_are_the_first_eight_bytes_of_the_hash():
    ids = ["u:i:1", "", "é:影", "u:i#2"]
    for seed in (None, 0, 2021):
        heads = [f"{head:016x}" for head in draw._heads(ids, seed).tolist()]
        assert heads == [draw_hash(name, seed)[:16] for name in ids]
    assert len(draw._heads([])) == 0


@few
@given(tables, st.booleans())
def test_windows_are_each_users_rows_by_time(table, timed):
    rows = interactions(table, timed)
    windows = order_windows(rows.users, rows.times)
    users = list(dict.fromkeys(user for user, *_ in table))
    own = {user: [row for row in range(len(table)) if table[row][0] == user] for user in users}
    if timed:
        own = {user: sorted(found, key=lambda row: table[row][3]) for user, found in own.items()}
    order = [row for user in users for row in own[user]]
    assert windows.order.tolist() == order
    assert windows.place.tolist() == [order.index(row) for row in range(len(table))]
    assert windows.n_before.tolist() == [own[table[row][0]].index(row) for row in range(len(table))]
    for row in range(len(table)):
        found = own[table[row][0]]
        assert windows.history(row, 3).tolist() == found[: found.index(row)][-3:]


# --- encoded columns --------------------------------------------------------------------------------------------------


@few
@given(st.lists(names, max_size=20), st.lists(names, max_size=20), st.randoms())
def test_encoded_texts_are_the_texts(one, other, random):
    column = Tokens.of(one)
    assert list(column) == column.texts() == one and len(column) == len(one)
    assert column.names == list(dict.fromkeys(one)) and Tokens.of(column) is column
    assert list(Tokens.joined([column, Tokens.of(other)])) == one + other
    rows = np.array(random.sample(range(len(one)), len(one) // 2), dtype=np.int64)
    part = column.take(rows)
    assert list(part) == [one[row] for row in rows]
    assert list(column[2:7]) == one[2:7]
    assert part.where("u").tolist() == [text == "u" for text in part]
    ranks, n = part.ranked()  # names that no row holds any more do not count
    left = list(dict.fromkeys(part))
    assert n == len(left) and ranks.tolist() == [left.index(text) for text in part]


def test_names_may_stand_twice_when_columns_are_joined():
    twice = Tokens(np.array([0, 1, 2]), ["a", "b", "a"])
    assert twice.where("a").tolist() == [True, False, True]
    assert Tokens.joined([twice]).names == ["a", "b"]


# --- what a run may see -----------------------------------------------------------------------------------------------

scopes = st.lists(st.tuples(st.sampled_from([USER, ITEM, PAIR, ROW]), st.integers(0, 29)), max_size=4)


@few
@given(tables, scopes)
def test_rows_are_hidden_by_name_and_no_others(table, asked):
    hidden, gone = [], set()
    for kind, nth in asked:
        if not table:
            continue
        user, item, _, time = table[nth % len(table)]
        given_names = {USER: (user,), ITEM: (None, item), PAIR: (user, item), ROW: (user, item, time)}[kind]
        hidden.append(Scope(kind, *given_names))
        for row, (u, i, _, t) in enumerate(table):
            same = {
                USER: u == user,
                ITEM: i == item,
                PAIR: (u, i) == (user, item),
                ROW: (u, i, t) == (user, item, time),
            }
            gone |= {row} if same[kind] else set()
    for key in (None, Key(b"k" * 32)):
        known = digests_of(hidden, Digester("salt", key))
        visible_data = VisibleData((Forgotten(Digester("salt", key), scopes=known),))
        assert visible_data.visible(interactions(table)).tolist() == [row not in gone for row in range(len(table))]
        for other in (Digester("other", key), Digester("salt", Key(b"l" * 32))):
            assert VisibleData((Forgotten(other, scopes=known),)).visible(interactions(table)).all()


def test_the_key_of_an_id_leaves_out_the_repeat_alone():
    rows = interactions([("u", "i", 1, 5.0)] * 3 + [("u", "#2", 1, 1.5)])
    ids = rows.row_ids(np.arange(4))
    assert [key_of(name) for name in ids] == rows.row_keys(np.arange(4))
