"""Runs on object stores: the same run, changed all at once, by one writer at a time."""

import json
import os
import random
import re
import signal
import threading
from pathlib import Path

import fsspec
import pytest

from recbole_apa import audit, evaluate_run, run, unlearn, verify
from recbole_apa.cli.main import main
from recbole_apa.core.cache import cache_root
from recbole_apa.core.errors import RunError
from recbole_apa.core.files.whole import file_digest
from recbole_apa.data.visible_data import key_of
from recbole_apa.evidence import key_ring
from recbole_apa.pipeline.build import stored_visible_data
from recbole_apa.runs.ledger import Ledger
from recbole_apa.runs.remote import lease as lease_file
from recbole_apa.runs.remote.lease import LEASE, lease
from recbole_apa.runs.remote.objects import INDEX, Index, RunObjects, told
from recbole_apa.runs.remote.working_copy import copy_run, publish, shown, working_folder
from recbole_apa.runs.store import RunStore
from tests.helpers import killed_process
from tests.helpers.runs import shown_interaction, state


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RECBOLE_APA_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def url(request):
    """A place in memory of each test's own."""
    name = re.sub(r"\W", "-", request.node.name)
    yield f"memory://{name}/run"
    fs = fsspec.filesystem("memory")
    if fs.exists(f"/{name}"):
        fs.rm(f"/{name}", recursive=True)


@pytest.fixture
def stored(finished, url):
    """The finished run, copied to the URL."""
    copy_run(finished.run_dir, url)
    return url


def fetched(place, folder):
    copy_run(place, folder)
    return folder


def write(folder, **files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def test_a_run_at_a_url_is_the_run_in_a_folder(finished, options, url, work_folder, monkeypatch, tmp_path):
    monkeypatch.chdir(work_folder)
    made = run("APA", "board", config_dict=options, run_dir=url)
    assert not list(cache_root().glob("runs/*/*"))
    assert state(fetched(url, tmp_path / "copy")) == state(finished.run_dir)
    again = evaluate_run(url)
    same = [k for k in again.metrics if k.startswith("test.") and not k.endswith("_seconds")]
    assert same and all(again.metrics[k] == finished.metrics[k] == made.metrics[k] for k in same)


def test_unlearning_at_a_url_leaves_what_it_leaves_in_a_folder(finished, stored, work_folder, monkeypatch, tmp_path):
    monkeypatch.chdir(work_folder)
    pair = shown_interaction(finished)
    local = fetched(stored, tmp_path / "local")
    unlearn(local, interactions=[pair], users=["u3"])
    result = unlearn(stored, interactions=[pair], users=["u3"])
    assert shown(result.certificates[0]) == f"{stored}/certificates/0001.json"
    assert audit(stored).holds and verify(stored).holds
    assert state(fetched(stored, tmp_path / "after")) == state(local)


def test_no_object_names_what_was_forgotten(finished, stored, work_folder, monkeypatch, tmp_path):
    monkeypatch.chdir(work_folder)
    fs, root = fsspec.core.url_to_fs(stored)

    def naming(words):
        return [p for p in fs.find(root) for w in words if w.encode() in fs.cat_file(p)]

    rows = finished.data[0]._dataset.interactions
    words = [rows.row_id(r) for r in range(len(rows)) if rows.users[r] == "u3"]
    assert naming(words)
    unlearn(stored, users=["u3"])
    assert naming(words) == []
    store = RunStore(fetched(stored, tmp_path / "x"))
    visible_data = stored_visible_data(store, key_ring())
    assert all(visible_data.hides(key_of(word)) for word in words)
    assert len({key_of(word) for word in words}) == len(store.manifest()["forgotten"])


def test_the_open_run_can_be_asked_to_forget(options, url, work_folder, monkeypatch):
    monkeypatch.chdir(work_folder)
    made = run("APA", "board", config_dict=options, run_dir=url)
    unlearn(made, users=["u3"])
    assert audit(url).holds and verify(url).holds


def test_the_command_line_takes_urls(stored, work_folder, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(work_folder)
    assert main([f"--run={stored}", "--forget_users=u3"]) == 0
    assert f"certificate: {stored}/certificates/0001.html" in capsys.readouterr().out
    assert main([f"--run={stored}", "--audit"]) == 0
    assert main([f"--run={stored}", f"--copy_to={tmp_path / 'copy'}"]) == 0
    assert main([f"--run={tmp_path / 'copy'}", "--audit"]) == 0
    assert main([f"--run={stored}", f"--copy_to={tmp_path / 'copy'}"]) == 2
    assert "is not empty" in capsys.readouterr().err


def test_what_is_published_is_there_at_once(url):
    with working_folder(url, "training") as folder:
        write(folder, **{"shards/000/a": "1"})
        assert RunObjects(url).index() == Index()
        publish(folder / "shards")
        assert set(RunObjects(url).index().files) == {"shards/000/a"}
        write(folder, b="2")
        with pytest.raises(RunError, match="in use by this process"), working_folder(url, "again"):
            pass
    assert set(RunObjects(url).index().files) == {"shards/000/a", "b"}


def test_what_an_error_interrupts_is_kept(url):
    with pytest.raises(KeyboardInterrupt), working_folder(url, "training") as folder:
        write(folder, a="1")
        raise KeyboardInterrupt
    objects = RunObjects(url)
    assert set(objects.index().files) == {"a"} and objects.read(LEASE) is None


def test_a_reader_changes_nothing(url):
    with working_folder(url, "training") as folder:
        write(folder, a="1")
    with working_folder(url, "reading", writes=False) as folder:
        assert RunObjects(url).read(LEASE) is None
        write(folder, a="2")
        publish(folder)
    with working_folder(url, "reading", writes=False) as folder:
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
    with working_folder(url, "going on") as folder:
        found = {p.name: p.read_text() for p in folder.iterdir()}
    assert found == ({"a": "1", "b": "2"} if at < 3 else {"a": "3", "c": "4"})
    assert objects.strays() == []


def test_leftovers_are_found_and_swept(stored, work_folder, monkeypatch, caplog):
    monkeypatch.chdir(work_folder)
    fs, root = fsspec.core.url_to_fs(stored)
    fs.pipe_file(f"{root}/files/0123456789abcdef/old.json", b"u3")
    findings = audit(stored).findings
    assert findings == ["files/0123456789abcdef/old.json is an object that the index does not name: a leftover"]
    with working_folder(stored, "going on"):
        pass
    assert audit(stored).holds


def test_changed_and_missing_objects_are_refused(stored):
    objects = RunObjects(stored)
    key = sorted(objects.index().keys())[0]
    objects.fs.pipe_file(objects.path(key), b"other")
    with pytest.raises(RunError, match="was changed after it was written"):
        evaluate_run(stored)
    objects.fs.rm_file(objects.path(key))
    with pytest.raises(RunError, match=r"missing|FileNotFoundError"):
        evaluate_run(stored)


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
    with working_folder(url, "reading", writes=False) as folder:
        assert {p.name: p.read_text() for p in folder.iterdir()} == {"a": "2"}


def test_the_second_writer_is_told_who_holds_the_run(url):
    told = pytest.raises(RunError, match=rf"in use by process {os.getpid()} .*\(training\); wait for it")
    with lease(RunObjects(url), "training"), told, working_folder(url, "unlearning"):
        pass
    with working_folder(url, "unlearning"):
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
    with working_folder(url, "unlearning"):
        pass


def test_a_writer_that_lost_its_lease_is_refused(url, tmp_path):
    told = pytest.raises(RunError, match=r"written by another process meanwhile \(generation 1, expected 0\)")
    with told, working_folder(url, "slow") as folder:
        write(folder, a="1")
        write(tmp_path / "other", a="2")
        RunObjects(url).push(tmp_path / "other", Index())
    assert RunObjects(url).index().generation == 1


def test_copies_of_dead_processes_are_removed(url):
    place = working_folder(url, "reading", writes=False)
    with place as folder:
        own = folder.parent
        left = own.with_name(own.name.rpartition("-")[0] + "-99999999") / "run"
        write(left, a="forgotten since")
    with working_folder(url, "reading", writes=False):
        assert not left.exists()


@pytest.mark.parametrize("place", ["s4://bucket/run", "memory://nothing/there"])
def test_places_that_are_no_runs(place):
    with pytest.raises(RunError, match=r"s4|is not a run"):
        copy_run(place, "memory://elsewhere/run")


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    """A bucket of a real server of the S3 protocol, on loopback."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    patch = pytest.MonkeyPatch()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        patch.setenv(name, value)
    fsspec.filesystem("s3").mkdir("runs")
    yield "s3://runs"
    fsspec.filesystem("s3").clear_instance_cache()
    patch.undo()
    server.stop()


def killed_at(server, finished, place, work_folder, asked, at, report=None):
    """Copy the run to a place and kill a request there; its exit code."""
    copy_run(finished.run_dir, place)
    variables = {name: value for name, value in os.environ.items() if name.startswith(("AWS_", "RECBOLE_"))}
    arguments = (place, str(work_folder), asked, at, report, variables)
    process = server.Process(target=killed_process.forget_at, args=arguments)
    process.start()
    process.join()
    return process.exitcode


@pytest.mark.parametrize(("seed", "n"), [(1, 2), pytest.param(0, 5, marks=pytest.mark.slow)])
def test_killed_between_any_two_writes_a_request_on_s3_ends_as_if_undisturbed(
    seed, n, finished, s3, server, work_folder, tmp_path, monkeypatch
):
    monkeypatch.chdir(work_folder)
    asked = {"users": ["u3"], "interactions": [shown_interaction(finished)]}
    report = tmp_path / "n"
    assert killed_at(server, finished, f"{s3}/undisturbed", work_folder, asked, None, str(report)) == 0
    expected = state(fetched(f"{s3}/undisturbed", tmp_path / "undisturbed"))
    n_writes = int(report.read_text())
    points = random.Random(seed).sample(range(1, n_writes + 1), n)
    for at in points:
        place = f"{s3}/killed{at}"
        assert killed_at(server, finished, place, work_folder, asked, at) == -signal.SIGKILL
        objects = RunObjects(place)
        if objects.read(LEASE) is not None:
            with pytest.raises(RunError, match="Was it killed"):
                unlearn(place, **asked)
            objects.delete({LEASE})
        finish(place, asked)
        assert state(fetched(place, tmp_path / f"killed{at}")) == expected, at
        audited = audit(place)
        assert audited.holds, (at, audited.findings)


def finish(place, asked):
    """Start again as a person would."""
    with working_folder(place, "looking", writes=False) as folder:
        ledger = Ledger(folder, RunStore(folder).manifest()["salt"])
        taken, waits = ledger.requests(), ledger.waiting()
    if not taken:
        unlearn(place, **asked)  # it was never acknowledged
    elif waits:
        unlearn(place)
    else:
        with working_folder(place, "sweeping"):
            pass


def test_a_store_without_rights_says_so(s3, tmp_path):
    write(tmp_path / "run", **{"manifest.json": json.dumps({})})
    with pytest.raises(RunError, match=r"s3://nobucket/run: .*check the address"):
        copy_run(tmp_path / "run", "s3://nobucket/run")


def test_file_urls_are_folders(tmp_path):
    with working_folder(f"file://{tmp_path}/run", "reading") as folder:
        assert folder == Path(tmp_path) / "run"


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
