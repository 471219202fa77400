"""What a person asks for: files, names, and what is wrong with them."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_apa.data.samples import Interactions
from recbole_apa.errors import RequestError
from recbole_apa.unlearning.requests import find, named_demands, read_demands

ROWS = Interactions(
    ["a", "a", "b", "b", "a"],
    ["x", "y", "x", "z", "x"],
    np.array([1, 0, 1, 0, 1]),
    np.array([1.0, 2.0, 3.0, 4.5, 5.0]),
)


def never(demand):
    return False


def write(folder, name, text):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("r.csv", "user_id,item_id,timestamp\na,x,1\nb,,\n,z,\n"),
        ("r.csv", '\ufeff"user_id","item_id","rating","timestamp"\r\na,x,5,1.0\r\n\r\nb,,,\r\n"",z,,\r\n'),
        ("r.jsonl", '{"user_id": "a", "item_id": "x", "timestamp": 1}\n{"user_id": "b"}\n\n{"item_id": "z"}\n'),
        ("r.inter", "user_id:token\titem_id:token\trating:float\ttimestamp:float\na\tx\t5\t1\nb\t\t\t\n\tz\t\t\n"),
    ],
)
def test_every_format_says_the_same(name, text, tmp_path):
    demands = read_demands(write(tmp_path, name, text))
    assert [(d.kind, d.user, d.item, d.time) for d in demands] == [
        ("interaction", "a", "x", 1.0),
        ("user", "b", None, None),
        ("item", None, "z", None),
    ]
    assert find(demands, ROWS, never).rows == [0, 2, 3]


def test_names_and_files_come_to_the_same_rows():
    assert find(named_demands(users=["a"]), ROWS, never).rows == [0, 1, 4]
    assert find(named_demands(items=["x"]), ROWS, never).rows == [0, 2, 4]
    assert find(named_demands(interactions=[("a", "x")]), ROWS, never).rows == [0, 4]
    assert find(named_demands(interactions=[("a", "x", 5)]), ROWS, never).rows == [4]
    assert find(named_demands(interactions=[("b", "z", "4.5")]), ROWS, never).rows == [3]
    assert find(named_demands(users=[7]), Interactions(["7"], ["1"], np.array([1]), None), never).rows == [0]


@given(st.sets(st.integers(0, 4)), st.sets(st.sampled_from("ab")), st.sets(st.sampled_from("xyz")))
def test_found_rows_are_those_that_a_plain_scan_finds(rows, users, items):
    pairs = {(ROWS.users[r], ROWS.items[r]) for r in rows}
    demands = named_demands(sorted(users), sorted(items), sorted(pairs))
    expected = [
        r
        for r in range(5)
        if ROWS.users[r] in users or ROWS.items[r] in items or (ROWS.users[r], ROWS.items[r]) in pairs
    ]
    if demands:
        assert find(demands, ROWS, never).rows == expected


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("r.csv", "", "line 1: found the columns (none)"),
        ("r.csv", "user_id,item_id\n", "asks for nothing"),
        ("r.csv", "user,item\na,x\n", "found the columns user, item; expected user_id, item_id or both"),
        ("r.csv", "user_id,item_id\na,x\nb\n", "r.csv, line 3: found 1 values, expected 2"),
        ("r.csv", "user_id,item_id\na,x\n ,x,\n", "r.csv, line 3: found 3 values, expected 2"),
        ("r.csv", "user_id,item_id,rating\n,,5\n", "line 2: found neither a user nor an item"),
        ("r.csv", "user_id,item_id,timestamp\na,x,noon\n", "line 2: found the timestamp 'noon', expected a number"),
        ("r.jsonl", '{"user_id": "a"}\n{"user_id": \n', "r.jsonl, line 2: not JSON"),
        ("r.jsonl", '{"user": "a"}\n', "line 1: expected an object such as"),
        ("r.jsonl", '["a"]\n', "line 1: expected an object such as"),
        ("r.inter", "rating:float\n5\n", "found the columns rating"),
        ("r.txt", "a", "found the ending '.txt', expected .csv, .jsonl, .json, .inter"),
    ],
)
def test_malformed_files_are_named_with_their_line(name, text, says, tmp_path):
    with pytest.raises(RequestError) as error:
        read_demands(write(tmp_path, name, text))
    assert says in str(error.value)


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(RequestError, match="cannot read the request"):
        read_demands(tmp_path / "none.csv")
    (tmp_path / "bin.csv").write_bytes(b"user_id\n\xff\xfe")
    with pytest.raises(RequestError, match="cannot read the request"):
        read_demands(tmp_path / "bin.csv")
    with pytest.raises(RequestError, match=r"expected \(user, item\)"):
        named_demands(interactions=[("a",)])


def test_unknown_repeated_and_served_lines_refuse_the_whole_file(tmp_path):
    lines = [{"user_id": "a", "item_id": "x"}, {"user_id": "q"}, {"item_id": "w"}, {"user_id": "a", "item_id": "z"}]
    lines += [{"user_id": "a", "item_id": "x"}, {"user_id": "gone"}, {"user_id": "b", "item_id": "x", "timestamp": 9}]
    path = write(tmp_path, "r.jsonl", "".join(json.dumps(x) + "\n" for x in lines))
    demands = read_demands(path)
    with pytest.raises(RequestError) as error:
        find(demands, ROWS, lambda d: d.user == "gone")
    for says in (
        "line 2: no such user in the data (user q)",
        "line 3: no such item in the data (item w)",
        "line 4: no such interaction in the data (user a, item z)",
        "line 5: the same as r.jsonl, line 1",
        "line 6: was forgotten before (user gone)",
        "line 7: no such interaction in the data (user b, item x, time 9.0)",
        "Nothing was changed; --skip_unknown",
    ):
        assert says in str(error.value)
    found = find(demands, ROWS, lambda d: d.user == "gone", skip_unknown=True)
    assert found.rows == [0, 4] and len(found.left) == 6
    with pytest.raises(RequestError, match="nothing is left to forget"):
        find(named_demands(users=["q"]), ROWS, never, skip_unknown=True)
