"""Request files that others made: their columns, their ids, lines that may have meant less."""

import pytest

from recbole_apa.core.errors import RequestError, SettingsError
from recbole_apa.unlearning.requests.ids import map_ids
from recbole_apa.unlearning.requests.lookup import find, named_demands, read_demands
from tests.helpers.request_rows import RATED, never, write

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
    with pytest.raises(RequestError, match=r"items\.csv, line 3: '7' appears twice"):
        map_ids(demands, {"item_id": items})


def test_erases_files_mix_line_ends(tmp_path):
    """ERASE's `.inter` forget files: RecBole's header, LF after it and CR LF after each row."""
    path = tmp_path / "forget.inter"
    head = b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    path.write_bytes(head + b"a\ty\t2.0\t2\r\nb\tz\t1.5\t4.5\r\n")
    assert find(read_demands(path), RATED, never).rows == [1, 3]


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


def test_maps_of_ids_that_point_the_other_way_are_refused(tmp_path):
    demands = named_demands(["0"])
    for header in ("user_id,uid", "user_id,user_id", "0,a", ""):
        users = write(tmp_path, "users.csv", f"{header}\n0,a\n")
        with pytest.raises(RequestError, match="expected a name for the request's ids and then user_id"):
            map_ids(demands, {"user_id": users})
