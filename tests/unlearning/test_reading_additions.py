"""Additions as files and calls give them: the same rows whichever way, and nothing dropped silently."""

import csv
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_apa.core.errors import RequestError, SettingsError
from recbole_apa.data.data_options import FileOptions, LabelRule
from recbole_apa.unlearning.additions.read import read_incoming
from tests.helpers.reader_ways import few

NAMES = ("user_id", "item_id", "rating", "timestamp")
FILES = FileOptions("user_id", "item_id", "timestamp", ("user_id", "item_id"), ("rating", "timestamp"))
LABEL = LabelRule("rating", 4.0)
HEAD = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
THEIRS = {"user_id": "uid", "item_id": "iid", "timestamp": "when", "ignore": ["tag"]}


def read(given, columns=None, has_times=True, files=FILES):
    return read_incoming(given, files, LABEL, has_times, columns)


def rows_of(incoming):
    times = [None] * len(incoming) if incoming.times is None else incoming.times.tolist()
    return list(zip(incoming.users, incoming.items, incoming.values.tolist(), times, strict=True))


def written(folder, name, text, encoding="utf-8"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return path


def refusal(*given, **options):
    with pytest.raises(RequestError) as caught:
        read(*given, **options)
    return str(caught.value)


ROWS = [("b", "x", 5.0, 3.5), ("7", "y z", 1.0, 4.0), ("b", "y z", 5.0, 3.5)]


@pytest.mark.parametrize(
    ("name", "text", "columns"),
    [
        ("a.inter", f"{HEAD}b\tx\t5\t3.5\n7\ty z\t1\t4\nb\ty z\t5\t3.5\n", None),
        ("a.inter", f"\ufeff{HEAD}\r\nb\tx\t+5.0\t3.5\r\n7\ty z\t1\t4\r\nb\ty z\t5\t.35e1", None),
        (
            "a.inter",
            "when:float\tuid:token\tiid:token\trating:token\n3.5\tb\tx\t5\n4\t7\ty z\t1\n3.5\tb\ty z\t5\n",
            {name: column for name, column in THEIRS.items() if name != "ignore"},
        ),
        ("a.csv", "user_id,item_id,rating,timestamp\nb,x,5,3.5\n7,y z,1,4\nb,y z,5,3.5\n", None),
        ("a.csv", '\ufeff,uid,tag,iid,rating,when\n0,b,"a,\nb",x,5,3.5\n1,7,,y z,1,4\n2,b,,"y z",5,3.5\n', THEIRS),
        (
            "a.jsonl",
            '{"user_id": "b", "item_id": "x", "rating": 5, "timestamp": 3.5}\n\n'
            '{"user_id": 7, "item_id": "y z", "rating": "1", "timestamp": 4}\n'
            '{"timestamp": 3.5, "rating": 5, "item_id": "y z", "user_id": "b"}',
            None,
        ),
        (
            "a.json",
            '{"uid": "b", "iid": "x", "rating": 5, "when": 3.5, "tag": [1]}\n'
            '{"uid": 7, "iid": "y z", "rating": 1, "when": 4}\n{"uid": "b", "iid": "y z", "rating": 5, "when": 3.5}\n',
            THEIRS,
        ),
    ],
)
def test_files_of_all_forms_give_the_same_rows(name, text, columns, tmp_path):
    incoming = read(written(tmp_path, name, text), columns)
    assert rows_of(incoming) == ROWS
    assert incoming.times.dtype == incoming.values.dtype == np.float64
    assert len(incoming.users.names) == 2 and len(incoming.items.names) == 2


@pytest.mark.parametrize(
    ("name", "text", "lines"),
    [
        ("a.inter", f"{HEAD}\nb\tx\t5\t3\n\nb\ty\t5\t3\n", [3, 5]),
        ("a.csv", '\ntag,user_id,item_id,rating,timestamp\n"1\n2",b,x,5,3\n\n,b,y,5,3\n', [3, 6]),
        ("a.csv", 'tag,user_id,item_id,rating,timestamp\n"1\n2",b,x,5,3\n\n,b,y,5,3\n', [2, 5]),
        ("a.jsonl", '\n{"user_id":1,"item_id":2,"rating":3,"timestamp":4}\n\n{"user_id":1,"item_id":3,"rating":3,'
         '"timestamp":4}\n', [2, 4]),
        ("a.jsonl", '{"user_id":1,"item_id":2,"rating":3,"timestamp":4}\n\n{"user_id":1,"item_id":3,"rating":3,'
         '"timestamp":4}\n', [1, 3]),
    ],
)  # fmt: skip
def test_a_row_is_named_by_its_line(name, text, lines, tmp_path):
    path = written(tmp_path, name, text)
    if text.startswith("\ntag"):  # the header is the first line, or none
        assert "line 1: found the columns (none)" in refusal(path, {"ignore": ["tag"]})
        return
    incoming = read(path, {"ignore": ["tag"]})
    assert incoming.lines.tolist() == lines
    assert [incoming.where(row) for row in range(2)] == [f"{path}, line {line}" for line in lines]


def test_an_atomic_file_has_the_runs_separator_and_encoding(tmp_path):
    path = written(tmp_path, "a.inter", "user_id:token::item_id:token::rating:float\né::x::5\n", "latin-1")
    files = replace(FILES, separator="::", encoding="latin-1", time=None)
    assert rows_of(read(path, files=files, has_times=False)) == [("é", "x", 5.0, None)]
    assert "found the column name 'user_id:token::item_id:token::rating', expected one without" in refusal(path)


CALLS = [
    ROWS,
    (list(row) for row in ROWS),
    [dict(zip(NAMES, row, strict=True)) for row in ROWS],
    [("b", "x", np.float32(5), 3.5), (np.int64(7), "y z", True + 0, "4"), ("b", np.str_("y z"), "5", 3.5)],
    dict(zip(NAMES, zip(*ROWS, strict=True), strict=True)),
    {name: np.array(column) for name, column in zip(NAMES, zip(*ROWS, strict=True), strict=True)},
    pd.DataFrame(ROWS, columns=NAMES),
    pd.DataFrame(ROWS, columns=NAMES, index=[5, 5, 5]).astype({"user_id": "string", "rating": "float32"}),
]


@pytest.mark.parametrize("given", CALLS, ids=range(len(CALLS)))
def test_calls_give_the_same_rows(given):
    incoming = read(given)
    assert rows_of(incoming) == ROWS and incoming.lines is None
    assert incoming.where(1) == "the call, row 2"


def test_mappings_and_frames_may_have_names_of_their_own():
    frame = pd.DataFrame(ROWS, columns=["uid", "iid", "rating", "when"]).assign(tag="?")
    assert rows_of(read(frame, THEIRS)) == rows_of(read(frame.to_dict("records"), THEIRS)) == ROWS
    with pytest.raises(SettingsError, match="columns: found names, but the call, row 1 is a tuple of values"):
        read(ROWS, THEIRS)


def test_a_run_without_times_takes_none(tmp_path):
    path = written(tmp_path, "a.csv", "user_id,item_id,rating,timestamp\nb,x,5,3\n")
    says = "found the column 'timestamp', but the run has no times; take it out, or list it under ignore with --add_col"
    assert says in refusal(path, has_times=False) and says in refusal(path, has_times=False, files=_timeless())
    assert rows_of(read(path, {"ignore": ["timestamp"]}, has_times=False)) == [("b", "x", 5.0, None)]
    assert "row 1: found 4 values, expected 3 (user_id, item_id, rating); the run has no times" in refusal(
        ROWS, has_times=False
    )
    assert says in refusal([{"user_id": 1, "item_id": 1, "rating": 1, "timestamp": 1}], has_times=False)
    with pytest.raises(SettingsError, match="add_columns: 'timestamp' is none of user_id, item_id, rating, ignore"):
        read(path, {"timestamp": "when"}, has_times=False)
    assert read([row[:3] for row in ROWS], has_times=False).times is None


def _timeless():
    return replace(FILES, time=None)


def test_a_label_may_come_from_the_time():
    late = read_incoming([("a", "x", 3)], FILES, LabelRule("timestamp", 2.0), True)
    assert late.values.tolist() == late.times.tolist() == [3.0]


CSV = "user_id,item_id,rating,timestamp\n"
OBJECT = '{"user_id": 1, "item_id": 2, "rating": 3, "timestamp": %s}\n'
REFUSED = [
    ("a.txt", CSV, "found the ending '.txt', expected .inter, .csv, .jsonl, .json"),
    ("a.inter", "", "is empty: expected a header"),
    ("a.inter", HEAD, "has no rows, expected one for each interaction; nothing was added"),
    ("a.csv", "", "line 1: found the columns (none); expected user_id, item_id, rating, timestamp, too"),
    ("a.csv", CSV, "has no rows"),
    ("a.jsonl", "\n\n", "has no rows"),
    ("a.inter", "user_id:token\titem_id:token\trating:float\nb\tx\t5\n", "expected timestamp, too, or their names"),
    ("a.inter", "a:token\tb:token\nb\tx\n", "found none of the columns user_id, item_id, rating, timestamp"),
    ("a.inter", f"{HEAD[:-1]}\ttag:token\nb\tx\t5\t3\tq\n", "line 1: found the unknown column 'tag'"),
    ("a.inter", f"{HEAD.replace('item_id:token', 'item_id:token_seq')}b\tx\t5\t3\n", "expected item_id:token"),
    ("a.inter", "user_id\titem_id\trating\ttimestamp\nb\tx\t5\t3\n", "the header needs name:type for each column"),
    ("a.csv", "user_id,item_id,stars,timestamp\nb,x,5,3\n", "expected rating, too, or their names in this file with"),
    ("a.csv", "user_id;item_id;rating;timestamp\nb;x;5;3\n", "expected user_id, item_id, rating, timestamp, too"),
    ("a.csv", f"{CSV}b,x,5\n", "line 2: found 3 values, expected 4"),
    ("a.csv", f'{CSV}b,"x,5,3\n', "not CSV"),
    ("a.csv", f"{CSV}b,é,5,3\n".encode("utf-16"), "cannot read the addition"),
    ("a.inter", f"{HEAD}b\té\t5\t3\n".encode("latin-1"), "line 2: byte 0xe9 is not UTF-8"),
    ("a.inter", f"{HEAD}b\tx\t5\t3\n\tx\t5\t3\n", "line 3: no user_id"),
    ("a.inter", f"{HEAD}b\t\t5\t3\n", "line 2: no item_id"),
    ("a.inter", f"{HEAD}b\tx\t\t3\n", "line 2: no rating"),
    ("a.inter", f"{HEAD}b\tx\t5\t\n", "line 2: no timestamp"),
    ("a.inter", f"{HEAD}\t\t\t\n", "line 2: no user_id"),
    ("a.csv", f"{CSV}b,x,5,3\n,,,\n", "line 3: no user_id"),
    ("a.csv", f"{CSV}b,x,5,\n", "line 2: no timestamp"),
    ("a.jsonl", OBJECT % "null", "line 1: no timestamp"),
    ("a.jsonl", OBJECT % '""', "line 1: no timestamp"),
    ("a.jsonl", OBJECT % "NaN", "line 1: no timestamp"),
    ("a.jsonl", '{"user_id": 1, "rating": 3, "timestamp": 4}\n', "line 1: no item_id"),
    ("a.jsonl", '{"user_id": 1, "rating": 3, "timestamp": 4, "tag": 1}\n', "line 1: found the unknown column 'tag'"),
    ("a.jsonl", OBJECT % "true", "line 1: column timestamp: found True, expected a number"),
    ("a.jsonl", OBJECT % "[4]", "line 1: column timestamp: found [4], expected a number"),
    ("a.jsonl", OBJECT % "Infinity", "line 1: column timestamp: found 'inf', expected a number"),
    ("a.jsonl", OBJECT % "1e999", "found 'inf', expected a number"),
    ("a.jsonl", OBJECT % ("9" * 400), "expected a finite number"),
    ("a.jsonl", OBJECT % '"2020-01-01"', "found '2020-01-01', expected a number"),
    ("a.jsonl", '{"user_id": 1.0, "item_id": 2, "rating": 3, "timestamp": 4}', "found 1.0, expected a string"),
    ("a.jsonl", '{"user_id": "\\ud800", "item_id": 2, "rating": 3, "timestamp": 4}', "cannot be encoded as UTF-8"),
    ("a.jsonl", '{"user_id": "a", "user_id": "b"}', "'user_id' appears twice"),
    ("a.jsonl", "[1]", "expected an object"),
    ("a.csv", f"{CSV}b,x,nan,3\n", "line 2: column rating: found 'nan', expected a number"),
    ("a.csv", f"{CSV}b,x, 5,3\n", "line 2: column rating: found ' 5', expected a number"),
    ("a.csv", f"{CSV}b,x,1_0,3\n", "found '1_0', expected a number"),
    ("a.csv", f"{CSV}b,x,5,9007199254740992\n", "line 2: column timestamp: found 9007199254740992, expected less than"),
    ("a.inter", f"{HEAD}b\tx\t5\t-1e300\n", "expected less than 2**53"),
    ("a.inter", f"{HEAD}b\tx\t5\tinf\n", "line 2: column timestamp: found 'inf', expected a number"),
    ("a.inter", f"{HEAD}b\0\tx\t5\t3\n", "line 2: column user_id: found 'b\\x00', expected an id that does not end in"),
    ("a.jsonl", '{"user_id": "a", "item_id": "b\\u0000", "rating": 3, "timestamp": 4}', "does not end in a NUL"),
    ("a.inter", f"{HEAD} \tx\t5\t3\n", "line 2: column user_id: found ' ', expected an id that is more than blanks"),
    ("a.inter", f"{HEAD}b\tx\t5\t3\nb\ty\t5\t3\nb\tx\t5.0\t3.0\n", "line 4: the same as line 2; nothing was added"),
    ("a.jsonl", OBJECT % 4 + "\n" + OBJECT % "4.0", "line 3: the same as line 1"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "says"), REFUSED, ids=range(len(REFUSED)))
def test_what_a_file_may_not_hold(name, text, says, tmp_path):
    path = written(tmp_path, name, text)
    found = refusal(path)
    assert says in found and "a." in found, found


@pytest.mark.parametrize("name", ["b.inter", "b.csv", "folder.csv", "nul\0.csv"])
def test_a_file_that_is_not_there(name, tmp_path):
    (tmp_path / "folder.csv").mkdir()
    assert "found no such file, expected an addition: .inter, .csv or .jsonl" in refusal(str(tmp_path / name))


FRAME = pd.DataFrame(ROWS, columns=NAMES)
REFUSED_CALLS = [
    ([], "the call has no rows"),
    (FRAME.head(0), "the call has no rows"),
    (5, "found 5, expected a file or rows, e.g. [(user_id, item_id, rating, timestamp), ...]"),
    (b"a.csv", "expected a file or rows"),
    (["b,x,5,3"], "the call, row 1: found 'b,x,5,3', expected e.g. [(user_id"),
    ([3], "the call, row 1: found 3, expected e.g."),
    ([("b", "x", 5)], "the call, row 1: found 3 values, expected 4 (user_id, item_id, rating, timestamp)"),
    ([*ROWS, ("b", None, 5, 3)], "the call, row 4: no item_id"),
    ([*ROWS, ROWS[1]], "the call, row 4: the same as row 2; nothing was added"),
    ([("b", "x", pd.Timestamp(0), 3)], "the call, row 1: column rating: found Timestamp("),
    ([("b", True, 5, 3)], "row 1: column item_id: found True, expected a string or a whole number"),
    ([("b", b"x", 5, 3)], "column item_id: found b'x'"),
    ([("b", "x", 5, float("inf"))], "row 1: column timestamp: found 'inf', expected a number"),
    ({"user_id": "b", "item_id": "x", "rating": 5, "timestamp": 3}, "column user_id: found 'b', expected a list"),
    ({name: [1] * n for n, name in enumerate(NAMES, 1)}, "(user_id 1, item_id 2, rating 3, timestamp 4), expected"),
    ([{"user": 1}], "row 1: found the unknown column 'user'; did you mean 'user_id'?"),
    (FRAME.assign(tag=1), "the call: found the unknown column 'tag'"),
    (FRAME[["user_id", "item_id"]], "the call: found the columns user_id, item_id; expected rating, timestamp, too"),
    (pd.concat([FRAME, FRAME[["rating"]]], axis=1), "the call: the column 'rating' appears twice"),
    (FRAME.assign(user_id=[1, None, 2]), "row 1: column user_id: found 1.0, expected a string or a whole number"),
    (FRAME.assign(rating=[1, None, 2]), "row 2: no rating"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "says"), REFUSED_CALLS, ids=range(len(REFUSED_CALLS)))
def test_what_a_call_may_not_give(given, says):
    assert says in refusal(given)


def test_the_first_ten_problems_are_shown_by_line_and_all_are_counted(tmp_path):
    rows = "".join(f"b\tx{k}\t{'' if k % 2 else 5}\t{k if k < 40 else ''}\n" for k in range(50))
    says = refusal(written(tmp_path, "a.inter", HEAD + rows)).split("\n")
    assert len(says) == 11 and says[-1] == "... and 25 more; nothing was added"
    assert [line.rsplit("line ", 1)[1] for line in says[:-1]] == [f"{k + 2}: no rating" for k in range(1, 20, 2)]


NUMBERS = st.one_of(st.integers(-(2**52), 2**52), st.floats(-1e15, 1e15))
IDS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=6).filter(lambda text: text.strip()),
    st.integers(),
)


@pytest.mark.slow
@few
@given(
    rows=st.lists(
        st.tuples(IDS, IDS, NUMBERS, NUMBERS), min_size=1, max_size=8, unique_by=lambda r: tuple(map(str, r[:2]))
    )
)
def test_three_files_and_a_call_give_the_same_addition(rows, tmp_path):
    head = dict(zip(NAMES, HEAD.strip().split("\t"), strict=True))
    with open(tmp_path / "a.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([NAMES, *rows])
    records = [dict(zip(NAMES, row, strict=True)) for row in rows]
    written(tmp_path, "a.jsonl", "".join(json.dumps(record) + "\n" for record in records))
    atomic = [list(head.values()), *([str(cell) for cell in row] for row in rows)]
    written(tmp_path, "a.inter", "".join("\t".join(cells) + "\n" for cells in atomic))
    right = [(str(user), str(item), float(value), float(time)) for user, item, value, time in rows]
    for given_rows in (rows, tmp_path / "a.csv", tmp_path / "a.jsonl", tmp_path / "a.inter"):
        assert rows_of(read(given_rows)) == right, given_rows
