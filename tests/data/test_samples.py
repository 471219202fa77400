import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_apa.core.errors import DataError
from recbole_apa.data.item_text import item_columns, write_item
from recbole_apa.data.samples import Interactions, make_sample, order_windows
from recbole_apa.data.splits import draw_split, tallrec_split
from recbole_apa.data.visible_data import VisibleData

rows = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 6), st.integers(0, 1)), min_size=1, max_size=40)


def interactions(table, times=True):
    users = [f"u{u}" for u, _, _ in table]
    when = np.array([float(t) for _, t, _ in table]) if times else None
    return Interactions(users, [f"i{n}" for n in range(len(table))], np.array([y for *_, y in table]), when)


@given(rows, st.integers(1, 5), st.booleans())
def test_history_equals_the_obvious_scan(table, length, times):
    data = interactions(table, times)
    windows = order_windows(data.users, data.times)
    for row in range(len(table)):
        when = (lambda r: (table[r][1], r)) if times else (lambda r: r)
        earlier = sorted(
            (r for r in range(len(table)) if table[r][0] == table[row][0] and when(r) < when(row)), key=when
        )
        sample = make_sample(data, windows, row, length)
        assert [e.item_id for e in sample.history] == [f"i{r}" for r in earlier[-length:]]
        assert [e.label for e in sample.history] == [table[r][2] for r in earlier[-length:]]
        assert windows.n_before[row] == len(earlier)


def test_sample_ids_are_stable_when_other_rows_go():
    table = [("a", 5, 1), ("b", 5, 0), ("a", 6, 1)]
    whole, rest = interactions(table), interactions(table)
    rest = Interactions(rest.users[1:], rest.items[1:], rest.labels[1:], rest.times[1:])
    assert [whole.row_id(r) for r in (1, 2)] == [rest.row_id(r) for r in (0, 1)] == ["ub:i1:5", "ua:i2:6"]


def test_repeated_interactions_get_ids_of_their_own():
    data = Interactions(["u"] * 3, ["i"] * 3, np.array([1, 0, 1]), np.array([7.0, 7.0, 8.5]))
    assert [data.row_id(r) for r in range(3)] == ["u:i:7", "u:i:7#2", "u:i:8.5"]
    timeless = Interactions(["u", "u"], ["i", "i"], np.array([1, 0]), None)
    assert [timeless.row_id(r) for r in range(2)] == ["u:i", "u:i#2"]


def test_sample_digest_changes_when_the_history_is_rewritten():
    data = interactions([("a", 1, 1), ("a", 2, 0), ("a", 3, 1)])
    windows = order_windows(data.users, data.times)
    assert make_sample(data, windows, 2, 2).digest() != make_sample(data, windows, 2, 1).digest()
    assert make_sample(data, windows, 2, 2).sample_id == make_sample(data, windows, 2, 1).sample_id


def split(labels, sizes=None, min_history=0, users=None):
    n = len(labels)
    data = Interactions(users or ["u"] * n, [f"i{r}" for r in range(n)], np.array(labels), np.arange(float(n)))
    windows = order_windows(data.users, data.times)
    parts = dict(zip(("train", "valid", "test"), np.array_split(np.arange(n), 3), strict=True))
    return draw_split(parts, data, windows, min_history, sizes or {"train": None, "valid": None, "test": None})


def test_labels_all_the_same_are_refused():
    with pytest.raises(DataError, match="all 3 training labels are Yes"):
        split([1] * 9)


def test_no_sample_with_enough_history_is_refused():
    with pytest.raises(DataError, match="no train sample is left"):
        split([0, 1] * 6, min_history=5, users=[f"u{r}" for r in range(12)])


def test_draw_keeps_the_order_of_rows():
    drawn = split([0, 1] * 30, {"train": 10, "valid": 5, "test": None})
    assert len(drawn.rows["train"]) == 10 and len(drawn.rows["valid"]) == 5 and len(drawn.rows["test"]) == 20
    assert list(drawn.rows["train"]) == sorted(drawn.rows["train"])


def test_drawn_rows_are_in_the_order_of_windows_whatever_order_the_split_came_in():
    data = interactions([("ab"[r % 2], r, r // 2 % 2) for r in range(30)])
    windows = order_windows(data.users, data.times)
    mixed = dict(zip(("train", "valid", "test"), np.array_split(np.arange(30)[::-1], 3), strict=True))
    drawn = draw_split(mixed, data, windows, 0, dict.fromkeys(mixed)).rows
    roles = {name: frozenset(data.row_id(r) for r in found) for name, found in drawn.items()}
    again = VisibleData(roles=roles).targets(data, windows, 0)
    assert all(drawn[name].tolist() == again[name].tolist() for name in mixed)


def test_tallrec_split_of_a_small_table_keeps_the_shares():
    users = [f"u{r % 3}" for r in range(90)]
    parts = tallrec_split(order_windows(users, np.arange(90.0)))
    assert [len(parts[n]) for n in ("train", "valid", "test")] == [48, 6, 6]


def test_item_text_cleans_what_is_missing():
    assert (
        write_item("{t} ({y}), {g}", {"t": "Toy Story", "y": 1995.0, "g": "Comedy"}, "1") == "Toy Story (1995), Comedy"
    )
    assert write_item("{t} ({y}), {g}", {"t": "Toy Story", "y": "", "g": ""}, "1") == "Toy Story"
    assert write_item("{t} ({y})", {"t": "", "y": ""}, "77") == "item 77"


def test_item_text_with_an_unknown_column_names_those_there_are():
    with pytest.raises(DataError, match=r"no column titel; expected columns among title, year"):
        item_columns("{titel}", ["title", "year"])
    with pytest.raises(DataError, match="expected columns among title"):
        item_columns("a film", ["title"])
