"""RecBole's own look-ups and baselines on this stack."""

import subprocess
import sys

import pytest
from recbole.utils import get_model, get_trainer

from recbole_apa import APA, APAConfig, APADataset, APATrainer, register, run
from recbole_apa.data.dataloader import ShardingDataLoader
from tests.helpers.places import ROOT


def test_recboles_look_ups_find_apa(finished):
    register()
    register()
    assert get_model("APA") is APA
    assert get_trainer(APA.type, "APA") is APATrainer
    assert isinstance(finished.data[0], ShardingDataLoader)
    assert isinstance(finished.data[0]._dataset, APADataset)
    assert get_model("BPR").__name__ == "BPR"


def test_recboles_own_steps_train_and_evaluate(options, tmp_path):
    """What RecBole's quick_start does, by hand."""
    from recbole.data import create_dataset, data_preparation

    config = APAConfig("APA", "board", config_dict={**options, "epochs": 1, "checkpoint_dir": str(tmp_path)})
    dataset = create_dataset(config)
    train_data, valid_data, test_data = data_preparation(config, dataset)
    model = get_model(config["model"])(config, train_data.dataset).to(config["device"])
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    score, result = trainer.fit(train_data, valid_data, saved=True)
    assert score == result["auc"]
    assert set(trainer.evaluate(test_data)) == {"auc", "logloss"}
    assert model.predict(next(iter(test_data))[0]).shape == (12,)
    before = trainer.evaluate(test_data)
    model.engine.bank.resize(3)
    model.rule = None
    assert trainer.evaluate(test_data, model_file=next(tmp_path.glob("APA-board-*"))) == before
    assert sorted(p.name for p in tmp_path.glob("APA-board-*/shards/*")) == ["000", "001", "002"]


def test_recboles_own_config_is_told_what_it_lacks(options):
    from recbole.config import Config

    from recbole_apa.core.errors import SettingsError
    from recbole_apa.data.dataset import APADataset

    plain = {k: options[k] for k in ("data_path", "load_col")} | {"train_neg_sample_args": None}
    config = Config(APA, "board", config_dict=plain | {"threshold": {"rating": 4}, "normalize_all": False})
    with pytest.raises(SettingsError, match=r"create it with recbole_apa\.APAConfig"):
        APADataset(config).build()


def test_validation_data_is_needed(finished):
    with pytest.raises(ValueError, match="needs validation data"):
        finished.trainer.fit(finished.data[0])


@pytest.mark.quick(2)
@pytest.mark.parametrize(
    "model", ["BPR", "LightGCN", "DeepFM", "SASRec", "NeuMF", "Pop", "ItemKNN", "EASE", "MultiVAE"]
)
def test_baselines_run_on_this_stack(model, data_folder, tmp_path):
    options = {
        "data_path": str(data_folder),
        "checkpoint_dir": str(tmp_path),
        "epochs": 2,
        "show_progress": False,
        "load_col": {"inter": ["user_id", "item_id", "rating", "timestamp"]},
    }
    if model == "SASRec":
        options["train_neg_sample_args"] = None
    if model == "DeepFM":
        options |= {"threshold": {"rating": 4}, "metrics": ["AUC", "LogLoss"], "valid_metric": "AUC"}
        options["eval_args"] = {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "RO", "group_by": None, "mode": "labeled"}
        options["train_neg_sample_args"] = None
    figures = run(model, "board", config_dict=options).metrics
    assert any(k.startswith("recbole.test.") for k in figures)
    assert all(v >= 0 for v in figures.values())


@pytest.mark.slow
@pytest.mark.parametrize("before", ["", "import recbole.model.sequential_recommender.sine; "])
def test_anomaly_detection_that_recbole_switches_on_is_off_whatever_was_imported_first(before):
    code = before + "import torch; from recbole_apa import APAConfig; APAConfig('SASRec', 'ml-100k', None, {ARGS}); "
    code = code.replace("ARGS", "'train_neg_sample_args': None") + "print(torch.is_anomaly_enabled())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.split()[-1] == "False"
