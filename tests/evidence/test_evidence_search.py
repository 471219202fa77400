"""What the independent check finds: in raw files, an index, a state and exports."""

import ast

import numpy as np
import pytest

from recbole_apa.evidence.search import Name, RawFiles, RawRows, Sought, in_exports, in_index, in_state, named, scan
from tests.helpers.places import ROOT

CHECK = ROOT / "recbole_apa" / "evidence" / "search"


def test_the_check_imports_nothing_of_what_it_checks():
    for path in CHECK.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            ours = [n for n in names if n.startswith("recbole_apa")]
            assert all(n == "recbole_apa.core.errors" or n.startswith("recbole_apa.evidence.search") for n in ours), (
                path
            )


@pytest.mark.parametrize(
    ("text", "encoding", "separator", "n"),
    [
        ("user_id:token\titem_id:token\ttimestamp:float\na\tx\t3\na\ty\t4\nb\tx\t3\n", "utf-8", "\t", 2),
        ("\ufeffitem_id:token,user_id:token,timestamp:float\r\nx,a,3.0\r\ny,a,4\r\n", "utf-8", ",", 2),
        ("user_id:token\titem_id:token\ttimestamp:float\nä\tx\t3\na\tx\t3e0\n", "latin-1", "\t", 1),
        ('"user_id:token","item_id:token","timestamp:float"\n"a","x, or y","3"\n"a","x","3"\n', "utf-8", ",", 2),
        ("user_id:token::item_id:token::timestamp:float\na::x::3\nb::y::4\n", "utf-8", "::", 1),
    ],
)
def test_rows_of_a_user_are_found_in_files_as_people_have_them(text, encoding, separator, n, tmp_path):
    path = tmp_path / "d.inter"
    path.write_bytes(text.encode(encoding))
    raw = scan(RawFiles((path,), "user_id", "item_id", "timestamp", separator, encoding))
    sought = named(raw, [Name("a")])
    assert len({key for key in sought.keys if key.startswith("a:") and "%" not in key}) == n
    assert named(raw, [Name("a", "x", 3.0)]).has_id("a:x:3#2") and not named(raw, [Name("a", "x", 5.0)])
    assert not named(raw, [Name("nobody")]).keys


def test_an_index_is_looked_through_by_row_and_by_name():
    rows, sought = np.array([0, 0, 1]), Sought(frozenset({"a"}), frozenset({"y"}))
    raw = RawRows(rows, ("a", "b"), np.array([0, 1, 0]), ("x", "y"), None)
    assert in_index(raw, sought) == ["2 forgotten interactions in index/", "2 forgotten names in index/"]
    names_alone = RawRows(rows[:0], ("b",), rows[:0], ("x", "y"), None)
    assert in_index(names_alone, sought) == ["1 forgotten names in index/"]
    assert in_index(raw, Sought(frozenset({"c"}))) == []


def test_a_state_and_an_export_are_looked_through_by_id(tmp_path):
    path = tmp_path / "d.inter"
    path.write_text("user_id:token\titem_id:token\na:b\tx\nc\tx\n")
    sought = named(scan(RawFiles((path,), "user_id", "item_id", None)), [Name("a:b", "x")])
    assert in_state(["a%3Ab:x", "c:x"], {}, {}, sought) == ["1 samples in partition.json"]
    assert in_state(["c:x"], {"m": ["c:x"]}, {"m": 2}, sought) == ["2 rows in m for 1 samples"]
    plain = named(scan(RawFiles((path,), "user_id", "item_id", None)), [Name("a:b", "x")], plain=True)
    assert in_state(["a:b:x#2"], {}, {}, plain) == ["1 samples in partition.json"]
    (tmp_path / "test.jsonl").write_text('{"sample_id": "a%3Ab:x", "history": []}\n')
    assert in_exports([tmp_path], {"test": []}, sought) == [f"1 lines of {tmp_path / 'test.jsonl'}"]


def test_lines_of_an_export_that_are_no_samples_are_found(tmp_path):
    (tmp_path / "train.jsonl").write_text('no JSON\n{"a": 1}\n[]\n')
    sought = Sought(users=frozenset({"u"}))
    assert in_exports([tmp_path], {"train": []}, sought) == [f"3 lines of {tmp_path / 'train.jsonl'}"]
