"""What a person asks for: files, names, and what is wrong with them."""

import json
import time
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_apa.core.errors import RequestError, SettingsError
from recbole_apa.data.samples import Interactions
from recbole_apa.unlearning.requests.ids import map_ids
from recbole_apa.unlearning.requests.lookup import find, named_demands, read_demands

ROWS = Interactions(
    ["a", "a", "b", "b", "a"],
    ["x", "y", "x", "z", "x"],
    np.array([1, 0, 1, 0, 1]),
    np.array([1.0, 2.0, 3.0, 4.5, 5.0]),
)


RATED = replace(ROWS, values=np.array([4.0, 2.0, 5.0, 1.5, 3.0]))


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
        (
            "r.jsonl",
            '{"user": "a"}\n',
            "line 1: found the column 'user', of which nothing is known; did you mean 'user_id'",
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


COLUMNS = {"user_id": "uid", "item_id": "iid", "ignore": ["val", "tag"]}


@pytest.mark.parametrize(
    ("name", "text", "columns"),
    [
        ("r.inter", "user_id:token\titem_id:token\trating:float\ttimestamp:float\nb\tx\t5\t3\n", None),
        ("r.csv", ",user_id,item_id,rating,timestamp\n0,b,x,5.0,3.0\n", None),
        ("r.csv", "Unnamed: 0.1,Unnamed: 0,user_id,item_id,rating,timestamp\n0,0,b,x,5,3\n", None),
        ("r.csv", "uid,iid,val,tag,rating,timestamp\nb,x,?,?,5,3\n", COLUMNS),
        ("r.csv", "u,i,r,t\nb,x,5,3\n", {"user_id": "u", "item_id": "i", "rating": "r", "timestamp": "t"}),
        ("r.jsonl", '\ufeff{"uid": "b", "iid": "x", "tag": [1], "rating": 5, "timestamp": 3}\n', COLUMNS),
        ("r.inter", "\ufeffuid:token\tiid:token\trating:float\ttimestamp:float\nb\tx\t5\t3\n", COLUMNS),
    ],
)
def test_request_sets_that_others_made(name, text, columns, tmp_path):
    if columns is COLUMNS and name.endswith("inter"):
        columns = {"user_id": "uid", "item_id": "iid"}
    (demand,) = read_demands(write(tmp_path, name, text), columns)
    assert (demand.user, demand.item, demand.time, demand.value) == ("b", "x", 3.0, 5.0)
    assert find([demand], RATED, never).rows == [2]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("user,item_id\na,x\n", "line 1: found the column 'user', of which nothing is known; did you mean 'user_id'"),
        ("user_id,item\na,x\n", "line 1: found the column 'item', of which nothing is known; did you mean 'item_id'"),
        ("user_id,item_id,label\na,x,1\n", "line 1: found the column 'label'"),
        ("user_id,item_id,\na,x,\n", "line 1: found the column ''"),
        ("user_id,item_id,item_id\na,x,y\n", "line 1: the column 'item_id' is there twice"),
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
        ('{"user_id": "a", "user_id": "b"}\n', "line 1: 'user_id' is there twice"),
        ('{"user_id": "a", "item_id": ["x"]}\n', "line 1: found item_id ['x'], expected a text or a whole number"),
        ('{"user_id": true}\n', "line 1: found user_id True, expected"),
        ('{"user_id": 12.0}\n', "line 1: found user_id 12.0, expected"),
        ('{"user_id": "a"}\n' + "[" * 100_000 + "\n", "line 2: brackets within brackets too deep"),
        ('{"user_id": "a", "item_id": "x", "timestamp": ' + "9" * 5000 + "}\n", "line 1: not JSON"),
        ('{"user_id": "a", "item_id": "x", "timestamp": ' + "9" * 500 + "}\n", "line 1: found the timestamp"),
        ('{"user_id": "a", "item_id": "x", "timestamp": NaN}\n', "line 1: found the timestamp nan"),
        ('{"user_id": "a", "when": 5}\n', "line 1: found the column 'when'"),
    ],
)
def test_json_in_doubt_is_refused(text, says, tmp_path):
    with pytest.raises(RequestError) as error:
        read_demands(write(tmp_path, "r.jsonl", text))
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"user": "uid"}, "'user' is none of user_id, item_id, timestamp, rating, ignore (did you mean 'user_id'?)"),
        ({"user_id": "id", "item_id": "id"}, "two names for the column 'id'"),
        ({"user_id": "item_id"}, "user_id is read from the column 'item_id'"),
        ({"user_id": None}, "user_id: found None, expected a column's name"),
        ({"user_id": "u", "ignore": ["u"]}, "'u' is both read and ignored"),
        ({"ignore": ["item_id"]}, "item_id cannot be ignored"),
        ({"ignore": 3}, "ignore: found 3, expected a list of columns"),
        ("uid", "found 'uid', expected e.g. --unlearn_columns="),
    ],
)
def test_a_mapping_that_contradicts_itself_is_refused(columns, says, tmp_path):
    with pytest.raises(SettingsError) as error:
        read_demands(write(tmp_path, "r.csv", "u,i\na,x\n"), columns)
    assert says in str(error.value)


def test_mapped_columns_have_to_be_there(tmp_path):
    with pytest.raises(RequestError, match="line 1: found the columns user_id, item_id, not the 'iid' of"):
        read_demands(write(tmp_path, "r.csv", "user_id,item_id\na,x\n"), {"item_id": "iid"})
    with pytest.raises(RequestError, match="no line has the 'iid' of"):
        read_demands(write(tmp_path, "r.jsonl", '{"user_id": "a"}\n'), {"item_id": "iid"})
    swapped = {"user_id": "item_id", "item_id": "user_id"}
    (demand,) = read_demands(write(tmp_path, "s.csv", "user_id,item_id\nx,a\n"), swapped)
    assert (demand.user, demand.item) == ("a", "x")


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
    with pytest.raises(RequestError, match="no times by which to choose one of 2"):
        find(demands[:1], timeless, never)


def test_names_that_would_widen_a_request_are_refused():
    for wrong in ({"users": "12"}, {"items": "12"}, {"users": [None]}, {"interactions": ["12"]}):
        with pytest.raises(RequestError, match="expected"):
            named_demands(**wrong)
    with pytest.raises(RequestError, match="found None, expected a name"):
        named_demands(interactions=[(None, "x")])


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


def test_a_request_of_many_lines_takes_time_by_their_number():
    n = 200_000
    rows = Interactions(["u"] * n, [f"i{i}" for i in range(n)], np.ones(n, dtype=int), None)
    demands = named_demands(interactions=[("u", f"i{i}") for i in range(0, n, 2)], users=[f"q{i}" for i in range(n)])
    start = time.perf_counter()
    found = find(demands, rows, never, skip_unknown=True)
    assert len(found.rows) == n // 2 and len(found.left) == n
    assert time.perf_counter() - start < 20  # a second here; hours if each line looked through all rows of its user


def test_columns_that_nobody_read_matter_only_where_they_would_choose(tmp_path):
    """CURE4Rec's form: user and item are named; what `val` and `tag` say is not known."""
    path = write(tmp_path, "core.csv", "uid,iid,val,tag\na,y,2,2\nb,z,1,4\n")
    columns = {"user_id": "uid", "item_id": "iid"}
    assert find(read_demands(path, columns), RATED, never).rows == [1, 3]
    path.write_text("uid,iid,val,tag\na,x,4,1\n")
    with pytest.raises(RequestError, match=r"the data has 2 rows of it .*columns that were not read \(val, tag\)"):
        find(read_demands(path, columns), RATED, never)
    told = {**columns, "rating": "val", "timestamp": "tag"}
    assert find(read_demands(path, told), RATED, never).rows == [0]
    assert find(read_demands(path, {**columns, "ignore": ["val", "tag"]}), RATED, never).rows == [0, 4]


def test_ids_of_other_people_are_mapped_and_unknown_ones_refused(tmp_path):
    path = write(tmp_path, "core.csv", "uid,iid,val,tag\n0,7,2,2\n1,8,1.5,4.5\n")
    told = {"user_id": "uid", "item_id": "iid", "rating": "val", "timestamp": "tag"}
    users = write(tmp_path, "users.csv", "theirs,user_id\n0,a\n1,b\n")
    items = write(tmp_path, "items.csv", "theirs,item_id\n7,y\n8,z\n")
    demands = map_ids(read_demands(path, told), {"user_id": users, "item_id": items})
    assert find(demands, RATED, never).rows == [1, 3]
    items.write_text("theirs,item_id\n7,y\n")
    with pytest.raises(RequestError, match=r"core\.csv, line 3: item '8' is not in .*items\.csv"):
        map_ids(read_demands(path, told), {"user_id": users, "item_id": items})
    items.write_text("theirs,item_id\n7,z\n8,z\n")  # a wrong map is found out by ratings and times
    wrong = map_ids(read_demands(path, told), {"user_id": users, "item_id": items})
    with pytest.raises(RequestError, match=r"line 2: no such interaction in the data \(user a, item z"):
        find(wrong, RATED, never)
    with pytest.raises(SettingsError, match="unlearn_ids: found 'item', expected user_id and item_id"):
        map_ids(demands, {"item": items})
    items.write_text("theirs,item_id\n7,y\n7,z\n")
    with pytest.raises(RequestError, match=r"items\.csv, line 3: id '7' stands twice"):
        map_ids(demands, {"item_id": items})


def test_erases_files_mix_line_ends(tmp_path):
    """ERASE's `.inter` forget files: RecBole's header, LF after it and CR LF after each row."""
    path = tmp_path / "forget.inter"
    head = b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    path.write_bytes(head + b"a\ty\t2.0\t2\r\nb\tz\t1.5\t4.5\r\n")
    assert find(read_demands(path), RATED, never).rows == [1, 3]


BOTH = {"user_id": "uid", "item_id": "iid"}


@pytest.mark.parametrize(
    ("name", "text", "columns", "says"),
    [
        ("r.csv", "uid,iid,val,tag\na,,4,100\n", {"user_id": "uid", "item_id": "iid"}, "asks for a whole user"),
        (
            "r.csv",
            "uid,iid,val\na,,4\n",
            {"user_id": "uid", "item_id": "iid", "ignore": ["val"]},
            "asks for a whole user",
        ),
        (
            "r.jsonl",
            '{"uid":"a","iid":"x"}\n{"uid":"b","idd":"y"}\n',
            {"user_id": "uid", "item_id": "iid"},
            "whole user",
        ),
        ("r.csv", ",item_id\na,x\n", None, "the first column has no name"),
        ("r.csv", "Unnamed: 0,user_id\n0,a\n", None, "the first column has no name"),
    ],
)
def test_a_line_that_may_have_meant_less_asks_for_nothing(name, text, columns, says, tmp_path):
    with pytest.raises(RequestError, match=says):
        read_demands(write(tmp_path, name, text), columns)


def test_blanks_around_an_id_belong_to_it(tmp_path):
    """Users "a" and "a " are two people."""
    rows = Interactions(["a", "a ", "b"], ["x", "x", "y"], np.ones(3, int), np.arange(3.0))
    asked = read_demands(write(tmp_path, "r.csv", 'user_id,item_id\n"a ",\n'))
    assert find(asked, rows, never).rows == [1]
    with pytest.raises(RequestError, match="no such user in the data \\(user b \\); 'b ' has blanks around it"):
        find(named_demands(["b "]), rows, never)
    with pytest.raises(RequestError, match="which no file can hold"):
        named_demands(["\ud800"])


def test_maps_of_ids_that_point_the_other_way_are_refused(tmp_path):
    demands = named_demands(["0"])
    for header in ("user_id,uid", "user_id,user_id", "0,a", ""):
        users = write(tmp_path, "users.csv", f"{header}\n0,a\n")
        with pytest.raises(RequestError, match="expected a name for the request's ids and then user_id"):
            map_ids(demands, {"user_id": users})
