"""A changed index: the files that are written, on those that are not, are those of an index of the rows left."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_apa.core.errors import DataError
from recbole_apa.data.index.change import Change, rewrite
from recbole_apa.data.index.check import index_problems
from recbole_apa.data.index.facts import About, Addition
from recbole_apa.data.index.places import file_names, part_file, parts_of
from recbole_apa.data.index.write import write_index
from recbole_apa.data.tokens import Tokens
from tests.helpers.index_rows import SALT, files_of, index_rows, opened, rows_of, some_rows, told

ROOMY = settings(deadline=None, max_examples=30)
LONG = "Wolfeschlegelsteinhausenbergerdorff-Smith"


def with_rows(rows, others):
    """Both, in order of place."""
    times = None if rows.times is None else np.concatenate((rows.times, others.times))
    columns = ("values", "places", "roles", "flags", "since")
    joined = {name: np.concatenate((getattr(rows, name), getattr(others, name))) for name in columns}
    users, items = (Tokens.joined(pair).texts() for pair in ((rows.users, others.users), (rows.items, others.items)))
    out = rows_of(users, items, times, **joined)
    return out.take(np.argsort(out.places))


def changed_index(folder, index, change, about=None):
    """The index that a change leaves, in a folder of its own; and the names of the files that were written."""
    pending, out = folder / "pending", folder / "after"
    rewrite(index, pending, change, about)
    shutil.copytree(index.files.folder, out)
    shutil.copytree(pending, out, dirs_exist_ok=True)
    return out, sorted(files_of(pending))


@pytest.mark.slow
@ROOMY
@given(rows=index_rows(min_size=1), n_parts=st.sampled_from([1, 4]), data=st.data())
def test_a_change_equals_writing_what_is_left(rows, n_parts, data):
    rows = rows.take(np.argsort(rows.places))
    numbers = st.sets(st.integers(0, len(rows) - 1))
    gone = data.draw(numbers)
    other = sorted(data.draw(numbers) - gone)
    new = data.draw(st.lists(st.tuples(*[st.sampled_from([*rows.users.names, "new"])] * 2), max_size=4))
    roles, flags = rows.roles.copy(), rows.flags.copy()
    roles[other], flags[other] = 3, 0
    after = rows_of(
        rows.users.texts(),
        rows.items.texts(),
        rows.times,
        values=rows.values,
        places=rows.places,
        roles=roles,
        flags=flags,
    ).take(np.array([k for k in range(len(rows)) if k not in gone], dtype=np.int64))
    added = rows_of(
        [user for user, _ in new],
        [item for _, item in new],
        None if rows.times is None else np.arange(len(new)),
        places=int(rows.places.max()) + 1 + np.arange(len(new)),
        since=np.ones(len(new)),
    )
    with tempfile.TemporaryDirectory() as folder:
        before, expected = Path(folder) / "before", Path(folder) / "expected"
        write_index(before, rows, SALT, About(), n_parts=n_parts)
        index = opened(before)
        removed, changed = (
            rows.take(np.array(sorted(gone), dtype=np.int64)),
            rows_of(
                rows.users.texts(np.array(other, dtype=np.int64)),
                ["any"] * len(other),
                None,
                places=rows.places[other],
                roles=roles[other],
                flags=flags[other],
            ),
        )
        about = About(additions=(Addition(len(new), 0, 3, 1),))
        out, written = changed_index(Path(folder), index, Change(removed, changed, added), about)
        codes = [*index.items.names]
        codes += [name for name in added.items.compact().names if name not in codes]
        write_index(expected, with_rows(after, added), SALT, about, codes=codes, n_parts=n_parts)
        assert files_of(out) == files_of(expected)
        assert index_problems(opened(out), file_names(n_parts)) == []
        touched = {*removed.users.texts(), *changed.users.texts(), *added.users.texts()}
        parts = {part_file(part) for part in parts_of(touched, SALT, n_parts).tolist()}
        assert set(written) == parts | {"index.json", "items.arrow"}


def test_nothing_of_a_removed_user_is_left_in_any_byte(tmp_path):
    rows = some_rows()
    named = rows_of([LONG] * 3, [f"{LONG} wrote this", "i0", "i1"], [5, 1, 3], places=[1000, 1001, 1002])
    write_index(tmp_path / "before", with_rows(rows, named), SALT, About(), n_parts=8)
    index = opened(tmp_path / "before")
    name = LONG.encode()
    assert sum(name in data for data in files_of(tmp_path / "before").values()) == 2, "in a part, and among the items"
    out, written = changed_index(tmp_path, index, Change(removed=index.rows_of_users([LONG])))
    assert [file for file, data in files_of(out).items() if name in data] == []
    assert len(written) == 3, "one part, items.arrow and index.json"
    assert index_problems(opened(out), file_names(8)) == []
    assert told(opened(out).all_rows()) == told(rows)
    assert "" in opened(out).items.names, "the code of the item that only this user had stays free"


def test_an_items_rows_go_from_every_part(tmp_path):
    rows = some_rows()
    write_index(tmp_path / "before", rows, SALT, About(), n_parts=8)
    index = opened(tmp_path / "before")
    out, written = changed_index(tmp_path, index, Change(removed=index.rows_of_items(["i7"])))
    assert told(opened(out).all_rows()) == told(rows.take(np.flatnonzero(~rows.items.where("i7"))))
    assert b"i7" not in (out / "items.arrow").read_bytes()
    assert set(written) - {"index.json", "items.arrow"} <= {part_file(k) for k in range(8)}


def test_all_rows_may_go(tmp_path):
    rows = some_rows()
    write_index(tmp_path / "before", rows, SALT, About(), n_parts=2)
    index = opened(tmp_path / "before")
    out, _ = changed_index(tmp_path, index, Change(removed=index.all_rows()))
    left = opened(out)
    assert left.n_rows == len(left.all_rows()) == 0 and not any(left.items.names)
    assert index_problems(left, file_names(2)) == []


@pytest.mark.parametrize(
    "change",
    [
        Change(removed=rows_of(["u1"], ["i1"], [1], places=[400])),
        Change(changed=rows_of(["u1"], ["i1"], [1], places=[400])),
        Change(removed=rows_of(["stranger"], ["i1"], [1], places=[3])),
        Change(added=rows_of(["u1"], ["i1"], places=[400])),
        Change(added=rows_of(["u1"], ["i1"], [float("nan")], places=[400])),
    ],
)
def test_rows_that_do_not_fit_are_refused(change, tmp_path):
    write_index(tmp_path / "before", some_rows(), SALT, About())
    with pytest.raises(DataError):
        rewrite(opened(tmp_path / "before"), tmp_path / "pending", change)
    assert not (tmp_path / "pending" / "index.json").exists()
