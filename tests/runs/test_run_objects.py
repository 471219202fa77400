"""Objects of a run on a store: index, lease, leftovers."""

import os
import threading

import pytest

from recbole_apa import audit, evaluate_run, unlearn
from recbole_apa.cli.main import main
from recbole_apa.core.errors import RunError
from recbole_apa.core.files.whole import file_digest
from recbole_apa.runs.remote import lease as lease_file
from recbole_apa.runs.remote.index import Index
from recbole_apa.runs.remote.lease import LEASE, lease
from recbole_apa.runs.remote.objects import INDEX, RunObjects, told
from recbole_apa.runs.remote.working_copy import open_place
from tests.helpers.files import write

pytestmark = pytest.mark.usefixtures("cache")


def test_what_is_published_is_there_at_once(url):
    with open_place(url, "training") as place:
        folder = place.folder
        write(folder, **{"shards/000/a": "1"})
        assert RunObjects(url).index() == Index()
        place.at("shards").publish()
        assert set(RunObjects(url).index().files) == {"shards/000/a"}
        write(folder, b="2")
        with pytest.raises(RunError, match="in use by this process"), open_place(url, "again"):
            pass
    assert set(RunObjects(url).index().files) == {"shards/000/a", "b"}


def test_what_an_error_interrupts_is_kept(url):
    with pytest.raises(KeyboardInterrupt), open_place(url, "training") as place:
        folder = place.folder
        write(folder, a="1")
        raise KeyboardInterrupt
    objects = RunObjects(url)
    assert set(objects.index().files) == {"a"} and objects.read(LEASE) is None


def test_a_reader_changes_nothing(url):
    with open_place(url, "training") as place:
        folder = place.folder
        write(folder, a="1")
    with open_place(url, "reading", writes=False) as place:
        folder = place.folder
        assert RunObjects(url).read(LEASE) is None
        write(folder, a="2")
        place.publish()
    with open_place(url, "reading", writes=False) as place:
        folder = place.folder
        assert (folder / "a").read_text() == "1"


@pytest.mark.parametrize("at", range(1, 4))
def test_a_write_that_breaks_off_leaves_the_old_run_or_the_new_one(url, at, tmp_path, monkeypatch):
    """Old: a and b; new: a changed, b gone, c added. Three writes: objects, index, deletions."""
    objects = RunObjects(url)
    old, new = tmp_path / "old", tmp_path / "new"
    write(old, a="1", b="2")
    write(new, a="3", c="4")
    known = objects.push(old, Index())
    n = 0

    def breaking(name):
        original = getattr(RunObjects, name)

        def operation(*args, **kwargs):
            nonlocal n
            n += 1
            if n == at:
                raise RunError("the network is gone")
            return original(*args, **kwargs)

        monkeypatch.setattr(RunObjects, name, operation)

    with monkeypatch.context() as m:
        monkeypatch = m
        for name in ("upload", "write", "delete"):
            breaking(name)
        with pytest.raises(RunError, match="network"):
            objects.push(new, known)
    with open_place(url, "going on") as place:
        folder = place.folder
        found = {p.name: p.read_text() for p in folder.iterdir()}
    assert found == ({"a": "1", "b": "2"} if at < 3 else {"a": "3", "c": "4"})
    assert objects.strays() == []


def test_an_index_that_leads_outside_is_refused(url):
    RunObjects(url).write(INDEX, {"format_version": 1, "generation": 1, "files": {"../evil": "00"}})
    with pytest.raises(RunError, match="outside the run"):
        evaluate_run(url)
    RunObjects(url).write(INDEX, {"format_version": 3})
    with pytest.raises(RunError, match="format version 1 or 2"):
        evaluate_run(url)


def test_a_reader_takes_the_run_that_came_meanwhile(url, tmp_path, monkeypatch):
    objects = RunObjects(url)
    write(tmp_path / "old", a="1", b="1")
    write(tmp_path / "new", a="2")
    known = objects.push(tmp_path / "old", Index())
    fetch = RunObjects._fetch

    def overtaken(self, index, folder):
        if index.generation == 1:
            RunObjects(url).push(tmp_path / "new", known)
        fetch(self, index, folder)

    monkeypatch.setattr(RunObjects, "_fetch", overtaken)
    with open_place(url, "reading", writes=False) as place:
        folder = place.folder
        assert {p.name: p.read_text() for p in folder.iterdir()} == {"a": "2"}


def test_the_second_writer_is_told_who_holds_the_run(url):
    told = pytest.raises(RunError, match=rf"in use by process {os.getpid()} .*\(training\); wait for it")
    with lease(RunObjects(url), "training"), told, open_place(url, "unlearning"):
        pass
    with open_place(url, "unlearning"):
        pass


def test_two_writers_at_once_are_one(url):
    held, refused, barrier = [], [], threading.Barrier(4)

    def start(number):
        barrier.wait()
        try:
            with lease(RunObjects(url), "training"):
                held.append(number)
                barrier_end.wait(5)
        except RunError:
            refused.append(number)
            barrier_end.wait(5)

    barrier_end = threading.Barrier(4)
    threads = [threading.Thread(target=start, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(held), len(refused)) == (1, 3)


def test_a_lease_is_renewed_and_ends_by_itself(url, monkeypatch):
    monkeypatch.setattr(lease_file, "SECONDS", 0.5)
    monkeypatch.setattr(lease_file, "RENEWED", 0.05)
    objects = RunObjects(url)
    with lease(objects, "training"):
        first = objects.read(LEASE)["until"]
        for _ in range(200):
            threading.Event().wait(0.05)
            if objects.read(LEASE)["until"] > first + 0.1:
                break
        else:
            raise AssertionError("the lease was not renewed")
    objects.write(LEASE, {"owner": "a dead process", "until": 0})
    with open_place(url, "unlearning"):
        pass


def test_a_writer_that_lost_its_lease_is_refused(url, tmp_path):
    told = pytest.raises(RunError, match=r"written by another process meanwhile \(generation 1, expected 0\)")
    with told, open_place(url, "slow") as place:
        folder = place.folder
        write(folder, a="1")
        write(tmp_path / "other", a="2")
        RunObjects(url).push(tmp_path / "other", Index())
    assert RunObjects(url).index().generation == 1


def test_copies_of_dead_processes_are_removed(url):
    with open_place(url, "reading", writes=False) as place:
        own = place.folder.parent
        left = own.with_name(own.name.rpartition("-")[0] + "-99999999") / "run"
        write(left, a="forgotten since")
    with open_place(url, "reading", writes=False):
        assert not left.exists()


def test_no_digest_is_among_the_names_of_objects_and_those_of_an_older_version_are_put_elsewhere(url, tmp_path):
    objects = RunObjects(url)
    for name in ("a", "b"):
        (tmp_path / "run").mkdir(exist_ok=True)
        (tmp_path / "run" / name).write_text(name)
    digests = {name: file_digest(tmp_path / "run" / name) for name in ("a", "b")}
    with told(url):
        for name, digest in digests.items():
            objects.fs.pipe_file(objects.path(f"files/{digest[:16]}/{name}"), name.encode())
    objects.write(INDEX, {"format_version": 1, "generation": 1, "files": digests})
    index = objects.pull(tmp_path / "copy")
    assert {p.name: p.read_text() for p in (tmp_path / "copy").iterdir()} == {"a": "a", "b": "b"}
    (tmp_path / "copy" / "c").write_text("c")
    after = objects.push(tmp_path / "copy", index)
    assert objects.index() == after and objects.strays() == []
    places = " ".join(after.keys())
    assert not [digest for digest in digests.values() if digest[:16] in places]
    (tmp_path / "copy" / "c").write_text("d")
    assert {n: s.place for n, s in objects.push(tmp_path / "copy", after).files.items() if n != "c"} == {
        n: s.place for n, s in after.files.items() if n != "c"
    }


@pytest.mark.parametrize(
    "index",
    [
        {"generation": 1},
        {"files": {}},
        {"generation": "1", "files": {}},
        {"generation": 1, "files": ["manifest.json"]},
        {"generation": 1, "files": {"manifest.json": 3}},
        {"generation": 1, "files": {"manifest.json": "00"}},
        {"generation": 1, "files": {"": "ab" * 32}},
        {"generation": 1, "files": {"a": "ab" * 32, "a/b": "ab" * 32}},
        {"generation": 1, "files": {"a\0b": "ab" * 32}},
        {"generation": True, "files": {}},
    ],
)
def test_an_odd_index_is_named(index, url, tmp_path, capsys):
    RunObjects(url).write(INDEX, {"format_version": 1, **index})
    for command in ([], ["--audit"], ["--forget_users=u3"], [f"--copy_to={tmp_path / 'copy'}"]):
        assert main([f"--run={url}", *command]) == 2
        assert INDEX in capsys.readouterr().err
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize(
    "data", [b"[" * 100_000, b'{"generation": ' + b"9" * 5000 + b"}", b"\xff", b'{"a": NaN}', b"[]"]
)
def test_an_index_or_a_lease_that_is_no_json_of_ours_is_named(data, url):
    objects = RunObjects(url)
    objects.fs.pipe_file(objects.path(INDEX), data)
    with pytest.raises(RunError, match=r"index\.json"):
        audit(url)
    objects.fs.pipe_file(objects.path(LEASE), data)
    with pytest.raises(RunError, match=r"lease\.json.* is damaged"):
        unlearn(url, users=["u3"])
