"""An index in well-written files whose rows are not as they have to be."""

from dataclasses import replace

import numpy as np
import pytest

from recbole_apa.core.errors import RunError
from recbole_apa.data.index.arrow import part_bytes
from recbole_apa.data.index.check import index_problems
from recbole_apa.data.index.places import part_file
from recbole_apa.data.tokens import Tokens
from tests.helpers.index_rows import edit_facts, files_of, opened, write_some_index

N_PARTS = 2
PART = part_file(0)


@pytest.fixture
def folder(tmp_path):
    return write_some_index(tmp_path / "index", N_PARTS)


def problems(folder):
    return index_problems(opened(folder), files_of(folder))


def put_part(folder, rows, number=0):
    """A part with these rows, of whatever kind, and its sizes in ``index.json``."""
    (folder / part_file(number)).write_bytes(part_bytes(rows))
    sizes = [len(rows), len(rows.users.names), sum(len(name.encode()) for name in rows.users.names)]
    edit_facts(folder, lambda facts: facts["parts"].__setitem__(number, sizes))


def test_an_untouched_index_is_sound(folder):
    assert problems(folder) == []


def of_other_order(rows, order):
    return rows.take(np.array(order, dtype=np.int64))


def with_users_turned_round(rows):
    """Whole users in another order than that of their first places."""
    names = rows.users.names[::-1]
    turned = replace(rows, users=Tokens(len(names) - 1 - rows.users.codes, names))
    return turned.take(np.argsort(turned.users.codes, kind="stable"))


@pytest.mark.parametrize(
    "change, finding",
    [
        (lambda rows: of_other_order(rows, range(len(rows))[::-1]), "not in order"),
        (lambda rows: of_other_order(rows, [1, 0, *range(2, len(rows))]), "not in order"),
        (with_users_turned_round, "not in order"),
        (lambda rows: replace(rows, users=Tokens(rows.users.codes, [*rows.users.names, "hidden"])), "not used"),
        (lambda rows: replace(rows, roles=np.full(len(rows), 4, np.int8)), "role is out of range"),
        (lambda rows: replace(rows, roles=np.full(len(rows), -1, np.int8)), "role is out of range"),
        (lambda rows: replace(rows, flags=np.full(len(rows), 8, np.uint8)), "flags is out of range"),
        (lambda rows: replace(rows, since=np.ones(len(rows), np.int32)), "since is out of range"),
        (lambda rows: replace(rows, places=rows.places - 10**6), "place is out of range"),
        (lambda rows: replace(rows, times=rows.times + np.inf), "not a finite number"),
        (lambda rows: replace(rows, flags=np.full(len(rows), 7, np.uint8)), "a sample and in no split"),
        (lambda rows: of_other_order(rows, range(len(rows) - 1)), "items.arrow: the numbers of rows"),
        (lambda rows: of_other_order(rows, []), "not used"),
    ],
)
def test_rows_that_are_written_well_and_are_wrong(change, finding, folder):
    put_part(folder, change(opened(folder).part(0)))
    assert any(finding in found for found in problems(folder)), problems(folder)


def test_a_user_in_a_wrong_part(folder):
    put_part(folder, opened(folder).part(1))
    found = problems(folder)
    assert any(f"{PART}: " in text and "belong into other parts" in text for text in found), found


def test_swapped_parts(folder):
    one, other = folder / part_file(0), folder / part_file(1)
    data = one.read_bytes(), other.read_bytes()
    one.write_bytes(data[1])
    other.write_bytes(data[0])
    with pytest.raises(RunError, match=PART):
        list(opened(folder).parts())
    edit_facts(folder, lambda facts: facts["parts"].reverse())
    assert sum("belong into other parts" in text for text in problems(folder)) == N_PARTS


def test_two_rows_at_one_place(folder):
    rows, other = (opened(folder).part(number) for number in range(2))
    first = np.flatnonzero(rows.users.codes == 0)
    places = rows.places.copy()
    places[first[np.argmin(places[first])]] = other.places.min()
    put_part(folder, replace(rows, places=places))
    found = problems(folder)
    assert any("the same place" in text for text in found) or any("not in order" in text for text in found)


def test_files_that_do_not_belong(folder):
    (folder / "parts" / "0002.arrow").write_bytes(b"u3")
    (folder / "notes.txt").write_text("u3")
    found = problems(folder)
    assert len(found) == 2 and all("no file of the index" in text for text in found)
