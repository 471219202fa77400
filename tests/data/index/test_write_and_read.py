"""The index on disk gives back the rows that it was written of, in bytes that are the same each time."""

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_apa.core.errors import DataError
from recbole_apa.data.index.check import index_problems
from recbole_apa.data.index.facts import About, Addition, SourceFile
from recbole_apa.data.index.places import file_names, n_parts_for, part_file, parts_of
from recbole_apa.data.index.write import write_index
from recbole_apa.data.samples import order_windows
from tests.helpers.index_rows import SALT, files_of, index_rows, opened, rows_of, some_rows, told

few = settings(deadline=None, max_examples=25)
ABOUT = About(
    {"threshold": {"rating": 4}, "user": "user_id"},
    (SourceFile("board.inter", 12, "ab" * 32),),
    (Addition(3, 1, 7, 1),),
)


@pytest.mark.slow
@few
@given(rows=index_rows(), n_parts=st.sampled_from([1, 2, 4]))
def test_what_was_written_is_read(rows, n_parts):
    with tempfile.TemporaryDirectory() as folder:
        facts = write_index(Path(folder), rows, SALT, ABOUT, n_parts=n_parts)
        index = opened(Path(folder))
        assert index.facts == facts and index.n_rows == len(rows) and index.n_parts == n_parts
        assert told(index.all_rows()) == told(rows)
        assert sorted(row for part in index.parts() for row in told(part)) == sorted(told(rows))
        assert sorted(files_of(Path(folder))) == sorted(file_names(n_parts))
        assert index_problems(index, file_names(n_parts)) == []


@pytest.mark.slow
@few
@given(rows=index_rows(min_size=1), data=st.data())
def test_rows_of_users_and_items(rows, data):
    with tempfile.TemporaryDirectory() as folder:
        write_index(Path(folder), rows, SALT, About(), n_parts=4)
        index = opened(Path(folder))
        for column, find in ((rows.users, index.rows_of_users), (rows.items, index.rows_of_items)):
            wanted = data.draw(st.sets(st.sampled_from(sorted(set(column.texts())))))
            is_wanted = np.array([text in wanted for text in column.texts()], dtype=bool)
            found = find([*wanted, "nobody has this name", "\ud83c"])
            assert told(found) == told(rows.take(np.flatnonzero(is_wanted)))
            assert (np.diff(found.places) > 0).all()
            assert set(found.users.names) == set(found.users.texts()), "no other names are handed out"
            assert set(found.items.names) == set(found.items.texts())


@pytest.mark.slow
@few
@given(rows=index_rows(), data=st.data())
def test_bytes_do_not_depend_on_the_order_of_the_given_rows(rows, data):
    shuffled = rows.take(np.array(data.draw(st.permutations(range(len(rows)))), dtype=np.int64))
    with tempfile.TemporaryDirectory() as folder:
        one, other = Path(folder) / "one", Path(folder) / "other"
        write_index(one, rows, SALT, ABOUT, n_parts=2)
        write_index(other, shuffled, SALT, ABOUT, n_parts=2)
        assert files_of(one) == files_of(other)


@pytest.mark.parametrize("times", [True, False])
def test_a_parts_rows_are_its_users_windows(times, tmp_path):
    rows = some_rows(times=times)
    write_index(tmp_path, rows, SALT, About(), n_parts=4)
    for number, part in enumerate(opened(tmp_path).parts()):
        assert set(parts_of(part.users.names, SALT, 4).tolist()) == {number}
        own = rows.take(np.flatnonzero(np.isin(rows.places, part.places)))
        windows = order_windows(own.users, own.times)
        assert part.places.tolist() == own.places[windows.order].tolist()
        assert part.users.texts() == own.users.texts(windows.order)


def test_any_program_reads_the_parts_as_arrow(tmp_path):
    rows = some_rows()
    write_index(tmp_path, rows, SALT, About(), n_parts=2)
    names = pa.ipc.open_file(tmp_path / "items.arrow").read_all()["name"].to_pylist()
    found = []
    for part in sorted((tmp_path / "parts").iterdir()):
        with pa.ipc.open_file(part) as file:
            assert file.num_record_batches == 1 and file.schema.metadata is None
            table = file.read_all().to_pylist()
        found += [(row["place"], row["user"], names[row["item"]], row["time"], row["role"]) for row in table]
    columns = (rows.places.tolist(), rows.users.texts(), rows.items.texts(), rows.times.tolist(), rows.roles.tolist())
    assert sorted(found) == sorted(zip(*columns, strict=True))


def test_the_bytes_are_those_of_every_supported_pyarrow(tmp_path):
    """A run written with one version is read with another: recorded with 25.0.1, equal with 23.0.0 and 26.0.1."""
    rows = rows_of(["u1", "ü", "u1", "b\0"], ["x", "y", "x", "z"], [3, 2, 1, -0.5])
    write_index(tmp_path, rows, SALT, ABOUT, codes=["gone", "x", "y", "z"], n_parts=2)
    digest = hashlib.sha256()
    for name, data in sorted(files_of(tmp_path).items()):
        digest.update(name.encode() + data)
    assert digest.hexdigest() == "9e78b94e3076f7ccea23b62ca02b87ed9829dc755b7ba1344e1d1d5f0c654f1a"


@pytest.mark.parametrize("n_rows, n_parts", [(0, 1), (65536, 1), (65537, 2), (10_000_000, 256), (10**9, 4096), (0, 1)])
def test_number_of_parts(n_rows, n_parts):
    assert n_parts_for(n_rows) == n_parts


def test_parts_depend_on_the_salt_and_are_of_like_size():
    names = [f"user{k}" for k in range(8000)]
    one, other = (parts_of(names, salt, 8) for salt in ("aa", "bb"))
    assert (one != other).mean() > 0.8
    assert np.bincount(one, minlength=8).min() > 850


@pytest.mark.parametrize(
    "rows, message",
    [
        (rows_of(["a", "b"], ["x", "y"], places=[1, 1]), "repeat"),
        (rows_of(["a"], ["x"], places=[-1]), "negative"),
        (rows_of(["a"], ["x"], [float("nan")]), "not finite"),
        (rows_of(["a"], ["x"], [float("inf")]), "not finite"),
        (rows_of(["\ud83c"], ["x"]), "half of a surrogate pair"),
        (rows_of(["a"], ["\udf88"]), "half of a surrogate pair"),
        (rows_of([""], ["x"]), "name is empty"),
        (rows_of(["a"], [""]), "name is empty"),
    ],
)
def test_refused(rows, message, tmp_path):
    with pytest.raises(DataError, match=message):
        write_index(tmp_path, rows, SALT, About())
    assert not (tmp_path / "index.json").exists()


def test_names_of_rows_that_were_taken_away_are_not_written(tmp_path):
    rows = some_rows().take(np.arange(3))
    assert len(rows.users.names) > 3
    write_index(tmp_path, rows, SALT, About())
    assert set(opened(tmp_path).part(0).users.names) == set(rows.users.texts())
    assert set(opened(tmp_path).items.names) == set(rows.items.texts())


def test_items_keep_given_codes(tmp_path):
    rows = rows_of(["a", "a"], ["x", "z"])
    write_index(tmp_path, rows, SALT, About(), codes=["z", "y", "", "x"])
    index = opened(tmp_path)
    assert list(index.items.names) == ["z", "", "", "x"] and index.items.n_rows.tolist() == [1, 0, 0, 1]
    assert index.part(0).items.codes.tolist() == [3, 0]
    with pytest.raises(DataError, match="no code"):
        write_index(tmp_path, rows, SALT, About(), codes=["z"])


def test_what_is_read_outlives_the_file(tmp_path):
    rows = some_rows()
    write_index(tmp_path, rows, SALT, About())
    part = opened(tmp_path).part(0)
    (tmp_path / part_file(0)).write_bytes(b"")
    assert told(part) == told(rows)


def test_neither_torch_nor_pandas_nor_recbole_is_imported():
    """By the index itself; ``core.seeding`` is another room's."""
    code = (
        "import sys; import recbole_apa.core.seeding; before = set(sys.modules);"
        "import recbole_apa.data.index.change, recbole_apa.data.index.check, recbole_apa.data.index.compare,"
        "recbole_apa.data.index.source;"
        "new = {name.split('.')[0] for name in set(sys.modules) - before};"
        "print(sorted(new & {'torch', 'pandas', 'recbole', 'sklearn', 'transformers'}))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
