"""Data files are recognised while they are unchanged, and compared with the index once they are not."""

import os
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_apa.core.errors import DataError
from recbole_apa.core.files import stamps
from recbole_apa.core.files.whole import file_digest
from recbole_apa.data.index.compare import differing_rows
from recbole_apa.data.index.facts import About, Addition
from recbole_apa.data.index.source import files_as_they_are, source_of, unchanged_files
from recbole_apa.data.index.write import write_index
from recbole_apa.data.samples import Interactions
from recbole_apa.evidence.key import Key, secret_of
from tests.helpers.index_rows import SALT, index_rows, opened, rows_of, some_rows

SECRET = secret_of(SALT, None)


@pytest.fixture
def data_file(tmp_path):
    path = tmp_path / "board.inter"
    path.write_text("user_id:token\titem_id:token\nu1\ti1\n")
    return path


def age(path, seconds=60):
    """As if it had been there for a while."""
    long_ago = time.time() - seconds
    os.utime(path, (long_ago, long_ago))


@pytest.fixture
def settled(monkeypatch):
    """Digests are remembered of files however new."""
    monkeypatch.setattr(stamps, "_SETTLED", -(10**18))
    stamps.forget_digests()


def test_a_file_is_recognised_by_its_bytes(data_file):
    source = source_of(files_as_they_are([data_file]), SECRET)
    assert source[0].name == "board.inter" and source[0].size == data_file.stat().st_size
    assert unchanged_files([data_file], source, SECRET)
    os.utime(data_file, (1, 1))
    assert unchanged_files([data_file], source, SECRET)
    text = data_file.read_text()
    data_file.write_text(text.replace("u1", "u2"))
    assert not unchanged_files([data_file], source, SECRET)
    data_file.write_text(text + "u1\ti2\n")
    assert not unchanged_files([data_file], source, SECRET)
    data_file.write_text(text)
    assert unchanged_files([data_file], source, SECRET)


def test_the_digest_is_keyed(data_file):
    keys = [SECRET, secret_of(SALT, Key(b"a" * 32)), secret_of(SALT, Key(b"b" * 32)), secret_of("00" * 16, None)]
    digests = {source_of(files_as_they_are([data_file]), secret)[0].digest for secret in keys}
    assert len(digests) == 4 and file_digest(data_file) not in digests


def test_other_names_and_missing_files(data_file, tmp_path):
    source = source_of(files_as_they_are([data_file]), SECRET)
    other = data_file.rename(tmp_path / "other.inter")
    assert not unchanged_files([other], source, SECRET)
    with pytest.raises(DataError, match="does not exist"):
        unchanged_files([data_file], source, SECRET)


def test_a_digest_is_computed_once(data_file, settled, monkeypatch):
    digest, read = file_digest(data_file), []
    monkeypatch.setattr(stamps, "file_digest", lambda path: read.append(path) or file_digest(path))
    assert stamps.remembered_digest(data_file) == stamps.remembered_digest(data_file) == digest
    assert len(read) == 1


@pytest.mark.parametrize("way", ["in place", "another file", "times put back"])
def test_a_changed_file_is_read_again(way, data_file, settled):
    first, before = stamps.remembered_digest(data_file), data_file.stat()
    text = data_file.read_text().replace("u1", "u2")
    if way == "another file":
        data_file.with_suffix(".new").write_text(text)
        os.replace(data_file.with_suffix(".new"), data_file)
    else:
        time.sleep(0.02)  # one tick of the file system's clock
        data_file.write_text(text)
    os.utime(data_file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert data_file.stat().st_size == before.st_size and data_file.stat().st_mtime_ns == before.st_mtime_ns
    assert stamps.remembered_digest(data_file) == file_digest(data_file) != first


def test_the_digest_of_a_file_that_is_new_is_not_remembered(data_file):
    stamps.forget_digests()
    stamps.remembered_digest(data_file)
    age(data_file)  # changes it now, whatever time it shows
    stamps.remembered_digest(data_file)
    assert not stamps._known


def as_file(rows, order=None):
    """Rows as a data file has them, in order of place or another."""
    at = np.argsort(rows.places) if order is None else np.asarray(order, dtype=np.int64)
    rows = rows.take(at)
    labels = (rows.values >= 3).astype(np.int64)
    return Interactions(rows.users.texts(), rows.items.texts(), labels, rows.times, rows.values)


@pytest.fixture
def index(tmp_path):
    write_index(tmp_path, some_rows(), SALT, About(), n_parts=4)
    return opened(tmp_path)


def test_the_same_rows(index):
    assert differing_rows(index, as_file(some_rows())) is None


@pytest.mark.slow
@settings(deadline=None, max_examples=25)
@given(rows=index_rows(), seed=st.integers(0, 99))
def test_users_may_be_mixed_in_another_way(rows, seed):
    users = rows.users.codes[np.argsort(rows.places)]
    keys = np.random.default_rng(seed).random(len(rows.users.names))[users]
    order = np.argsort(rows.places)[np.argsort(keys, kind="stable")]
    with tempfile.TemporaryDirectory() as folder:
        write_index(Path(folder), rows, SALT, About(), n_parts=2)
        assert differing_rows(opened(Path(folder)), as_file(rows, order)) is None


def test_rows_in_order_of_time(index):
    rows = some_rows()
    assert differing_rows(index, as_file(rows, np.argsort(rows.times, kind="stable"))) is None


def test_ties_keep_the_files_order(tmp_path):
    rows = rows_of(["a", "a", "b"], ["x", "y", "x"], [1, 1, 1])
    write_index(tmp_path, rows, SALT, About())
    assert differing_rows(opened(tmp_path), as_file(rows, [2, 0, 1])) is None
    assert "1 user has other rows" in differing_rows(opened(tmp_path), as_file(rows, [1, 0, 2]))


def edited(column, value, row=7):
    def change(rows):
        changed = getattr(rows, column).copy() if column in ("values", "times") else getattr(rows, column).texts()
        changed[row] = value
        columns = {name: getattr(rows, name) for name in ("values", "places")}
        users, items, times = rows.users.texts(), rows.items.texts(), rows.times
        if column == "values":
            columns["values"] = changed
        users, items = (changed if column == n else c for n, c in (("users", users), ("items", items)))
        return rows_of(users, items, changed if column == "times" else times, **columns)

    return change


@pytest.mark.parametrize(
    "change, finding",
    [
        (lambda rows: rows.take(np.arange(1, len(rows))), "1 user has other rows"),
        (lambda rows: rows.take(np.flatnonzero(~rows.users.where("u3"))), "1 user has other rows"),
        (edited("values", 0.5), "1 user has other rows"),
        (edited("times", 60), "1 user has other rows"),
        (edited("items", "another"), "1 of its rows are of items"),
        (edited("users", "another"), "1 of its rows are of users"),
        (lambda rows: rows_of(rows.users.texts(), rows.items.texts(), values=rows.values), "no times"),
    ],
)
def test_other_rows(change, finding, index):
    assert finding in differing_rows(index, as_file(change(some_rows())))


def test_a_row_too_many(index):
    rows = some_rows()
    again = rows.take(np.array([*range(len(rows)), 5]))
    assert "1 user has other rows" in differing_rows(index, as_file(again, range(len(again))))


def grown(tmp_path):
    """Rows that a run began with, and what two additions brought: u1 repeats a row of its own, u2 is new."""
    users, items = ["u1", "u1", "u3", "u1", "u1", "u2", "u2"], ["x", "y", "x", "z", "z", "x", "w"]
    rows = rows_of(users, items, [1, 2, 3, 9, 9, 1, 2], since=[0, 0, 0, 1, 1, 2, 2], values=[1] * 7)
    write_index(tmp_path, rows, SALT, About(additions=(Addition(2, 0, 0, 1), Addition(2, 0, 1, 2))), n_parts=2)
    return opened(tmp_path), rows


@pytest.mark.parametrize("there", [[], [3], [3, 4], [5], [6, 3], [3, 4, 5, 6]])
def test_added_rows_may_be_missing_or_there_once(there, tmp_path):
    index, rows = grown(tmp_path)
    assert differing_rows(index, as_file(rows, [0, 1, 2, *there])) is None


@pytest.mark.parametrize("there", [[3, 4, 3], [5, 5], [1], [5, 6, 0]])
def test_and_not_more_often(there, tmp_path):
    index, rows = grown(tmp_path)
    assert "1 user has other rows" in differing_rows(index, as_file(rows, [0, 1, 2, *there]))


def test_added_rows_do_not_stand_in_for_missing_ones(tmp_path):
    index, rows = grown(tmp_path)
    assert "1 user has other rows" in differing_rows(index, as_file(rows, [0, 2, 3, 4, 5, 6]))


@pytest.mark.parametrize("there, same", [([0], True), ([0, 1], True), ([], False), ([0, 1, 0], False)])
def test_an_added_row_that_equals_one_of_the_first(there, same, tmp_path):
    """The first row has to be there, whether or not the added one is."""
    rows = rows_of(["u", "u"], ["x", "x"], [1, 1], since=[0, 1], values=[1, 1])
    write_index(tmp_path, rows, SALT, About(additions=(Addition(1, 0, 0, 1),)))
    assert (differing_rows(opened(tmp_path), as_file(rows, there)) is None) == same
