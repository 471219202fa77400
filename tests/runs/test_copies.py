"""Working copies of runs on an object store that a killed process left in the cache."""

import os
import subprocess
import sys

import pytest

from recbole_apa import audit, unlearn
from recbole_apa.core.files.whole import read_json
from recbole_apa.runs.remote import copies
from recbole_apa.runs.remote.copies import copy_name, held, others_of, remove_left
from recbole_apa.runs.remote.working_copy import copy_run, open_place

DIGEST = "0123456789ab"


@pytest.fixture
def gone():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def left(runs, host, number, kernel=None):
    """A copy that a process left."""
    copy = runs / f"{DIGEST}-{host}-{number}"
    copy.mkdir(parents=True)
    (copy / "memory.safetensors").write_bytes(b"what was forgotten since")
    if kernel is not None:
        (copy / ".kernel").write_text(kernel)
    return copy


@pytest.mark.slow
def test_a_copy_of_a_container_that_is_gone_is_removed(tmp_path, gone):
    """Its host name is no longer anybody's; under the same kernel the lock tells that its process is gone."""
    copy = left(tmp_path, "4f2a99", gone, copies._kernel())
    own = left(tmp_path, copies._here().strip("-"), gone)
    remove_left(tmp_path)
    assert not copy.exists() and not own.exists()


def test_a_copy_in_use_under_another_host_name_stays_and_is_not_called_left(tmp_path, monkeypatch):
    monkeypatch.setattr(copies, "_here", lambda: "-4f2a99-")
    other = tmp_path / copy_name(DIGEST)
    with held(other):
        monkeypatch.setattr(copies, "_here", lambda: "-this-")
        (tmp_path / copy_name(DIGEST)).mkdir()
        remove_left(tmp_path)
        assert other.exists() and others_of(tmp_path / copy_name(DIGEST)) == []
    remove_left(tmp_path)
    assert not other.exists() and (tmp_path / copy_name(DIGEST)).exists()


def test_a_copy_of_another_machine_stays_and_is_named(tmp_path, gone):
    here = tmp_path / copy_name(DIGEST)
    here.mkdir()
    other, older = left(tmp_path, "far", gone, "another kernel"), left(tmp_path, "older", gone)
    left(tmp_path, "far", os.getpid()).rename(tmp_path / f"ba9876543210-far-{gone}")  # of another run
    remove_left(tmp_path)
    assert others_of(here) == sorted([str(other), str(older)])


@pytest.mark.slow
def test_certificate_and_audit_name_a_copy_of_another_machine(finished, tmp_path, monkeypatch, gone):
    monkeypatch.setenv("RECBOLE_APA_CACHE", str(tmp_path / "cache"))
    url = f"memory://{tmp_path.name}/run"
    copy_run(finished.run_dir, url)
    with open_place(url, "looking", writes=False) as place:
        folder = place.folder
        digest = folder.parent.name.split("-")[0]
    other = tmp_path / "cache" / "runs" / f"{digest}-far-{gone}"
    other.mkdir(parents=True)
    result = unlearn(url, users=["u3"])
    assert result.certificates and other.is_dir()
    copy_run(url, tmp_path / "copy")
    certificate = read_json(tmp_path / "copy" / "certificates" / "0001.json")
    assert str(other) in certificate["left_outside"]
    assert any(f.startswith(f"{other} could contain traces") for f in audit(url).findings)
    other.rmdir()
    assert not any("working copy" in f for f in audit(url).findings)
