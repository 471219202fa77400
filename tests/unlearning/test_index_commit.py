"""A commit of an index that is killed before any of its file operations ends with the whole new index."""

import os
import shutil

import pytest

from recbole_apa import audit, unlearn
from recbole_apa.core.errors import APAError
from recbole_apa.core.files.whole import read_json
from recbole_apa.data.index.change import Change
from recbole_apa.data.index.check import index_problems
from recbole_apa.data.index.facts import About
from recbole_apa.data.index.places import file_names
from recbole_apa.data.index.write import write_index
from recbole_apa.evidence import Key, key_ring
from recbole_apa.runs.names import INDEX
from recbole_apa.runs.pinned_run import PinnedStore
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.certificate import changed_files
from recbole_apa.unlearning.certifying import refuse_uncertified
from recbole_apa.unlearning.commit import commit_state, pending_store
from tests.helpers.index_rows import some_rows, told
from tests.helpers.index_runs import CHOSEN, begun, pending_change, run_with_index
from tests.helpers.killed_process import OPERATIONS
from tests.helpers.runs import copy_run, tree


class Killed(BaseException):
    """Stands in for a kill: nothing catches it."""


def commit_killed_before(store, kill_at, monkeypatch):
    """Whether the commit was killed before its ``kill_at``-th file operation."""
    counter = {"n": 0}

    def counted(operation):
        def run(*args, **kwargs):
            counter["n"] += 1
            if counter["n"] == kill_at:
                raise Killed
            return operation(*args, **kwargs)

        return run

    with monkeypatch.context() as patched:
        for name in OPERATIONS:
            patched.setattr(os, name, counted(getattr(os, name)))
        try:
            commit_state(store)
        except Killed:
            return True
    return False


def forget_users(store):
    pending_change(store, Change(removed=store.open_index().rows_of_users(["u3", "u7", "u11"])))


def forget_item(store):
    pending_change(store, Change(removed=store.open_index().rows_of_items(["i5"])))


def anew_with_fewer_parts(store):
    pending = begun(pending_store(store))
    write_index(pending.folder / INDEX, some_rows(seed=1), store.salt, About(), n_parts=1)
    pending.seal({"chosen": CHOSEN, "ready": True})


def first_index(store):
    """An index for a run that has none."""
    shutil.rmtree(store.folder / INDEX)
    store.seal({"chosen": CHOSEN})
    pending = begun(pending_store(store))
    write_index(pending.folder / INDEX, some_rows(), store.salt, About(), n_parts=4)
    pending.seal({"chosen": CHOSEN, "ready": True})


@pytest.mark.quick(1)
@pytest.mark.parametrize("prepare", [forget_users, forget_item, anew_with_fewer_parts, first_index])
def test_a_commit_killed_anywhere(prepare, tmp_path, monkeypatch):
    store = run_with_index(tmp_path / "run")
    prepare(store)
    before = told(store.open_index().all_rows()) if store.has_index() else None
    expected = told(pending_store(store).open_index().all_rows())
    shutil.copytree(store.folder, tmp_path / "kept")
    commit_state(store)
    undisturbed = tree(store.folder)
    for kill_at in range(1, 1000):
        shutil.rmtree(store.folder)
        shutil.copytree(tmp_path / "kept", store.folder)
        killed = commit_killed_before(RunStore(store.folder), kill_at, monkeypatch)
        reads_old_or_new(store, before, expected)
        if (store.folder / "pending" / "manifest.json").is_file():
            commit_state(RunStore(store.folder))
        shutil.rmtree(store.folder / "pending", ignore_errors=True)  # what a commit killed at its end leaves
        assert tree(store.folder) == undisturbed, kill_at
        if not killed:
            break
    assert kill_at > 10
    index = PinnedStore(store.folder).open_index()
    assert told(index.all_rows()) == expected and index_problems(index, file_names(index.n_parts)) == []


def reads_old_or_new(store, before, expected):
    """Between kill and resumption a reader gets one of the two states, or is refused."""
    try:
        pinned = PinnedStore(store.folder)
        pinned.check()
        found = told(pinned.open_index().all_rows()) if pinned.has_index() else None
    except APAError:
        return
    assert found in (before, expected)


def test_a_certificate_does_not_tell_which_parts_changed():
    before = {"index/index.json": "aa", "index/parts/0000.arrow": "bb", "index/parts/0001.arrow": "cc", "x": "dd"}
    key = Key(b"k" * 32)
    one, other = (changed_files(before, before | {f"index/parts/000{n}.arrow": "ee"}, key) for n in range(2))
    assert list(one) == list(other) == ["index/"] and one["index/"]["before"] == other["index/"]["before"]
    assert one["index/"]["after"] not in (None, other["index/"]["after"], one["index/"]["before"])
    assert changed_files(before, before, key) == {}
    assert changed_files(before, {"x": "dd"}, key)["index/"]["after"] is None
    assert list(changed_files(before, before | {"x": "ff"}, key)) == ["x"]


def rewritten(store, rows, n_parts=4):
    """Write a finished run's index anew, of some rows and in several parts; whoever does this knows how."""
    about = store.open_index().facts.about
    shutil.rmtree(store.folder / INDEX)
    write_index(store.folder / INDEX, rows, store.salt, about, n_parts=n_parts)
    store.seal({})


def index_in(certificate):
    """What a certificate says of the index's files."""
    said = read_json(certificate)["files"]
    assert [name for name in said if name.startswith(INDEX)] == ["index/"]
    return said["index/"]


def without_user(rows, user):
    return told(rows.take(~rows.users.where(user)))


@pytest.mark.slow
def test_a_request_rewrites_the_index_and_says_so(finished, tmp_path):
    store = RunStore(copy_run(finished, tmp_path / "run"))
    rewritten(store, store.open_index().all_rows())
    before = store.open_index().all_rows()
    assert audit(store.folder).findings == []
    said = index_in(unlearn(store.folder, users=["u3"]).certificates[0])
    assert None not in said.values() and said["before"] != said["after"]
    index = RunStore(store.folder).open_index()
    left = {row[:5] for row in told(index.all_rows())}  # roles and flags may change
    assert index.n_parts == 4 and left == {row[:5] for row in without_user(before, "u3")}
    assert audit(store.folder).findings == []
    refuse_uncertified(RunStore(store.folder), 1, key_ring())


@pytest.mark.slow
def test_a_run_without_an_index_gets_one_at_its_first_request(uncounted, tmp_path):
    folder = copy_run(uncounted, tmp_path / "run")
    before = RunStore(folder).open_index().all_rows()
    shutil.rmtree(folder / INDEX)
    RunStore(folder).seal({})
    assert audit(folder).findings == []
    said = index_in(unlearn(folder, users=["u3"]).certificates[0])
    assert said["before"] is None and said["after"] is not None
    left = {row[:4] for row in told(RunStore(folder).open_index().all_rows())}
    assert left == {row[:4] for row in without_user(before, "u3")}
    assert audit(folder).findings == []
    refuse_uncertified(RunStore(folder), 1, key_ring())


def test_the_audit_finds_faults_of_an_index(finished, tmp_path):
    store = RunStore(copy_run(finished, tmp_path / "run"))
    rewritten(store, store.open_index().all_rows())
    parts = store.folder / INDEX / "parts"
    one, other = (parts / f"000{number}.arrow" for number in (0, 1))
    data = one.read_bytes(), other.read_bytes()
    one.write_bytes(data[1])
    other.write_bytes(data[0])
    store.seal({})
    assert any("index/parts/0000.arrow" in finding for finding in audit(store.folder).findings)


@pytest.mark.slow
def test_the_audit_finds_forgotten_rows_in_an_index(uncounted, uncounted_served, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(uncounted_served, folder)
    store, rows = RunStore(folder), RunStore(uncounted.run_dir).open_index().all_rows()
    left = store.open_index().all_rows()
    rewritten(store, rows)
    found = audit(folder).findings
    assert f"{int(rows.users.where('u3').sum())} forgotten interactions in index/" in found
    assert "1 forgotten names in index/" in found
    rewritten(store, left)
    assert not any("forgotten" in finding for finding in audit(folder).findings)
