"""What the log says about resuming is true of the training at hand, or nothing is said."""

import pytest

from recbole_apa import APAConfig, APATrainer, run, unlearn, verify
from recbole_apa.comparison.context import open_context
from recbole_apa.comparison.registry import make_methods
from recbole_apa.pipeline.build import build
from tests.helpers.runs import copy_run


def folder_lines(caplog):
    return [r.getMessage() for r in caplog.records if "run folder" in r.getMessage()]


@pytest.mark.slow
def test_a_first_training_is_resumed_with_its_folder(options, tmp_path, caplog):
    caplog.set_level("INFO")
    run("APA", "board", config_dict={**options, "epochs": 1}, run_dir=tmp_path / "run")
    place = tmp_path / "run"
    assert folder_lines(caplog) == [f"run folder: {place} (if interrupted, resume with --run_dir={place})"]


@pytest.mark.slow
def test_a_request_is_resumed_with_the_run_and_a_verification_is_not(finished, tmp_path, caplog):
    caplog.set_level("INFO")
    place = copy_run(finished, tmp_path / "run")
    unlearn(place, users=["u3"])
    line = f"run folder: {place} (if interrupted, resume with --run={place} --resume)"
    assert line in caplog.messages and not any("pending" in told or "--run_dir" in told for told in caplog.messages)
    caplog.clear()
    assert verify(place).holds
    assert folder_lines(caplog) == [] and "resume" not in caplog.text


def test_a_comparisons_trainings_name_no_folder(options, work_folder, tmp_path, caplog):
    context = open_context("board", [], {**options, "epochs": 1}, tmp_path)
    caplog.set_level("INFO")
    (method,) = make_methods(context, ["APA(D)"])
    method.fit(1)
    assert folder_lines(caplog) == []


def test_a_trainer_alone_names_its_folder_and_keeps_no_input_of_a_training(options, tmp_path, caplog):
    config = APAConfig("APA", "board", None, {**options, "epochs": 1, "checkpoint_dir": str(tmp_path)})
    model, data = build(config)
    caplog.set_level("INFO")
    trainer = APATrainer(config, model)
    trainer.fit(data.train, data.valid)
    assert folder_lines(caplog) == [f"run folder: {trainer.store.place}"]
    assert trainer.inputs.reuse is None and trainer.inputs.shard_update is None
