"""How likely users are to ask, read from a file: fixed thresholds, and every line is checked."""

import pytest

from recbole_apa.core.errors import DataError
from recbole_apa.core.places import Slices
from recbole_apa.data.slice_order import read_slice_order


def write(path, *lines):
    path.write_text("\n".join(("user_id,likelihood", *lines)) + "\n")
    return path


def test_thresholds_are_fixed(tmp_path):
    path = write(tmp_path / "order.csv", "a,0", "b,.124", "c,0.125", "d,0.999", "e,1", '"f,g",0.5')
    order = read_slice_order(path, 8)
    assert order == {"a": 0, "b": 0, "c": 1, "d": 7, "e": 7, "f,g": 4}
    fewer = read_slice_order(write(path, "d,0.999", "c,0.125"), 8)
    assert fewer == {name: order[name] for name in "dc"}  # nobody's slice depends on the others
    slices = Slices(8, 1, order.get)
    assert slices.of("e") == 7 and slices.of("x") == Slices(8, 1).of("x")


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["a,1.1"], "line 2: expected a user and a number from 0 to 1"),
        (["a,0.5", "b,nan"], "line 3: expected a user and a number"),
        ([",0.5"], "line 2: expected a user"),
        (["a"], "line 2: found 1 cells"),
        (["a,often"], "line 2: found 2 cells"),
        (["a,0.5", "a,0.5"], "line 3: the user is named in an earlier line"),
    ],
)
def test_malformed_lines_are_refused(lines, says, tmp_path):
    with pytest.raises(DataError, match=says):
        read_slice_order(write(tmp_path / "order.csv", *lines), 8)


def test_header_file_and_slices_are_needed(tmp_path):
    path = tmp_path / "order.csv"
    with pytest.raises(DataError, match="cannot read"):
        read_slice_order(path, 8)
    path.write_text("a,0.5\n")
    with pytest.raises(DataError, match=r"line 1: found 'a,0\.5', expected user_id,likelihood"):
        read_slice_order(path, 8)
    with pytest.raises(DataError, match="expected at least 2"):
        read_slice_order(write(path, "a,0.5"), 1)
