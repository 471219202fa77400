"""RecBole's models in the table of a run: trained on all rows of the training period, not kept, struck by requests."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from recbole_apa import add, evaluate_run, run, unlearn
from recbole_apa.core.errors import SettingsError
from recbole_apa.core.files.whole import read_json
from recbole_apa.data.baseline_rows import baseline_rows
from recbole_apa.data.index.rows import TRAIN, VALID
from recbole_apa.pipeline import run_baselines
from recbole_apa.pipeline.run_baselines import train_baselines

GIVEN = {"variants": "chosen", "epochs": 1, "baselines": ["FM"], "valid_samples": 6}


@pytest.fixture(scope="module")
def trained(options, work_folder, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(work_folder)
        made = run("APA", "board", config_dict={**options, **GIVEN}, run_dir=tmp_path_factory.mktemp("trained") / "run")
        return made


@pytest.fixture
def copied(trained, tmp_path):
    return Path(shutil.copytree(trained.run_dir, tmp_path / "run"))


def of_baselines(figures):
    return sorted(name for name in figures if "baselines." in name)


@pytest.mark.slow
def test_the_table_has_the_quick_rows_alone(trained):
    kinds = {k.split(".")[1] for k in trained.metrics if k.startswith("test.") and k.endswith(".logloss")}
    assert kinds == {"aggregated", "evidence", "baselines", "rules"}
    assert trained.table.count("FM, all training rows") == trained.table.count("<- served") == 1
    assert trained.metrics["baselines.FM.n_rows"] == len(baseline_rows(trained.data.train_set.run_data, "all"))
    assert trained.metrics["test.baselines.FM.auc_users_low"] <= trained.metrics["test.baselines.FM.auc"]
    assert "FM, all training rows" in (trained.run_dir / "report.html").read_text()


@pytest.mark.slow
def test_the_model_leaves_nothing_behind(trained, work_folder):
    files = {path.name for path in trained.run_dir.rglob("*") if path.is_file()}
    assert not any("FM" in name or name.endswith(".pth") for name in files)
    assert not list(work_folder.rglob("*FM*.pth")) and not list(work_folder.rglob("presplit*"))
    boards = read_json(trained.run_dir / "manifest.json")["outside"]["tensorboard"]
    assert len(list((work_folder / "log_tensorboard").glob("FM*"))) == 0 and not any("FM" in name for name in boards)


@pytest.mark.slow
def test_the_same_run_gives_the_same_figures_and_opening_it_trains_only_what_is_asked_for(trained):
    again = evaluate_run(trained.run_dir, {"baselines": ["FM"]}).metrics
    for name in of_baselines(trained.metrics):
        if not name.endswith("seconds"):
            assert again[name] == trained.metrics[name]
    assert not of_baselines(evaluate_run(trained.run_dir).metrics)


@pytest.mark.slow
def test_scores_are_of_the_samples_in_their_order(trained):
    """FM, asked about rows in another order, gives each row the same score."""
    scores = train_baselines(trained, ["FM"]).scores
    samples = trained.data.test_set.samples
    assert len(scores["test"]["baselines.FM"]) == len(samples)
    assert len(scores["valid"]["baselines.FM"]) == len(trained.data.valid_set.samples)
    assert len(np.unique(scores["test"]["baselines.FM"])) > 1


def test_epochs_are_chosen_on_the_whole_validation_split(trained):
    data = trained.data.train_set.run_data
    n = int((data.notes.roles[data.kept] == VALID).sum())
    assert trained.metrics["baselines.FM.n_stopping_rows"] == n > len(trained.data.valid_set.samples) > 0
    assert f"FM chose its epoch by the AUC on {n} rows" in (trained.run_dir / "report.html").read_text()


@pytest.mark.slow
def test_validation_scores_are_those_of_the_samples(trained, monkeypatch):
    """A model that scores each row by its place among all of them."""
    seen = {}

    def scores(trained, split, rows):
        seen[split] = [(row.user_id, row.item_id) for row in rows]
        return np.arange(len(rows))

    monkeypatch.setattr(run_baselines, "baseline_scores", scores)
    found = train_baselines(trained, ["FM"]).scores
    for part, split in (("valid", 1), ("test", 2)):
        samples = getattr(trained.data, f"{part}_set").samples
        assert [seen[split][place] for place in found[part]["baselines.FM"]] == [
            (s.user_id, s.item_id) for s in samples
        ]


@pytest.mark.slow
@pytest.mark.parametrize("user", ["u3"])
def test_a_request_strikes_the_rows(user, copied, trained):
    assert of_baselines(read_json(copied / "metrics.json"))
    assert "baselines.FM" in read_json(copied / "figures" / "roc_curves.json")
    unlearn(copied, users=[user])
    assert not of_baselines(read_json(copied / "metrics.json"))
    assert "baselines.FM" not in read_json(copied / "figures" / "roc_curves.json")
    assert "FM, all training rows" not in (copied / "report.html").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("role", [TRAIN, VALID])
def test_a_light_request_strikes_the_rows(role, options, work_folder, tmp_path):
    """Of a run without evidence, whose requests that change no sample work from the index. A row of the validation
    split that was not drawn has chosen the model's epoch."""
    few = {
        "train_samples": 8,
        "valid_samples": 3,
        "test_samples": 3,
        "MAX_ITEM_LIST_LENGTH": 1,
        "n_shards": 2,
        "evidence": "none",
    }
    made = run("APA", "board", config_dict={**options, **GIVEN, **few}, run_dir=tmp_path / "run")
    data = made.data.train_set.run_data
    assert of_baselines(read_json(tmp_path / "run" / "metrics.json"))
    drawn = [sample for part in data.samples.values() for sample in part]
    used = {s.sample_id for s in drawn} | {entry.interaction_id for s in drawn for entry in s.history}
    rows, roles = data.rows, data.notes.roles[data.kept]
    names = rows.row_ids(np.arange(len(rows)))
    free = next(n for n, name in enumerate(names) if name not in used and roles[n] == role)
    pair = rows.users.texts()[free], rows.items.texts()[free]
    outcome = unlearn(tmp_path / "run", interactions=[pair]).outcomes[0]
    assert not outcome.plan.shards
    assert not of_baselines(read_json(tmp_path / "run" / "metrics.json"))
    assert "baselines.FM" not in read_json(tmp_path / "run" / "figures" / "roc_curves.json")
    assert "FM, all training rows" not in (tmp_path / "run" / "report.html").read_text()


def test_an_addition_strikes_the_rows(copied, tmp_path):
    (tmp_path / "more.csv").write_text("user_id,item_id,rating,timestamp\nu3,i19,5,99999\n")
    add(copied, tmp_path / "more.csv")
    assert not of_baselines(read_json(copied / "metrics.json"))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["BPR"], "baselines: found BPR, expected models that learn from labels"),
        (["DeepFN"], "did you mean 'DeepFM'"),
        ([3], r"baselines: found \[3\], expected a list"),
    ],
)
def test_wrong_names_are_refused_before_training(names, message, options, work_folder, tmp_path):
    with pytest.raises(SettingsError, match=message):
        run("APA", "board", config_dict={**options, "baselines": names}, run_dir=tmp_path / "run")
    assert not (tmp_path / "run" / "shards").exists()


def test_a_model_that_cannot_be_trained_is_left_out_and_named(trained, monkeypatch, caplog):
    def fails(*_):
        raise ValueError("no rows")

    monkeypatch.setattr(run_baselines, "train_baseline", fails)
    assert train_baselines(trained, ["FM"]).figures == {}
    assert "FM is left out (ValueError: no rows)" in caplog.text
