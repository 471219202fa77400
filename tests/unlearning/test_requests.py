"""What a person asks for: files, names, and what is wrong with them."""

import json
import time
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_apa.core.errors import RequestError
from recbole_apa.data.samples import Interactions
from recbole_apa.unlearning.requests.lookup import find, named_demands, read_demands
from tests.helpers.request_rows import RATED, ROWS, never, write


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
        ("r.csv", "user_id,item_id\n", "is empty"),
        ("r.csv", "user,item\na,x\n", "found the columns user, item; expected user_id, item_id or both"),
        ("r.csv", "user_id,item_id\na,x\nb\n", "r.csv, line 3: found 1 values, expected 2"),
        ("r.csv", "user_id,item_id\na,x\n ,x,\n", "r.csv, line 3: found 3 values, expected 2"),
        ("r.csv", "user_id,item_id,rating\n,,5\n", "line 2: found neither a user nor an item"),
        ("r.csv", "user_id,item_id,timestamp\na,x,noon\n", "line 2: found the timestamp 'noon', expected a number"),
        ("r.jsonl", '{"user_id": "a"}\n{"user_id": \n', "r.jsonl, line 2: not JSON"),
        (
            "r.jsonl",
            '{"user": "a"}\n',
            "line 1: found the unknown column 'user'; did you mean 'user_id'",
        ),
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


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("user,item_id\na,x\n", "line 1: found the unknown column 'user'; did you mean 'user_id'"),
        ("user_id,item\na,x\n", "line 1: found the unknown column 'item'; did you mean 'item_id'"),
        ("user_id,item_id,label\na,x,1\n", "line 1: found the unknown column 'label'"),
        ("user_id,item_id,\na,x,\n", "line 1: found the unknown column ''"),
        ("user_id,item_id,item_id\na,x,y\n", "line 1: the column 'item_id' appears twice"),
        ("user_id,item_id,timestamp\na,,5\n", "line 2: found a timestamp without an item"),
        ("user_id,item_id,timestamp\n,x,5\n", "line 2: found a timestamp without a user"),
        ("user_id,item_id,rating\na,,5\n", "line 2: found a rating without an item"),
        ("user_id,timestamp\na,5\n", "line 2: found a timestamp without an item"),
        ("user_id,item_id,timestamp\na,x,nan\n", "line 2: found the timestamp 'nan', expected a number"),
        ("user_id,item_id,timestamp\na,x,inf\n", "line 2: found the timestamp 'inf', expected a number"),
        ("user_id,item_id,timestamp\na,x," + "1" * 5000 + "\n", "(5002 characters), expected a number"),
        ("user_id,item_id,rating\na,x,1_0\n", "line 2: found the rating '1_0', expected a number"),
        ("user_id,item_id\na,x\nb," + "y" * 200_000 + "\n", "line 3: not CSV (field larger than"),
        ('user_id,item_id\na,"x\nb,y\n', "not CSV (unexpected end of data)"),
    ],
)
def test_a_request_in_doubt_is_refused_and_never_widened(text, says, tmp_path):
    with pytest.raises(RequestError) as error:
        read_demands(write(tmp_path, "r.csv", text))
    assert says in str(error.value) and len(str(error.value)) < 600


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"user_id": "a", "user_id": "b"}\n', "line 1: 'user_id' appears twice"),
        ('{"user_id": "a", "item_id": ["x"]}\n', "line 1: found item_id ['x'], expected a string or a whole number"),
        ('{"user_id": true}\n', "line 1: found user_id True, expected"),
        ('{"user_id": 12.0}\n', "line 1: found user_id 12.0, expected"),
        ('{"user_id": "a"}\n' + "[" * 100_000 + "\n", "line 2: brackets nested too deeply"),
        ('{"user_id": "a", "item_id": "x", "timestamp": ' + "9" * 5000 + "}\n", "line 1: not JSON"),
        ('{"user_id": "a", "item_id": "x", "timestamp": ' + "9" * 500 + "}\n", "line 1: found the timestamp"),
        ('{"user_id": "a", "item_id": "x", "timestamp": NaN}\n', "line 1: found the timestamp nan"),
        ('{"user_id": "a", "when": 5}\n', "line 1: found the unknown column 'when'"),
    ],
)
def test_json_in_doubt_is_refused(text, says, tmp_path):
    with pytest.raises(RequestError) as error:
        read_demands(write(tmp_path, "r.jsonl", text))
    assert says in str(error.value)


def test_a_rating_or_time_that_contradicts_the_data_is_a_problem_of_its_line(tmp_path):
    lines = ["user_id,item_id,rating,timestamp", "a,y,3,2", "b,z,1.5,9", "a,x,3,", "b,x,5,3", "a,x,7,"]
    demands = read_demands(write(tmp_path, "r.csv", "\n".join(lines) + "\n"))
    with pytest.raises(RequestError) as error:
        find(demands, RATED, never)
    for says in (
        "line 2: found rating 3 for user a, item y, time 2.0, the data has 2",
        "line 3: no such interaction in the data (user b, item z, time 9.0, rating 1.5); the data has it at 4.5",
        "line 4: found rating 3 for user a, item x, the data has 4, 3; give the timestamp of the one that is meant",
        "line 6: found rating 7 for user a, item x, the data has 4, 3",
    ):
        assert says in str(error.value)
    found = find(demands, RATED, never, skip_unknown=True)
    assert found.rows == [2] and len(found.left) == 4
    assert find(demands[:1], ROWS, never).rows == [1]  # data that kept no ratings cannot contradict one
    assert find(demands[:1], replace(ROWS, values=np.array([9, 3, 9, 9, 9], np.float32)), never).rows == [1]


def test_interactions_that_the_data_has_twice_may_be_asked_for_twice(tmp_path):
    twice = Interactions(["a", "a"], ["x", "x"], np.array([1, 1]), np.array([1.0, 1.0]))
    demands = named_demands(interactions=[("a", "x", 1), ("a", "x", 1)])
    assert find(demands, twice, never).rows == [0, 1]
    with pytest.raises(RequestError, match="the same as"):
        find(demands * 2, twice, never)
    timeless = Interactions(["a", "a"], ["x", "x"], np.array([1, 1]), None)
    with pytest.raises(RequestError, match="no times to choose one of 2 rows by"):
        find(demands[:1], timeless, never)


def test_names_that_would_widen_a_request_are_refused():
    for wrong in ({"users": "12"}, {"items": "12"}, {"users": [None]}, {"interactions": ["12"]}):
        with pytest.raises(RequestError, match="expected"):
            named_demands(**wrong)
    with pytest.raises(RequestError, match="found None, expected a name"):
        named_demands(interactions=[(None, "x")])
    # a user may be called nan: an empty cell is not that user
    for empty in (float("nan"), np.float32("nan"), Decimal("nan"), pd.NA, pd.NaT):
        with pytest.raises(RequestError, match=r"found .*(nan|NaN|NA|NaT).*, expected a name"):
            named_demands(users=[empty])
    assert named_demands(users=["nan"])[0].user == "nan"


@dataclass(frozen=True)
class Coded:
    """Tokens by code, as a large table keeps them."""

    codes: np.ndarray
    names: list[str]

    def __len__(self):
        return len(self.codes)

    def __getitem__(self, row):
        return self.names[self.codes[row]]


def test_coded_columns_are_found_as_plain_ones(tmp_path):
    coded = Interactions(
        Coded(np.array([0, 0, 1, 1, 0]), ["a", "b"]),
        Coded(np.array([2, 1, 2, 0, 2]), ["z", "y", "x"]),
        ROWS.labels,
        ROWS.times,
    )
    for asked in ({"users": ["b"]}, {"items": ["x"]}, {"interactions": [("a", "x", 5), ("b", "z")]}):
        demands = named_demands(**asked)
        assert find(demands, coded, never).rows == find(demands, ROWS, never).rows


@pytest.mark.slow
def test_a_request_of_many_lines_takes_time_by_their_number():
    n = 200_000
    rows = Interactions(["u"] * n, [f"i{i}" for i in range(n)], np.ones(n, dtype=int), None)
    demands = named_demands(interactions=[("u", f"i{i}") for i in range(0, n, 2)], users=[f"q{i}" for i in range(n)])
    start = time.perf_counter()
    found = find(demands, rows, never, skip_unknown=True)
    assert len(found.rows) == n // 2 and len(found.left) == n
    assert time.perf_counter() - start < 20  # a second here; hours if each line looked through all rows of its user


def test_blanks_around_an_id_belong_to_it(tmp_path):
    """Users "a" and "a " are two people."""
    rows = Interactions(["a", "a ", "b"], ["x", "x", "y"], np.ones(3, int), np.arange(3.0))
    asked = read_demands(write(tmp_path, "r.csv", 'user_id,item_id\n"a ",\n'))
    assert find(asked, rows, never).rows == [1]
    with pytest.raises(RequestError, match="no such user in the data \\(user b \\); 'b ' has blanks around it"):
        find(named_demands(["b "]), rows, never)
    with pytest.raises(RequestError, match="which cannot be encoded"):
        named_demands(["\ud800"])
