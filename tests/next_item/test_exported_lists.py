"""Recommendations in a file: nothing but that file is touched, and what is noted of it is what was written."""

from pathlib import Path

import pytest

from recbole_apa.cli.main import main
from recbole_apa.core.errors import RunError
from recbole_apa.next_item.run import recommend
from recbole_apa.next_item.run.exports import noted_exports
from recbole_apa.next_item.run.forget import forget_next_items
from recbole_apa.next_item.run.proof import audit_next_items
from recbole_apa.next_item.run.recommend import export_recommendations
from tests.helpers.next_item_runs import kill
from tests.helpers.runs import tree


@pytest.fixture(scope="module")
def made(head_run):
    return head_run


def test_a_folder_is_never_replaced_by_a_file(folder, tmp_path, monkeypatch, capsys):
    """It was deleted, with everything in it."""
    (tmp_path / "results" / "below").mkdir(parents=True)
    (tmp_path / "results" / "below" / "mine.txt").write_text("kept")
    before = tree(folder)
    for target in (tmp_path / "results", tmp_path / "results" / "below" / ".."):
        with pytest.raises(RunError, match="is a folder; expected a file"):
            export_recommendations(folder, target)
    monkeypatch.chdir(tmp_path / "results" / "below")
    for word in (".", "..", ""):
        assert main([f"--run={folder}", f"--export_recommendations={word}"]) == 2
        assert "expected a file" in capsys.readouterr().err
    assert (tmp_path / "results" / "below" / "mine.txt").read_text() == "kept" and tree(folder) == before


def test_a_file_that_could_not_be_written_is_not_noted(folder, tmp_path, monkeypatch):
    good = tmp_path / "good.csv"
    export_recommendations(folder, good, k=2)
    (tmp_path / "file").write_text("")
    for target in (tmp_path / "file" / "lists.csv", good):
        with monkeypatch.context() as patch:
            patch.setattr(recommend, "csv_of", _refused)
            with pytest.raises(RunError):
                export_recommendations(folder, target, k=2)
        assert noted_exports(folder) == {str(Path(good).resolve()): "state-0001"}


def test_after_a_kill_a_file_of_before_is_still_named_as_one(folder, tmp_path, monkeypatch):
    """It was noted as one of the new state before it was written."""
    target = tmp_path / "lists.csv"
    export_recommendations(folder, target, k=2)
    forget_next_items(folder, users=["u5"])
    with monkeypatch.context() as patch:
        kill(patch, recommend, "write_bytes")
        with pytest.raises(KeyboardInterrupt):
            export_recommendations(folder, target, k=2)
    assert "\nu5," in target.read_text()
    assert [str(target) in told for told in audit_next_items(folder).notices] == [True]
    export_recommendations(folder, target, k=2)
    assert audit_next_items(folder).notices == []


def test_what_a_killed_export_was_writing_is_named(folder, tmp_path, monkeypatch):
    """It lies beside the file, under the name that a file is written under at first."""

    def killed(path: Path, data: bytes) -> None:
        path.with_name(f".{path.name}.tmp").write_bytes(data)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(recommend, "write_bytes", killed)
        with pytest.raises(KeyboardInterrupt):
            export_recommendations(folder, tmp_path / "lists.csv", k=2)
    forget_next_items(folder, users=["u5"])
    (told,) = audit_next_items(folder).notices
    assert str(tmp_path / ".lists.csv.tmp") in told and "delete it" in told
    export_recommendations(folder, tmp_path / "lists.csv", k=2)
    assert audit_next_items(folder).notices == [] and [p.name for p in tmp_path.glob("*.tmp")] == []


def _refused(found: object) -> bytes:
    raise RunError("no space left")
