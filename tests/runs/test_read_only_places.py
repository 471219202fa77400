"""Runs and working folders that cannot be written: what only reads goes on, and leaves nothing there."""

import logging
import shutil
from pathlib import Path

import pytest

from recbole_apa import audit, evaluate_run, run, unlearn, verify
from recbole_apa.cli.main import main
from recbole_apa.core.errors import RunError
from recbole_apa.core.files.whole import read_json
from recbole_apa.pipeline.registration import register
from tests.helpers.ordinary_user import read_only
from tests.helpers.runs import copy_run, tree

CHOSEN = {"variants": "chosen"}


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A working folder that cannot be written."""
    folder = tmp_path / "nowhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    with read_only(folder):
        yield folder
        assert not list(folder.iterdir())


@pytest.mark.slow
def test_proofs_and_plans_need_no_right_to_write_a_run(served, tmp_path, caplog):
    folder = Path(shutil.copytree(served, tmp_path / "run"))
    (folder / ".lock").unlink()  # not in every copy
    before, names = tree(folder), sorted(folder.rglob("*"))
    with read_only(folder):
        assert evaluate_run(folder, CHOSEN).metrics
        assert audit(folder).holds
        assert unlearn(folder, users=["u5"], dry_run=True).plan.affected
        assert verify(folder).holds
        assert sorted(folder.rglob("*")) == names and tree(folder) == before
        with pytest.raises(RunError, match="cannot write"):
            unlearn(folder, users=["u5"])
    assert tree(folder) == before and "is read without a lock" in caplog.text


@pytest.mark.slow
def test_a_dry_run_leaves_what_a_kill_interrupted(finished, tmp_path, monkeypatch):
    """It finished the switch to a new state, although it was to change nothing."""
    folder = copy_run(finished, tmp_path / "run")

    def killed(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("recbole_apa.unlearning.exact.commit_state", killed)
        unlearn(folder, users=["u3"])
    before = tree(folder)
    with pytest.raises(RunError, match=r"half in place.*--resume"):
        unlearn(folder, users=["u5"], dry_run=True)
    assert tree(folder) == before
    unlearn(folder)
    assert audit(folder).holds


@pytest.mark.slow
def test_a_working_folder_that_cannot_be_written_stops_nothing(options, finished, nowhere, tmp_path, caplog):
    made = run("APA", "board", config_dict={**options, **CHOSEN, "epochs": 1}, run_dir=tmp_path / "run")
    assert made.metrics
    assert "no log is written under" in caplog.text and "--log_dir" in caplog.text
    assert "nothing is written for tensorboard under" in caplog.text
    assert evaluate_run(tmp_path / "run", CHOSEN).metrics
    unlearn(tmp_path / "run", users=["u3"])
    assert audit(tmp_path / "run").holds and verify(tmp_path / "run").holds


@pytest.mark.slow
def test_a_plan_is_made_from_a_working_folder_that_cannot_be_written(finished, nowhere, tmp_path, capsys):
    words = ["--requests_per_day=500", "--n_samples=10000", f"--plan_dir={tmp_path / 'plan'}"]
    assert main(["--plan", f"--run={finished.run_dir}", *words]) == 0
    assert (tmp_path / "plan" / "plan.json").is_file() and "plan and figure" in capsys.readouterr().out


@pytest.mark.slow
def test_logs_go_where_log_dir_says(options, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = {**options, **CHOSEN, "epochs": 1, "log_dir": str(tmp_path / "logs")}
    made = run("APA", "board", config_dict=given, run_dir=tmp_path / "run")
    assert list((tmp_path / "logs" / "log" / "APA").glob("APA-board-*.log"))
    (board,) = (tmp_path / "logs" / "log_tensorboard").glob("run-*")
    assert Path(made.trainer.tensorboard.log_dir) == board
    evaluate_run(tmp_path / "run", {**CHOSEN, "log_dir": str(tmp_path / "others")})
    assert (tmp_path / "others" / "log").is_dir() and sorted(p.name for p in tmp_path.iterdir()) == [
        "logs",
        "others",
        "run",
    ]
    assert "log_dir" not in read_json(tmp_path / "run" / "manifest.json")["options"]


@pytest.mark.slow
def test_a_model_of_recboles_needs_a_place_for_checkpoints(options, nowhere, tmp_path):
    given = {"data_path": options["data_path"], "epochs": 1, "show_progress": False}
    given |= {"load_col": {"inter": ["user_id", "item_id", "rating", "timestamp"]}}
    with pytest.raises(RunError, match="cannot create saved for checkpoints: Permission denied"):
        run("BPR", "board", config_dict=given)
    run("BPR", "board", config_dict={**given, "checkpoint_dir": str(tmp_path / "saved")})
    assert list((tmp_path / "saved").iterdir())


def test_recboles_own_trainers_are_as_they_were(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    register()
    import recbole.trainer.trainer as module

    module.ensure_dir("a/b")
    writer = module.get_tensorboard(logging.Logger("none"))
    writer.add_scalar("x", 1.0, 0)
    writer.close()
    assert (tmp_path / "a" / "b").is_dir() and list(tmp_path.glob("log_tensorboard/model-*/events.out.tfevents.*"))
