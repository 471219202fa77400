"""Kills and odd request files, a few of each in the default suite; ``python -m benchmarks.attacks.kills`` has them all."""

import pytest

from recbole_apa import audit, evaluate_run, run, unlearn
from recbole_apa.errors import RunError


def test_a_training_killed_before_its_records_serves_nothing_and_takes_no_request(options, tmp_path, monkeypatch):
    """Until its last seal a run does not say where its exports lie: a request left them as they were, and the audit
    held."""
    folder, exported = tmp_path / "run", tmp_path / "exported"
    told = {**options, "epochs": 1, "export_samples": str(exported)}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("recbole_apa.quick_start.evaluate_state", _interrupted)
        run("APA", "board", config_dict=told, run_dir=folder)
    for attempt in (lambda: unlearn(folder, users=["u3"]), lambda: evaluate_run(folder)):
        with pytest.raises(RunError, match=r"training was interrupted; finish it with --run_dir="):
            attempt()
    assert not audit(folder).holds
    run("APA", "board", config_dict=told, run_dir=folder)
    unlearn(folder, users=["u3"])
    assert audit(folder).holds and '"u3"' not in (exported / "train.jsonl").read_text()


def _interrupted(*args):
    raise KeyboardInterrupt
