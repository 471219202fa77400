"""The search for options: known answers, what is refused, and that test rows play no part."""

import json
import shutil

import pytest
import yaml

from recbole_apa import APAConfig, run, tune
from recbole_apa.cli.main import main
from recbole_apa.core.errors import RunError, SettingsError, TrainingError
from recbole_apa.core.files.whole import read_json
from recbole_apa.core.properties import properties_folder
from recbole_apa.core.yaml import read_yaml
from recbole_apa.pipeline.build_data import build_data
from recbole_apa.tuning.ranges import read_ranges


def stubbed(monkeypatch, loss):
    """``tune`` with a judge that trains nothing."""
    monkeypatch.setattr(
        "recbole_apa.tuning.study.Judge.__call__", lambda self, point: (loss(point), {"auc": loss(point)})
    )


KNOWN = {"learning_rate": [0.001, 0.002, 0.003], "lora_rank": [2, 4]}


def peak(point):
    return 0.9 - 100 * abs(point["learning_rate"] - 0.002) - point["lora_rank"] / 100


def test_a_stub_with_a_known_best(options, tmp_path, monkeypatch):
    stubbed(monkeypatch, peak)
    given = {k: v for k, v in options.items() if k != "learning_rate"}
    done = tune("APA", "board", (), given, KNOWN, "exhaustive", folder=tmp_path / "t")
    assert dict(done.best.options) == {"learning_rate": 0.002, "lora_rank": 2} and len(done.trials) == 6
    assert done.best.score == pytest.approx(0.88)
    told = read_json(tmp_path / "t" / "trials.json")
    assert told["best"] == done.best.number == 3 and told["complete"] is True
    assert [t["options"] for t in told["trials"]] == [dict(t.options) for t in done.trials]
    assert told["search"]["ranges"] == {k: {"choice": v} for k, v in KNOWN.items()}
    assert told["search"]["fixed"]["train_samples"] == 30 and told["search"]["valid_metric"] == "AUC"
    assert yaml.safe_load((tmp_path / "t" / "best.yaml").read_text()) == {"learning_rate": 0.002, "lora_rank": 2}
    line = next(line for line in done.table.splitlines() if line.endswith("best"))
    assert line.split()[:4] == ["3", "0.002", "2", "0.8800"] and done.table.count("best") == 1
    assert sorted(p.name for p in (tmp_path / "t").iterdir()) == ["best.yaml", "trials.json"]


def test_a_loss_is_made_small(options, tmp_path, monkeypatch):
    stubbed(monkeypatch, peak)
    given = {**{k: v for k, v in options.items() if k != "learning_rate"}, "valid_metric": "LogLoss"}
    done = tune("APA", "board", (), given, KNOWN, "exhaustive", folder=tmp_path / "t")
    assert done.best.score == min(t.score for t in done.trials) == pytest.approx(0.9 - 0.1 - 0.04)


def test_failed_trials_are_told_and_passed_over(options, tmp_path, monkeypatch):
    def judged(self, point):
        if point["lora_rank"] == 2:
            raise RuntimeError("out of memory")
        return point["lora_rank"] / 10, {}

    monkeypatch.setattr("recbole_apa.tuning.study.Judge.__call__", judged)
    done = tune("APA", "board", (), options, {"lora_rank": [2, 4, 3]}, "exhaustive", folder=tmp_path / "t")
    assert [t.status for t in done.trials] == ["failed", "done", "done"] and done.best.options == {"lora_rank": 4}
    assert done.trials[0].reason == "RuntimeError: out of memory" and "failed" in done.table
    with pytest.raises(TrainingError, match="all 1 trials failed, the first with: RuntimeError: out of memory"):
        tune("APA", "board", (), options, {"lora_rank": [2]}, "exhaustive", folder=tmp_path / "u")
    assert [p.name for p in (tmp_path / "u").iterdir()] == ["trials.json"]


def test_it_ends_early_after_trials_without_a_better_one(options, tmp_path, monkeypatch):
    stubbed(monkeypatch, lambda point: -abs(point["lora_rank"] - 3))
    ranges = {"lora_rank": list(range(1, 10))}
    done = tune("APA", "board", (), options, ranges, "exhaustive", early_stop=2, folder=tmp_path / "t")
    assert [t.options["lora_rank"] for t in done.trials] == [1, 2, 3, 4, 5]


def test_an_interruption_keeps_the_trials_that_are_done(options, tmp_path, monkeypatch):
    def judged(self, point):
        if point["lora_rank"] == 3:
            raise KeyboardInterrupt
        return 0.5, {}

    monkeypatch.setattr("recbole_apa.tuning.study.Judge.__call__", judged)
    with pytest.raises(KeyboardInterrupt):
        tune("APA", "board", (), options, {"lora_rank": [2, 3, 4]}, "exhaustive", folder=tmp_path / "t")
    told = read_json(tmp_path / "t" / "trials.json")
    assert told["complete"] is False and [t["number"] for t in told["trials"]] == [1]
    with pytest.raises(RunError, match="already exists, and a search cannot be resumed"):
        tune("APA", "board", (), options, {"lora_rank": [2]}, "exhaustive", folder=tmp_path / "t")


@pytest.mark.quick(5)
@pytest.mark.parametrize(
    ("model", "ranges", "says"),
    [
        ("APA", {"lora_rnak": [2]}, "unknown option 'lora_rnak'; did you mean 'lora_rank'"),
        ("APA", {"embedding_size": [8]}, "unknown option 'embedding_size'"),
        ("BPR", {"lora_rank": [2]}, "unknown option 'lora_rank'"),
        ("APA", {"lora_rank": [4, 0]}, "lora_rank: found 0, expected at least 1"),
        ("APA", {"lora_rank": {"uniform": [2, 8]}}, "lora_rank: found 2.0, expected a whole number"),
        ("APA", {"lora_dropout": {"uniform": [0, 1]}}, "lora_dropout: found 1.0, expected 0 <= lora_dropout < 1"),
        ("APA", {"aggregation": ["decomposition", "mean"]}, "aggregation: found 'mean', expected one of"),
        ("APA", {"epochs": [1, 2]}, "epochs has a range, but is also given as 2"),
        ("APA", {"valid_samples": [5, 9]}, "valid_samples decides which samples judge"),
        ("APA", {"seed": [1, 2]}, "seed: every trial has the same"),
        ("APA", {"workers": [1, 2]}, "workers says where or how"),
        ("BPR", {"nproc": [1, 2]}, "nproc says where or how"),
        ("BPR", {"LABEL_FIELD": ["a", "b"]}, "LABEL_FIELD decides which samples judge"),
        ("APA", {"eval_args.mode": ["full"]}, "expected whole values of eval_args"),
        ("APA", {"lora_rnak": [2], "seed": [1]}, "lora_rnak.*; seed: every trial"),
        ("APA", {"stopping_step": [1, 2]}, "stopping_step has no effect with APA"),
        ("BPR", None, "BPR has no default ranges; expected a file"),
    ],
)
def test_ranges_of_options_that_are_none_are_refused_before_anything_is_trained(
    model, ranges, says, options, tmp_path, monkeypatch
):
    monkeypatch.setattr("recbole_apa.tuning.study.Judge.__call__", None)
    given = {k: v for k, v in options.items() if k in ("data_path", "backbone", "epochs")}
    with pytest.raises(SettingsError, match=says):
        tune(model, "board", (), given, ranges, "exhaustive", folder=tmp_path / "t")
    assert not (tmp_path / "t").exists()


def test_validation_samples_are_needed(options):
    with pytest.raises(SettingsError, match="valid_samples: found 0, but the validation samples choose"):
        tune("APA", "board", (), {**options, "valid_samples": 0}, {"lora_rank": [2]}, "exhaustive")


def test_the_usual_ranges_hold_the_defaults_and_are_accepted(options, tmp_path, monkeypatch, hyperopt):
    stubbed(monkeypatch, lambda point: point["learning_rate"])
    given = {k: v for k, v in options.items() if k not in ("learning_rate", "epochs", "train_batch_size")}
    done = tune("APA", "board", (), given, None, max_evals=3, folder=tmp_path / "t")
    assert len(done.trials) == 3
    usual = read_yaml(properties_folder() / "model" / "APA.yaml")
    for r in read_ranges(properties_folder() / "tuning" / "APA.yaml"):
        low, high = (min(r.grid), max(r.grid)) if r.grid else r.bounds
        assert low <= usual[r.name] <= high, r.name


@pytest.fixture(scope="module", params=["none", "counts"])
def searched(request, options, tmp_path_factory):
    """A search of APA's, trained, without evidence and with it."""
    given = {**{k: v for k, v in options.items() if k != "learning_rate"}, "evidence": request.param}
    folder = tmp_path_factory.mktemp("tuned") / "t"
    return given, tune("APA", "board", (), given, {"learning_rate": [1e-5, 0.02]}, "exhaustive", folder=folder)


@pytest.mark.slow
def test_the_best_options_give_the_trials_figures_in_a_run_of_their_own(searched, tmp_path):
    given, done = searched
    assert [t.status for t in done.trials] == ["done", "done"]
    # with evidence, what is served may be the same without the language model
    assert given["evidence"] == "counts" or done.trials[0].figures != done.trials[1].figures
    assert done.best.figures["auc"] == done.best.score == max(t.score for t in done.trials)
    options = {**given, "variants": "none"}
    made = run("APA", "board", [str(done.folder / "best.yaml")], options, run_dir=tmp_path / "run")
    assert {k: made.metrics[f"recbole.valid.{k}"] for k in done.best.figures} == done.best.figures


@pytest.mark.slow
def test_test_rows_play_no_part(searched, data_folder, tmp_path):
    """Every rating of the test rows turned round: the same figures, to the last digit."""
    given, done = searched
    shutil.copytree(data_folder / "board", tmp_path / "data" / "board")
    loaders = build_data(APAConfig("APA", "board", None, {**given, "train_samples": None, "test_samples": None}))
    tested = {(s.user_id, s.item_id) for s in loaders[2]._dataset.samples}
    path = tmp_path / "data" / "board" / "board.inter"
    lines = [line.split("\t") for line in path.read_text().splitlines()]
    for cells in lines:
        if (cells[0], cells[1]) in tested:
            cells[2] = "2" if cells[2] == "5" else "5"
    path.write_text("\n".join("\t".join(cells) for cells in lines) + "\n")
    assert len(tested) == 12
    turned = {**given, "data_path": str(tmp_path / "data")}
    again = tune("APA", "board", (), turned, {"learning_rate": [1e-5, 0.02]}, "exhaustive", folder=tmp_path / "t")
    assert [t.figures for t in again.trials] == [t.figures for t in done.trials]
    before, after = (
        [[s.label for s in loader._dataset.samples] for loader in build_data(APAConfig("APA", "board", None, options))]
        for options in (given, turned)
    )
    assert before[:2] == after[:2] and after[2] == [1 - label for label in before[2]]


@pytest.mark.slow
def test_test_samples_are_never_scored(options, tmp_path, monkeypatch):
    """Nor is their loader walked through, by APA's trainer or by RecBole's."""
    from recbole_apa.tuning import judge

    class Untouched:
        def __getattr__(self, name):
            raise AssertionError(f"test data: {name}")

    build = judge.build_data
    monkeypatch.setattr(judge, "build_data", lambda config, told: build(config)._replace(test=Untouched()))
    tune("APA", "board", (), options, {"lora_rank": [2]}, "exhaustive", folder=tmp_path / "a")
    given = {**BPR, "data_path": options["data_path"]}
    tune("BPR", "board", (), given, {"embedding_size": [4]}, "exhaustive", folder=tmp_path / "b")


BPR = {
    "epochs": 2,
    "load_col": {"inter": ["user_id", "item_id", "rating", "timestamp"]},
    "show_progress": False,
    "valid_metric": "NDCG@10",
}


@pytest.mark.slow
def test_a_recbole_model_is_tuned(options, tmp_path):
    given = {**BPR, "data_path": options["data_path"], "checkpoint_dir": str(tmp_path / "kept")}
    (tmp_path / "bpr.hyper").write_text("learning_rate choice [0.5, 0.0000001]\nembedding_size choice [4, 8]\n")
    done = tune("BPR", "board", (), given, tmp_path / "bpr.hyper", "exhaustive", folder=tmp_path / "t")
    assert [t.status for t in done.trials] == ["done"] * 4
    assert done.best.score == done.best.figures["ndcg@10"] == max(t.score for t in done.trials)
    assert len({t.score for t in done.trials}) > 1
    made = run("BPR", "board", [str(done.folder / "best.yaml")], given)
    assert made.metrics["recbole.valid.ndcg@10"] == done.best.score
    assert not list((tmp_path / "t").glob("*.pth"))


@pytest.mark.slow
def test_options_that_judge_by_other_samples_fail_their_trial(options, tmp_path):
    """What no list of names foresees: a split by time, and another column for it."""
    by_time = {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "TO", "group_by": "user", "mode": "full"}
    given = {**BPR, "data_path": options["data_path"], "eval_args": by_time}
    done = tune("BPR", "board", (), given, {"TIME_FIELD": ["timestamp", "rating"]}, "exhaustive", folder=tmp_path / "t")
    assert [t.status for t in done.trials] == ["done", "failed"]
    assert "judge by other validation samples than the first trial did" in done.trials[1].reason


def words(options, **more):
    return [f"--{k}={json.dumps(v) if isinstance(v, dict) else v}" for k, v in {**options, **more}.items()]


def test_the_command_line(options, tmp_path, capsys, monkeypatch):
    (tmp_path / "ranges.yaml").write_text("lora_rank: [2, 4]\n")
    asked = {"dataset": "board", "ranges": tmp_path / "ranges.yaml", "algo": "exhaustive", "tune_dir": tmp_path / "t"}
    assert main(["tune", *words(options, **asked)]) == 0
    out = capsys.readouterr().out
    assert "valid AUC" in out and f"--config_files={tmp_path}/t/best.yaml" in out
    assert read_json(tmp_path / "t" / "trials.json")["best"] in (1, 2)
    assert main(["tune", *words(options, **asked)]) == 2
    assert "cannot be resumed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--algo=tpe"], "algo: found 'tpe'"),
        (["--max_evals=0", "--algo=exhaustive", "--ranges={epochs: [1]}"], "max_evals: found 0"),
        (["--early_stop=no", "--algo=exhaustive", "--ranges={epochs: [1]}"], "early_stop: found"),
        (["--ranges=nowhere.yaml"], "cannot read options from nowhere.yaml"),
        (["--ranges=nowhere.hyper"], "cannot read ranges from nowhere.hyper"),
        (["--ranges=[1]"], "--ranges: found"),
        (["--run=saved/x"], "--run does not go with tune"),
        (["--lora_rnak=3"], "did you mean 'lora_rank'"),
        (["--unlearn=x"], "--unlearn does not go with tune"),
    ],
)
def test_wrong_command_lines_exit_with_2(given, says, capsys):
    assert main(["tune", *given]) == 2
    assert says in capsys.readouterr().err


def test_help(capsys):
    assert main(["tune", "--help"]) == 0
    assert "--ranges=FILE" in capsys.readouterr().out
