"""Runs on object stores: the same run, changed all at once, by one writer at a time."""

import json
import os
import random
import signal
from pathlib import Path

import fsspec
import pytest

from recbole_apa import audit, evaluate_run, run, unlearn, verify
from recbole_apa.cli.main import main
from recbole_apa.core.cache import cache_root
from recbole_apa.core.errors import RunError
from recbole_apa.data.index.places import part_file
from recbole_apa.data.visible_data import key_of
from recbole_apa.evidence import key_ring
from recbole_apa.pipeline.build import stored_visible_data
from recbole_apa.runs.ledger import Ledger
from recbole_apa.runs.remote.index import Index
from recbole_apa.runs.remote.lease import LEASE
from recbole_apa.runs.remote.objects import RunObjects
from recbole_apa.runs.remote.working_copy import copy_run, open_place
from recbole_apa.runs.store import RunStore
from tests.helpers import killed_process
from tests.helpers.files import write
from tests.helpers.runs import shown_interaction, state

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def stored(finished, url):
    """The finished run, copied to the URL."""
    copy_run(finished.run_dir, url)
    return url


def fetched(place, folder):
    copy_run(place, folder)
    return folder


@pytest.mark.slow
def test_a_run_at_a_url_is_the_run_in_a_folder(finished, options, url, work_folder, monkeypatch, tmp_path):
    monkeypatch.chdir(work_folder)
    made = run("APA", "board", config_dict=options, run_dir=url)
    assert not list(cache_root().glob("runs/*/*"))
    assert state(fetched(url, tmp_path / "copy")) == state(finished.run_dir)
    again = evaluate_run(url)
    same = [k for k in again.metrics if k.startswith("test.") and not k.endswith("_seconds")]
    assert same and all(again.metrics[k] == finished.metrics[k] == made.metrics[k] for k in same)


@pytest.mark.slow
def test_unlearning_at_a_url_leaves_what_it_leaves_in_a_folder(finished, stored, work_folder, monkeypatch, tmp_path):
    monkeypatch.chdir(work_folder)
    pair = shown_interaction(finished)
    local = fetched(stored, tmp_path / "local")
    unlearn(local, interactions=[pair], users=["u3"])
    result = unlearn(stored, interactions=[pair], users=["u3"])
    assert result.shown(result.certificates[0]) == f"{stored}/certificates/0001.json"
    assert audit(stored).holds and verify(stored).holds
    assert state(fetched(stored, tmp_path / "after")) == state(local)


@pytest.mark.slow
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
    assert len({key_of(word) for word in words}) == store.manifest()["forgotten"]


@pytest.mark.slow
def test_the_open_run_can_be_asked_to_forget(options, url, work_folder, monkeypatch):
    monkeypatch.chdir(work_folder)
    made = run("APA", "board", config_dict=options, run_dir=url)
    unlearn(made, users=["u3"])
    assert audit(url).holds and verify(url).holds


@pytest.mark.slow
def test_the_command_line_takes_urls(stored, work_folder, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(work_folder)
    assert main([f"--run={stored}", "--forget_users=u3"]) == 0
    assert f"certificate: {stored}/certificates/0001.html" in capsys.readouterr().out
    assert main([f"--run={stored}", "--audit"]) == 0
    assert main([f"--run={stored}", f"--copy_to={tmp_path / 'copy'}"]) == 0
    assert main([f"--run={tmp_path / 'copy'}", "--audit"]) == 0
    assert main([f"--run={stored}", f"--copy_to={tmp_path / 'copy'}"]) == 2
    assert "is not empty" in capsys.readouterr().err


def test_leftovers_are_found_and_swept(stored, work_folder, monkeypatch, caplog):
    monkeypatch.chdir(work_folder)
    fs, root = fsspec.core.url_to_fs(stored)
    fs.pipe_file(f"{root}/files/0123456789abcdef/old.json", b"u3")
    findings = audit(stored).findings
    assert findings == ["files/0123456789abcdef/old.json is an object that the index does not name: a leftover"]
    with open_place(stored, "going on"):
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


@pytest.mark.quick(1)
@pytest.mark.parametrize("known_before", [False, True])
def test_a_writer_that_passes_between_the_look_at_the_index_and_its_write_is_not_written_over(
    known_before, s3, tmp_path, monkeypatch
):
    url = f"{s3}/raced{known_before}"
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text(name)
    ours, theirs = RunObjects(url), RunObjects(url)
    known = Index()
    if known_before:
        (tmp_path / "first").mkdir()
        (tmp_path / "first" / "a").write_text("first")
        known = ours.push(tmp_path / "first", known)
    look, pushed = ours.index, []

    def index():
        found = look()
        if not pushed:  # after the look, before the write
            pushed.append(theirs.push(tmp_path / "theirs", known))
        return found

    monkeypatch.setattr(ours, "index", index)
    with pytest.raises(RunError, match="written by another process meanwhile"):
        ours.push(tmp_path / "ours", known)
    assert theirs.index() == pushed[0]


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "n"), [(1, 2), (0, 5)])
def test_killed_between_any_two_writes_a_request_on_s3_ends_as_if_undisturbed(
    seed, n, finished, s3, server, work_folder, tmp_path, monkeypatch
):
    monkeypatch.chdir(work_folder)
    asked = {"users": ["u3"], "interactions": [shown_interaction(finished)]}
    report = tmp_path / "n"
    assert killed_at(server, finished, f"{s3}/undisturbed{seed}", work_folder, asked, None, str(report)) == 0
    expected = state(fetched(f"{s3}/undisturbed{seed}", tmp_path / "undisturbed"))
    n_writes = int(report.read_text())
    points = random.Random(seed).sample(range(1, n_writes + 1), n)
    for at in points:
        place = f"{s3}/killed{seed}-{at}"
        assert killed_at(server, finished, place, work_folder, asked, at) == -signal.SIGKILL
        objects = RunObjects(place)
        if objects.read(LEASE) is not None:
            with pytest.raises(RunError, match="If it was killed"):
                unlearn(place, **asked)
            objects.delete({LEASE})
        finish(place, asked)
        assert state(fetched(place, tmp_path / f"killed{at}")) == expected, at
        audited = audit(place)
        assert audited.holds, (at, audited.findings)


def finish(place, asked):
    """Start again as a person would."""
    with open_place(place, "looking", writes=False) as copy:
        folder = copy.folder
        ledger = Ledger(folder, RunStore(folder).manifest()["salt"])
        taken, waits = ledger.requests(), ledger.waiting()
    if not taken:
        unlearn(place, **asked)  # it was never acknowledged
    elif waits:
        unlearn(place)
    else:
        with open_place(place, "sweeping"):
            pass


@pytest.mark.slow
def test_of_the_index_a_request_sends_only_the_part_that_it_touches(options, s3, work_folder, monkeypatch, tmp_path):
    monkeypatch.chdir(work_folder)
    monkeypatch.setattr("recbole_apa.data.index.places._ROWS", 16)
    url, sent, upload = f"{s3}/parts", [], RunObjects.upload

    def counted(objects, folder, files):
        sent.extend(files)
        upload(objects, folder, files)

    run("APA", "board", config_dict=options, run_dir=url)
    before = RunObjects(url).index()
    monkeypatch.setattr(RunObjects, "upload", counted)
    unlearn(url, users=["u3"])
    index = RunStore(fetched(url, tmp_path / "copy")).open_index()
    (touched,) = index.parts_of(["u3"]).tolist()
    parts = {name for name in sent if "index/parts/" in name}
    assert parts == {f"{folder}index/{part_file(touched)}" for folder in ("", "pending/")}
    assert len([name for name in sent if "index/parts/" in name]) == 2
    untouched = {name for name in before.files if name.startswith("index/parts/")} - parts
    after = RunObjects(url).index()
    assert len(untouched) == index.n_parts - 1 > 8
    assert all(after.files[name] == before.files[name] for name in untouched)


@pytest.mark.slow
def test_a_store_without_rights_says_so(s3, tmp_path):
    write(tmp_path / "run", **{"manifest.json": json.dumps({})})
    with pytest.raises(RunError, match=r"s3://nobucket/run: .*check the address"):
        copy_run(tmp_path / "run", "s3://nobucket/run")


def test_file_urls_are_folders(tmp_path):
    with open_place(f"file://{tmp_path}/run", "reading") as place:
        folder = place.folder
        assert folder == Path(tmp_path) / "run"
