"""What a run leaves outside its folder, and places where a request could not finish."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from recbole_apa import audit, run, unlearn, verify
from recbole_apa.core.errors import RunError
from recbole_apa.core.files.whole import read_json, write_whole
from recbole_apa.runs.ledger import Ledger
from recbole_apa.runs.outside import mark
from recbole_apa.runs.store import RunStore
from tests.helpers.runs import copy_run, state, tree

MEMORY = "recbole_apa.model.fit.fill_memory"


def interrupted(*args):
    raise KeyboardInterrupt


def boards():
    """Folders of tensorboard logs in the working folder."""
    return {p.name for p in Path("log_tensorboard").glob("*")} if Path("log_tensorboard").is_dir() else set()


def waiting(folder):
    return Ledger(folder, RunStore(folder).salt).waiting()


@pytest.fixture
def exported(options, tmp_path, monkeypatch):
    """A run of one's own, in a working folder of its own, with an export."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    asked = {**options, "epochs": 1, "export_samples": str(tmp_path / "seen")}
    run("APA", "board", config_dict=asked, run_dir=tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.slow
def test_logs_of_interrupted_trainings_are_removed_and_verification_writes_none(options, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = {**options, "epochs": 1}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("recbole_apa.model.fit.fill_memory", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
        run("APA", "board", config_dict=asked, run_dir="run")
    assert len(boards()) == 1
    run("APA", "board", config_dict=asked, run_dir="run")
    first = boards()
    assert len(first) == 2
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("recbole_apa.model.fit.fill_memory", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
        unlearn("run", users=["u3"])
    unlearn("run")
    assert len(boards()) == 2 and boards().isdisjoint(first)  # of both attempts at the request
    unlearn("run", users=["u4"])
    assert len(boards()) == 1 and audit("run").holds
    before = boards()
    assert verify("run").holds and boards() == before


@pytest.mark.slow
def test_logs_of_an_attempt_that_is_given_up_are_removed(finished, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = copy_run(finished, tmp_path / "run")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("recbole_apa.model.fit.fill_memory", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
        unlearn(folder, users=["u3"])
    attempt = boards()
    manifest = folder / "pending" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"exactness": "inherited"', '"exactness": "strict"'))
    unlearn(folder)
    assert len(attempt) == len(boards()) == 1 and attempt.isdisjoint(boards())


@pytest.mark.slow
def test_forgetting_on_a_copy_leaves_what_the_original_left(exported, tmp_path):
    copy = Path(shutil.copytree(exported, tmp_path / "copy"))
    seen, logs = tree(tmp_path / "seen"), tree(Path("log_tensorboard"))
    certificate = read_json(unlearn(copy, users=["u3"]).certificates[0])
    assert tree(tmp_path / "seen") == seen and logs.items() <= tree(Path("log_tensorboard")).items()
    assert len(certificate["left_outside"]) == 2 and str(tmp_path / "seen") in certificate["left_outside"]
    assert str(tmp_path / "seen") in (copy / "certificates" / "0001.html").read_text()
    assert audit(copy).holds and audit(exported).holds
    assert read_json(unlearn(exported, users=["u3"]).certificates[0])["left_outside"] == []
    assert "u3" not in (tmp_path / "seen" / "train.jsonl").read_text() and audit(exported).holds


@pytest.mark.slow
def test_a_moved_run_leaves_what_nobody_can_tell_whose_it_is_and_says_so(exported, tmp_path):
    moved = exported.rename(tmp_path / "moved")
    seen = tree(tmp_path / "seen")
    certificate = read_json(unlearn(moved, users=["u3"]).certificates[0])
    assert len(certificate["left_outside"]) == 2 and tree(tmp_path / "seen") == seen
    findings = audit(moved).findings
    assert sum("could contain traces" in f for f in findings) == 2
    # looked at by a person: the run is the only one, and lies here now
    salt = RunStore(moved).salt
    for name in certificate["left_outside"]:
        mark(Path(name), salt, str(moved))
    assert not any("could contain traces" in f for f in audit(moved).findings)
    assert read_json(unlearn(moved, users=["u4"]).certificates[0])["left_outside"] == []
    assert audit(moved).holds and "u3" not in (tmp_path / "seen" / "train.jsonl").read_text()


# ------------------------------------------------------------------ what could not be finished is not taken


def refused(folder, match, **asked):
    """A request is refused, and neither the ledger nor anything else in the run has changed."""
    before = tree(folder)
    with pytest.raises(RunError, match=match):
        unlearn(folder, **(asked or {"users": ["u3"]}))
    assert tree(folder) == before and not waiting(folder)


@pytest.mark.slow
def test_an_export_that_may_not_be_looked_at_stops_a_request_before_it_is_taken(exported, tmp_path, monkeypatch):
    real, hidden = Path.exists, str(tmp_path / "seen")

    def exists(path):
        if str(path) == hidden:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "exists", exists)
        refused(exported, r"was not accepted(.|\n)*seen could not be checked: Permission denied")
        # taken by whoever may look there: who may not goes on with the rest, and certificate and audit say so
        with monkeypatch.context() as other:
            other.setattr("recbole_apa.unlearning.stage.refuse_unreachable", lambda store: None)
            certificate = read_json(unlearn(exported, users=["u3"]).certificates[0])
        assert certificate["left_outside"] == [hidden]
        assert any("could not be checked" in f and "could contain traces" in f for f in audit(exported).findings)
    assert "u3" in (tmp_path / "seen" / "train.jsonl").read_text()
    unlearn(exported, users=["u4"])
    assert "u3" not in (tmp_path / "seen" / "train.jsonl").read_text() and audit(exported).holds


@pytest.mark.slow
@pytest.mark.parametrize("place", ["export", "logs", "board", "shards"])
def test_a_place_without_rights_stops_a_request_before_it_is_taken(place, exported, tmp_path, monkeypatch):
    manifest = read_json(exported / "manifest.json")
    named = manifest["outside"]
    closed = {
        "export": named["exports"][0],
        "logs": named["logs"][0] if named["logs"] else None,
        "board": named["tensorboard"][0],
        "shards": str(exported / "shards" / "001"),
    }[place]
    if closed is None:
        pytest.skip("pytest's own handlers took RecBole's place")
    real = os.access
    monkeypatch.setattr(os, "access", lambda p, *a, **k: str(p) != closed and real(p, *a, **k))
    if place == "export":
        monkeypatch.setattr("recbole_apa.unlearning.places.mark", no_right)
    refused(exported, r"was not accepted(.|\n)*" + closed)


def no_right(*args, **named):
    raise RunError("cannot write")


@pytest.mark.parametrize("name", ["shards", "memory.safetensors"])
def test_a_link_inside_the_run_stops_a_request_before_it_is_taken(name, finished, tmp_path):
    folder = copy_run(finished, tmp_path / "run")
    (folder / name).rename(tmp_path / "elsewhere")
    (folder / name).symlink_to(tmp_path / "elsewhere")
    refused(folder, f"{name} is a link")


@pytest.mark.slow
def test_parts_of_a_run_on_another_device_are_moved_by_copying(finished, tmp_path, monkeypatch):
    folder, other = copy_run(finished, tmp_path / "run"), copy_run(finished, tmp_path / "other")
    unlearn(other, users=["u3"])
    for name in ("rename", "replace"):
        monkeypatch.setattr(os, name, across(getattr(os, name)))
    unlearn(folder, users=["u3"])
    assert state(folder) == state(other) and audit(folder).holds and not (folder / "pending").exists()


def across(real):
    """``pending/`` lies on one device, and everything else on another."""

    def move(source, target, **named):
        if "/pending/" in str(source) and "/pending/" not in str(target):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return real(source, target, **named)

    return move


# ------------------------------------------------------------------ full disks


@pytest.mark.slow
@pytest.mark.parametrize("kind", [errno.ENOSPC, errno.EDQUOT])
def test_a_training_stopped_by_a_full_disk_at_its_report_is_finished_by_the_same_call(
    kind, options, tmp_path, monkeypatch
):
    asked = {"config_dict": {**options, "epochs": 1}, "run_dir": tmp_path / "run"}
    with monkeypatch.context() as patch:
        patch.setattr("recbole_apa.evaluation.report.run_page.write_text", full(kind))
        with pytest.raises(RunError, match=r"no space left while writing .*report.html"):
            run("APA", "board", **asked)
    run("APA", "board", **asked)
    assert audit(tmp_path / "run").holds


def full(kind):
    def write(path, text):
        def fails(target):
            raise OSError(kind, os.strerror(kind))

        write_whole(path, fails)

    return write


@pytest.mark.slow
@pytest.mark.parametrize(
    "place", ["recbole_apa.evaluation.report.run_page.write_text", "recbole_apa.unlearning.certificate.write_text"]
)
def test_a_request_stopped_by_a_full_disk_says_that_it_was_accepted(place, finished, tmp_path, monkeypatch):
    folder = copy_run(finished, tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(place, full(errno.EDQUOT))
        with pytest.raises(RunError, match=r"no space left(.|\n)*was accepted.*free space(.|\n)*--resume"):
            unlearn(folder, users=["u3"])
    assert waiting(folder)
    unlearn(folder)
    assert audit(folder).holds and verify(folder).holds


@pytest.mark.slow
def test_a_full_disk_at_the_ledgers_last_line_says_that_the_request_was_accepted(finished, tmp_path, monkeypatch):
    folder = copy_run(finished, tmp_path / "run")
    append = Ledger.append

    def full_at_done(self, kind, content):
        if kind == "done":
            full = OSError(errno.ENOSPC, "no space left")
            raise RunError(f"cannot write {self.path}: no space left; choose another folder with --run_dir") from full
        return append(self, kind, content)

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "append", full_at_done)
        with pytest.raises(RunError, match=r"was accepted.*free space(.|\n)*--resume") as caught:
            unlearn(folder, users=["u3"])
        assert "choose another folder" not in str(caught.value)
    assert unlearn(folder).finished and audit(folder).holds


@pytest.mark.slow
def test_tensorboard_logs_that_cannot_be_written_stop_nothing(finished, tmp_path, monkeypatch, caplog):
    folder = copy_run(finished, tmp_path / "run")

    class Full:
        log_dir = "logs"

        def add_scalar(self, *args):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("recbole_apa.runs.tensorboard.open_scalars", lambda *a: Full())
    unlearn(folder, users=["u3"])
    assert caplog.text.count("cannot be written, and end here") == 1 and audit(folder).holds
    (tmp_path / "file").write_text("")
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "log_tensorboard").write_text("no folder")
    unlearn(folder, users=["u4"])
    assert "nothing is written for tensorboard" in caplog.text and audit(folder).holds
