"""A backbone that a run names by a relative folder."""

import logging
import os
import shutil

import pytest

from recbole_apa import evaluate_run, run
from recbole_apa.cli.main import main
from recbole_apa.core.files.whole import read_json
from recbole_apa.data.recbole_options import IDLE
from recbole_apa.pipeline.config import APAConfig


@pytest.fixture
def elsewhere(options, backbone_folder, tmp_path, monkeypatch):
    """A working folder with a copy of the backbone in it."""
    shutil.copytree(backbone_folder, tmp_path / "here" / "tiny")
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return {**options, "backbone": "tiny", "epochs": 1, "n_shards": 40, "learner": "sgd"}


@pytest.mark.slow
def test_a_backbone_beside_the_run_is_found_from_another_folder(elsewhere, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.WARNING)
    read = set()
    get = APAConfig.__getitem__
    with monkeypatch.context() as patch:
        patch.setattr(APAConfig, "__getitem__", lambda self, name: (read.add(name), get(self, name))[1])
        trained = run("APA", "board", config_dict=elsewhere, run_dir=tmp_path / "run")
    manifest = read_json(tmp_path / "run" / "manifest.json")
    tiny = os.path.abspath("tiny")
    assert manifest["options"]["backbone"] == tiny == manifest["settings"]["backbone"]
    monkeypatch.chdir(tmp_path / "there")
    again = evaluate_run(tmp_path / "run")
    assert again.metrics["test.aggregated.decomposition.auc"] == trained.metrics["test.aggregated.decomposition.auc"]
    # the same run told two other things, which only a whole run can show
    assert "n_shards is 40 for 30 training samples: at least 10 shards stay empty" in caplog.text
    assert caplog.text.count("these options have no effect with APA: learner (AdamW") == 1
    read_in_vain = {"train_neg_sample_args", "learner", "eval_step", "stopping_step", "shuffle", "enable_amp"}
    read_in_vain |= {"valid_metric_bigger", "preload_weight"}
    assert set(IDLE) & read <= read_in_vain


@pytest.mark.slow
def test_a_run_that_names_its_backbone_by_a_relative_folder_says_what_to_do(elsewhere, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(APAConfig, "settle_backbone", lambda self: None)  # as runs were made before
    run("APA", "board", config_dict=elsewhere, run_dir=tmp_path / "run")
    assert read_json(tmp_path / "run" / "manifest.json")["options"]["backbone"] == "tiny"
    assert main([f"--run={tmp_path / 'run'}"]) == 0
    monkeypatch.chdir(tmp_path / "there")
    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", no_network)
    assert main([f"--run={tmp_path / 'run'}"]) == 2
    err = capsys.readouterr().err
    assert f"relative paths start from {tmp_path / 'there'}" in err and "--backbone=..." in err
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path / "there")
    assert main([f"--run={tmp_path / 'run'}", f"--backbone={tmp_path / 'here' / 'tiny'}"]) == 0


def no_network(name, **options):
    raise OSError(f"{name} is not a local folder, and no hub is reached")


@pytest.mark.slow
def test_an_interrupted_run_with_a_relative_backbone_is_finished_as_it_was_begun(elsewhere, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(APAConfig, "settle_backbone", lambda self: None)
        patch.setattr(
            "recbole_apa.pipeline.quick_start.evaluate_state", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        with pytest.raises(KeyboardInterrupt):
            run("APA", "board", config_dict=elsewhere, run_dir=tmp_path / "run")
    run("APA", "board", config_dict=elsewhere, run_dir=tmp_path / "run")
    assert read_json(tmp_path / "run" / "manifest.json")["options"]["backbone"] == "tiny"
