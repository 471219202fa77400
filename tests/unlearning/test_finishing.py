"""The same command finishes what was interrupted, and no figure stands in its way."""

import errno
import json
import os
import shutil
import socket
from datetime import datetime, timezone

import pytest

from recbole_apa import audit, unlearn, verify
from recbole_apa.cli.main import main
from recbole_apa.core.errors import RunError
from recbole_apa.core.files.whole import read_json
from recbole_apa.runs.ledger import Ledger
from recbole_apa.runs.lock import HOLDER
from recbole_apa.runs.store import MANIFEST, RunStore
from tests.helpers.commands import words
from tests.helpers.runs import copy_run


def interrupted(*args, **named):
    raise KeyboardInterrupt


@pytest.mark.slow
@pytest.mark.parametrize(
    "stopped_at", ["recbole_apa.runs.ledger.Ledger.append", "recbole_apa.pipeline.quick_start.show_figures"]
)
def test_train_and_forget_killed_before_its_ledger_line_is_finished_by_the_same_command(
    stopped_at, options, tmp_path, capsys, monkeypatch
):
    """Opening it said "holds a finished run"."""
    folder = tmp_path / "run"
    given = ["--model=APA", "--dataset=board", *words(options, epochs=1, run_dir=folder), "--forget_users=u3"]
    with monkeypatch.context() as patch:
        patch.setattr(stopped_at, interrupted)
        assert main(given) == 130
    assert not (folder / "ledger.jsonl").exists()
    assert main(given) == 0
    assert "continuing with the request" in capsys.readouterr().out
    assert audit(folder).holds and len(list((folder / "certificates").glob("*.json"))) == 1
    assert main(given) == 2  # it is another run now: nothing is forgotten twice
    assert main([word for word in given if not word.startswith("--forget")]) == 2


def test_a_finished_run_of_other_settings_is_not_gone_on_with(finished, options, tmp_path, capsys):
    folder = copy_run(finished, tmp_path / "run")
    given = ["--model=APA", "--dataset=board", *words(options, seed=2, run_dir=folder), "--forget_users=u3"]
    assert main(given) == 2
    assert "holds another run" in capsys.readouterr().err and not (folder / "ledger.jsonl").exists()


def leave_one_row(finished, split, label=None):
    """Users to forget so that one row of a split is left."""
    samples = finished.data[{"valid": 1, "test": 2}[split]]._dataset.samples
    rows = {}
    for sample in samples:
        rows.setdefault(sample.user_id, []).append(sample)
    kept = next(user for user, own in rows.items() if len(own) == 1)
    return sorted(set(rows) - {kept})


@pytest.mark.slow
@pytest.mark.parametrize("split", ["valid", "test"])
def test_a_request_that_leaves_one_row_is_done(split, finished, tmp_path, capsys):
    """Evaluating a single row ended in an IndexError, and the request waited for ever."""
    folder = copy_run(finished, tmp_path / "run")
    users = leave_one_row(finished, split)
    assert main([f"--run={folder}", f"--forget_users={','.join(users)}"]) == 0
    assert "-" in capsys.readouterr().out
    figures = read_json(folder / "metrics.json")
    assert figures[f"{split}.n_samples"] == 1 and f"{split}.aggregated.decomposition.auc" not in figures
    certificate = read_json(folder / "certificates" / "0001.json")
    told = [pair["after"] for title, pair in certificate["figures"].items() if title.startswith("test AUC")]
    assert told and (set(told) == {None} or split == "valid")
    assert audit(folder).holds and verify(folder).holds
    assert main([f"--run={folder}"]) == 0


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    ("place", "error"),
    [
        ("recbole_apa.pipeline.evaluate.split_figures", IndexError("of one row")),
        ("recbole_apa.pipeline.evaluate.draw.sample_map", ValueError("of one row")),
        ("recbole_apa.evaluation.report.run_page._roc", KeyError("x")),
        ("recbole_apa.unlearning.probe.mean_log_loss", ZeroDivisionError()),
        ("recbole_apa.evaluation.report.run_page.verdict", TypeError("of None")),
    ],
)
def test_no_figure_stands_in_the_way_of_a_request(place, error, finished, tmp_path, monkeypatch, caplog):
    folder = copy_run(finished, tmp_path / "run")
    monkeypatch.setattr(place, lambda *a, **k: (_ for _ in ()).throw(error))
    unlearn(folder, users=["u1", "u3", "u4", "u5"])
    assert "cannot be computed from these rows" in caplog.text and audit(folder).holds


@pytest.mark.slow
def test_a_figure_that_is_not_finite_is_left_out(finished, tmp_path, monkeypatch):
    folder = copy_run(finished, tmp_path / "run")
    monkeypatch.setattr("recbole_apa.pipeline.evaluate.split_figures", lambda name, *a: {f"{name}.x": float("nan")})
    unlearn(folder, users=["u3"])
    assert "test.x" not in read_json(folder / "metrics.json") and audit(folder).holds


@pytest.mark.slow
@pytest.mark.parametrize(
    "error", [RunError("no space left"), RuntimeError("out of memory"), OSError(errno.EIO, "disk")]
)
def test_what_is_wrong_with_the_state_is_not_taken_for_a_figure(error, finished, tmp_path, monkeypatch):
    folder = copy_run(finished, tmp_path / "run")
    monkeypatch.setattr("recbole_apa.pipeline.evaluate.split_figures", lambda *a: (_ for _ in ()).throw(error))
    with pytest.raises((RunError, RuntimeError, OSError)):
        unlearn(folder, users=["u3"])
    assert Ledger(folder, RunStore(folder).manifest()["salt"]).waiting()
    monkeypatch.undo()
    unlearn(folder)
    assert audit(folder).holds


def test_an_audit_beside_a_request_at_work_names_the_process(finished, tmp_path):
    """It said that the request was not finished, to be finished by hand."""
    folder = copy_run(finished, tmp_path / "run")
    (folder / "pending").mkdir()
    shutil.copy(folder / MANIFEST, folder / "pending")
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    holder = {"process": os.getppid(), "host": socket.gethostname(), "since": now, "purpose": "unlearning"}
    (folder / HOLDER).write_text(json.dumps(holder))
    (told,) = [found for found in audit(folder).findings if found.startswith("pending/")]
    assert f"process {os.getppid()} on " in told and "has ended: finish it with --resume" in told
    (folder / HOLDER).write_text(
        json.dumps({**holder, "since": "2020-01-01T00:00:00+00:00"})
    )  # a later process with its number
    assert any("not finished; finish it with --resume" in found for found in audit(folder).findings)
