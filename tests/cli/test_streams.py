"""What was done gives status 0, whatever becomes of what is printed."""

import io
import os
import sys

import pytest

from recbole_apa.cli.main import main
from recbole_apa.core.system.streams import PatientStream, patient_streams
from tests.helpers.runs import copy_run


@pytest.fixture
def gone_reader():
    """A stream like ``command | true``: nobody reads it any more."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", buffering=1) as stream:
        yield stream


@pytest.mark.slow
@pytest.mark.parametrize("which", ["stdout", "stderr"])
def test_a_reader_that_has_gone_does_not_undo_a_request(which, gone_reader, finished, tmp_path, monkeypatch):
    folder = copy_run(finished, tmp_path / "run")
    monkeypatch.setattr(sys, which, gone_reader)
    assert main([f"--run={folder}", "--forget_users=u3"]) == 0
    assert (folder / "certificates" / "0001.json").is_file() and not (folder / "pending").exists()
    print("nor does what comes later", file=gone_reader, flush=True)


def test_a_letter_that_the_terminal_lacks_is_written_otherwise(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii", write_through=True))
    with patient_streams():
        print("Amélie \ud800")
    assert raw.getvalue() == b"Am\\xe9lie \\ud800\n"


def test_an_id_that_the_terminal_lacks_does_not_undo_a_plan(finished, tmp_path, monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii", write_through=True))
    monkeypatch.setattr("recbole_apa.unlearning.texts.plan_text", lambda plan: "user Amélie")
    folder = copy_run(finished, tmp_path / "run")
    assert main([f"--run={folder}", "--forget_users=u3", "--dry_run"]) == 0
    assert b"user Am\\xe9lie\n" in raw.getvalue()


def test_a_full_disk_is_told_of_and_changes_no_status(monkeypatch, capsys):
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    with open("/dev/full", "w") as full, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", full)
        assert main(["--help"]) == 0
    assert "standard output is incomplete" in capsys.readouterr().err


def test_other_errors_of_a_stream_are_not_hidden():
    class Broken(io.StringIO):
        def write(self, text):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        PatientStream(Broken()).write("x")
