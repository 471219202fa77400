"""The index as state of a run: listed, checked when it is read, and taken over part by part."""

import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest

from recbole_apa.core.errors import RunError
from recbole_apa.core.files import stamps
from recbole_apa.core.files.whole import file_digest
from recbole_apa.data.index.change import Change, rewrite
from recbole_apa.data.index.check import index_problems
from recbole_apa.data.index.facts import About
from recbole_apa.data.index.places import file_names, part_file
from recbole_apa.data.index.write import write_index
from recbole_apa.runs.files import RunFiles
from recbole_apa.runs.keep_index import write_first_index
from recbole_apa.runs.names import INDEX
from recbole_apa.runs.pinned_run import PinnedStore
from recbole_apa.runs.remote.working_copy import copy_run
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.commit import commit_state, pending_store
from tests.helpers.index_rows import some_rows, told
from tests.helpers.index_runs import CHOSEN, begun, pending_change, run_with_index


@pytest.fixture
def store(tmp_path):
    return run_with_index(tmp_path / "run")


def test_the_manifest_lists_every_file_of_the_index(store):
    listed = {name for name in store.manifest()["files"] if name.startswith(f"{INDEX}/")}
    assert listed == {f"{INDEX}/{name}" for name in file_names(4)}
    assert store.check()


@pytest.mark.parametrize("kind", [RunStore, PinnedStore])
def test_it_is_read_from_the_run(kind, store):
    opened = kind(store.folder)
    index = opened.open_index()
    assert opened.has_index() and told(index.all_rows()) == told(some_rows())
    assert index_problems(index, file_names(4)) == []
    assert told(index.rows_of_users(["u7"])) == told(some_rows().take(some_rows().users.where("u7")))


def test_a_run_without_one(tmp_path):
    store = begun(RunStore(tmp_path))
    store.seal({"chosen": CHOSEN})
    assert not store.has_index()
    with pytest.raises(RunError, match=r"index/index\.json is not in the manifest"):
        _ = store.open_index().facts
    write_index(tmp_path / INDEX, some_rows(), store.salt, About())
    assert not store.has_index(), "whoever adds files does not add an index"
    with pytest.raises(RunError, match="not in the manifest"):
        _ = PinnedStore(tmp_path).open_index().facts


@pytest.mark.parametrize("name", ["index.json", "items.arrow", part_file(2)])
def test_a_changed_file_is_refused_when_it_is_read(name, store):
    path = store.folder / INDEX / name
    path.write_bytes(path.read_bytes()[::-1])
    pinned = PinnedStore(store.folder)
    with pytest.raises(RunError, match=f"{name} was changed after it was written"):
        pinned.open_index().all_rows()
    with pytest.raises(RunError, match=name):
        pinned.check()


def test_a_part_that_changes_after_the_check_is_refused(store):
    pinned = PinnedStore(store.folder)
    pinned.check()
    one, other = (store.folder / INDEX / part_file(number) for number in (0, 1))
    shutil.copy(other, one)
    with pytest.raises(RunError, match=r"parts/0000\.arrow was changed while it was read"):
        pinned.open_index().part(0)


def test_a_pending_state_has_the_parts_that_it_changes(store):
    before = store.manifest()["files"]
    pending = pending_change(store, Change(removed=store.open_index().rows_of_users(["u7"])))
    own = {name for name in pending.state_files() if name.startswith(INDEX)}
    assert len(own) == 3 and own < set(before)
    after = pending.manifest()["files"]
    assert after.keys() == before.keys()
    assert {name for name in after if after[name] != before[name] and name.startswith(INDEX)} == own
    left = some_rows().take(~some_rows().users.where("u7"))
    assert told(pending.open_index().all_rows()) == told(left), "before the commit"
    commit_state(store)
    assert told(PinnedStore(store.folder).open_index().all_rows()) == told(left)
    assert store.check() and index_problems(store.open_index(), file_names(4)) == []
    assert {name: file_digest(store.folder / name) for name in after} == after


def test_a_pending_state_without_an_index_deletes_the_old_one(store):
    """Else a request that does not know of indexes would leave what it is to delete."""
    pending = begun(pending_store(store))
    pending.seal({"chosen": CHOSEN, "ready": True})
    assert not pending.has_index() and store.has_index()
    commit_state(store)
    assert not store.has_index() and store.check()
    assert not (store.folder / INDEX).exists()


@pytest.mark.parametrize("n_parts", [1, 8])
def test_a_new_index_replaces_the_old_one_whole(n_parts, store):
    pending = begun(pending_store(store))
    write_index(pending.folder / INDEX, some_rows(seed=1), store.salt, About(), n_parts=n_parts)
    pending.seal({"chosen": CHOSEN, "ready": True})
    commit_state(store)
    names = {path.name for path in (store.folder / INDEX / "parts").iterdir()}
    assert names == {part_file(number).split("/")[1] for number in range(n_parts)}
    assert store.check() and told(store.open_index().all_rows()) == told(some_rows(seed=1))


def test_a_pending_index_that_lacks_parts_is_not_sealed(tmp_path):
    store = begun(RunStore(tmp_path))
    store.seal({"chosen": CHOSEN})
    pending = begun(pending_store(store))
    write_index(pending.folder / INDEX, some_rows(), store.salt, About(), n_parts=2)
    (pending.folder / INDEX / part_file(1)).unlink()
    with pytest.raises(RunError, match=r"lacks index/parts/0001\.arrow"):
        pending.seal({"chosen": CHOSEN, "ready": True})


def test_digests_of_unchanged_files_are_not_computed_again(store, monkeypatch):
    monkeypatch.setattr(stamps, "_SETTLED", -(10**18))
    read = []
    monkeypatch.setattr(stamps, "file_digest", lambda path: read.append(path.name) or file_digest(path))
    PinnedStore(store.folder).check()
    assert "0003.arrow" in read and "partition.json" in read
    read.clear()
    PinnedStore(store.folder).check()
    RunStore(store.folder).check()
    PinnedStore(store.folder).open_index().all_rows()
    assert read == []
    change = Change(removed=store.open_index().rows_of_users(["u7"]))
    pending_change(store, change)
    commit_state(store)
    read.clear()
    RunStore(store.folder).check()
    untouched = [name for name in read if name in ("0000.arrow", "0001.arrow", "0002.arrow", "0003.arrow")]
    assert len(untouched) == 1, "of the parts, the one that was rewritten alone"


def test_mapped_files_are_plain_files(store):
    with pytest.raises(RunError, match="is a folder"):
        RunFiles(store.folder).open_mapped(INDEX)
    with pytest.raises(RunError, match="is missing"):
        RunFiles(store.folder).open_mapped("index/none.arrow")


def test_rewriting_twice_from_the_base_gives_the_same_bytes(store, tmp_path):
    """An attempt that starts again repeats its bytes."""
    change = Change(removed=store.open_index().rows_of_users(["u7", "u8"]))
    for name in ("one", "other"):
        rewrite(store.open_index(), tmp_path / name, change)
    one, other = (
        {p.name: p.read_bytes() for p in (tmp_path / n).rglob("*.*") if p.is_file()} for n in ("one", "other")
    )
    assert one == other


@pytest.mark.usefixtures("cache")
def test_it_goes_to_an_object_store_and_back(store, url, tmp_path):
    copy_run(store.folder, url)
    copy_run(url, tmp_path / "back")
    back = PinnedStore(tmp_path / "back")
    assert back.check()["files"] == store.manifest()["files"]
    assert told(back.open_index().all_rows()) == told(some_rows())


def test_data_whose_names_stand_in_further_columns_gets_no_index(finished, tmp_path):
    """RecBole numbers names by those columns, too, and an index does not have them."""
    part = finished.data.train_set
    files = part.run_data.options.files
    shown = SimpleNamespace(run_data=part.run_data, files=part.files)
    write_first_index(RunStore(tmp_path / "plain"), shown, None)
    assert (tmp_path / "plain" / INDEX / "index.json").is_file()
    options = replace(part.run_data.options, files=replace(files, ids=(*files.ids, "friend")))
    shown.run_data = replace(part.run_data, options=options)
    write_first_index(RunStore(tmp_path / "aliases"), shown, None)
    assert not (tmp_path / "aliases").exists()
