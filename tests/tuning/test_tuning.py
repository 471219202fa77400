"""The search for options: known answers, what is refused, and that test rows play no part."""

import json
import math
import shutil

import pytest
import yaml

from recbole_apa import APAConfig, run, tune
from recbole_apa.cli.main import main
from recbole_apa.core.errors import RunError, SettingsError, TrainingError
from recbole_apa.core.files.whole import read_json
from recbole_apa.core.properties import properties_folder
from recbole_apa.core.yaml import read_yaml
from recbole_apa.pipeline.build import build_data
from recbole_apa.tuning.ranges import Range, read_ranges
from recbole_apa.tuning.search import check_search, search
from recbole_apa.tuning.trials import Search, Trial

needs_hyperopt = pytest.mark.usefixtures("hyperopt")


@pytest.fixture
def hyperopt():
    return pytest.importorskip("hyperopt")


# --- ranges -----------------------------------------------------------------------------------------------------------

BY_OPTION = {
    "learning_rate": {"loguniform": [-8, 0]},
    "epochs": [1, 2],
    "warmup_ratio": {"uniform": [0, 0.5]},
    "lora_rank": {"quniform": [4, 16, 4]},
}
RECBOLE = """learning_rate loguniform -8,0
epochs choice [1, 2]

warmup_ratio uniform 0,0.5
lora_rank quniform 4, 16, 4
"""
EXPECTED = [
    Range("learning_rate", "loguniform", (-8, 0)),
    Range("epochs", "choice", (1, 2)),
    Range("warmup_ratio", "uniform", (0, 0.5)),
    Range("lora_rank", "quniform", (4, 16, 4)),
]


def test_ranges_are_read_from_each_kind_of_file(tmp_path):
    (tmp_path / "ranges.yaml").write_text(yaml.safe_dump(BY_OPTION, sort_keys=False))
    (tmp_path / "bpr.hyper").write_text(RECBOLE)
    grouped = {}
    for r in EXPECTED:
        grouped.setdefault(r.kind, {})[r.name] = list(r.values)
    for source in (BY_OPTION, tmp_path / "ranges.yaml", tmp_path / "bpr.hyper"):
        assert read_ranges(source) == EXPECTED
    assert read_ranges(grouped) == EXPECTED


def test_recboles_own_class_reads_the_same_space_from_the_same_file(tmp_path, hyperopt):
    from recbole.trainer import HyperTuning

    (tmp_path / "bpr.hyper").write_text(RECBOLE)
    theirs = HyperTuning._build_space_from_file(tmp_path / "bpr.hyper")
    assert list(theirs) == [r.name for r in read_ranges(tmp_path / "bpr.hyper")]


def test_recboles_lists_within_lists_and_texts(tmp_path):
    (tmp_path / "f.test").write_text("mlp_hidden_size choice ['[64,64]', '[128]']\nloss_type choice ['BPR', 'CE']\n")
    assert [r.values for r in read_ranges(tmp_path / "f.test")] == [([64, 64], [128]), ("BPR", "CE")]


def test_no_line_of_a_file_is_run(tmp_path):
    (tmp_path / "f.test").write_text("epochs choice [__import__('os').getpid()]\n")
    with pytest.raises(SettingsError, match=r"line 1: found .*expected a list of values"):
        read_ranges(tmp_path / "f.test")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"epochs": []}, "epochs: found choice .*empty"),
        ({"epochs": 3}, "epochs: found 3, expected a list of values"),
        ({"learning_rate": {"uniform": [0.1, 0.1]}}, "learning_rate: found uniform .*empty"),
        ({"learning_rate": {"uniform": [0.2, 0.1]}}, "the lower bound first"),
        ({"learning_rate": {"uniform": [0.1]}}, r"expected \[low, high\]"),
        ({"learning_rate": {"uniform": ["a", 1]}}, r"expected \[low, high\]"),
        ({"learning_rate": {"unifrom": [0, 1]}}, "unifrom.* did you mean 'uniform'"),
        ({"learning_rate": {"normal": [0, 1]}}, "expected one of choice, uniform, quniform"),
        ({"learning_rate": {"log_between": [0, 1]}}, "bounds above 0"),
        ({"learning_rate": {"loguniform": [1, 1000]}}, "natural logarithms"),
        ({"epochs": {"quniform": [1, 5, 0]}}, "a step above 0"),
        ({"epochs": {"quniform": [1, 5]}}, r"\[low, high, step\]"),
        ({"epochs": {"quniform": [1, 3, 10]}}, "no multiple of its step"),
        ({}, "found no range"),
        ({"epochs": [1], "choice": {"epochs": [2]}}, "epochs: found two ranges"),
        ({"epochs": [], "lora_rank": []}, "epochs: .*lora_rank: "),
    ],
)
def test_wrong_ranges_are_refused_by_name(given, says):
    with pytest.raises(SettingsError, match=says):
        read_ranges(given)


@pytest.mark.parametrize("line", ["epochs", "epochs choice", "epochs choice [1", "lr uniform a,b", "lr unifrom 0,1"])
def test_wrong_lines_are_refused(line, tmp_path):
    (tmp_path / "f.test").write_text(line)
    with pytest.raises(SettingsError, match=r"f\.test: "):
        read_ranges(tmp_path / "f.test")


def test_steps_and_bounds():
    r = Range("x", "quniform", (0.1, 0.5, 0.2))
    assert r.grid == (0.2, 0.4) and r.bounds == (0.2, 0.4) and r.value(0.1) == 0.2 and r.value(9) == 0.4
    assert Range("x", "quniform", (1, 5, 1)).grid == (1, 2, 3, 4, 5)
    assert Range("x", "loguniform", (-1, 0)).bounds == (math.exp(-1), 1)
    assert Range("x", "choice", ("a", None)).value(1) is None


# --- the search -------------------------------------------------------------------------------------------------------


def tried(ranges, algo, n, seed, loss):
    points = []

    def judge(point):
        points.append(point)
        return loss(point)

    ranges = read_ranges(ranges)
    search(ranges, algo, check_search(ranges, algo, n), seed, judge)
    return points


def test_exhaustive_tries_every_point_in_order():
    points = tried({"a": [1, 2], "b": {"quniform": [0, 1, 0.5]}}, "exhaustive", None, 0, lambda p: 0.0)
    assert points == [{"a": a, "b": b} for a in (1, 2) for b in (0, 0.5, 1)]


@needs_hyperopt
@pytest.mark.parametrize("algo", ["random", "bayes"])
def test_a_search_repeats_with_its_seed_and_stays_in_its_ranges(algo):
    ranges = {"x": {"uniform": [-1, 1]}, "n": {"quniform": [2, 6, 2]}, "c": ["a", None], "l": {"log_between": [1, 9]}}
    first, again, other = (tried(ranges, algo, 25, seed, lambda p: p["x"] ** 2) for seed in (1, 1, 2))
    assert first == again != other and len(first) == 25
    assert all(-1 <= p["x"] <= 1 and 1 <= p["l"] <= 9 for p in first)
    assert {p["n"] for p in first} == {2, 4, 6} and {p["c"] for p in first} == {"a", None}
    assert all(type(p["n"]) is int and type(p["x"]) is float for p in first)


@needs_hyperopt
def test_bayes_looks_where_it_was_good():
    """Of a bowl: the mean loss of the second half of its trials, over three seeds."""
    ranges = {name: {"uniform": [-1, 1]} for name in "abc"}

    def later(algo, seed):
        points = tried(ranges, algo, 40, seed, bowl)
        return sum(map(bowl, points[20:])) / 20

    def bowl(p):
        return sum((v - 0.3) ** 2 for v in p.values())

    means = {algo: sum(later(algo, seed) for seed in range(3)) / 3 for algo in ("bayes", "random")}
    assert means["bayes"] < 0.6 * means["random"]


@needs_hyperopt
def test_no_point_is_judged_twice_and_failures_do_not_end_it():
    points = tried({"a": [1, 2, 3], "b": [1, 2]}, "random", 50, 0, lambda p: None if p["a"] == 1 else float(p["b"]))
    assert sorted(map(str, points)) == sorted({str(p) for p in points}) and len(points) == 6
    assert len(tried({"a": {"uniform": [0, 1]}}, "bayes", 6, 0, lambda p: None)) == 6


def test_exhaustive_needs_ranges_that_end():
    endless = read_ranges({"learning_rate": {"uniform": [0, 1]}, "epochs": [1, 2]})
    with pytest.raises(SettingsError, match=r"learning_rate \(uniform\) has endlessly many"):
        check_search(endless, "exhaustive", None)
    with pytest.raises(SettingsError, match="all 2 points, and max_evals is 1"):
        check_search(endless[1:], "exhaustive", 1)
    assert check_search(endless[1:], "exhaustive", 8) == 2


@pytest.mark.parametrize(("algo", "n", "says"), [("tpe", 3, "one of bayes"), ("exhaustive", 0, "max_evals: found 0")])
def test_wrong_searches_are_refused(algo, n, says):
    with pytest.raises(SettingsError, match=says):
        check_search(read_ranges({"epochs": [1]}), algo, n)


def test_without_hyperopt_the_error_names_the_extra(monkeypatch):
    monkeypatch.setattr("recbole_apa.tuning.search.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r'pip install "\.\[tune\]", or use algo: exhaustive'):
        check_search(read_ranges({"epochs": [1]}), "bayes", 3)
    assert check_search(read_ranges({"epochs": [1]}), "exhaustive", None) == 1


@pytest.mark.parametrize(("bigger", "best"), [(True, 3), (False, 2)])
def test_the_best_is_the_first_of_equals_by_the_metrics_direction(bigger, best):
    trials = [Trial(n, {}, "done", score) for n, score in enumerate([0.5, 0.25, 0.75, 0.75, None, 0.25], 1)]
    about = Search("m", "d", "random", 6, 0, "AUC", bigger, (), {})
    assert about.best(trials).number == best
    assert about.best(trials[4:5]) is None


# --- trainings --------------------------------------------------------------------------------------------------------


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
    with pytest.raises(RunError, match="is there already, and a search is not taken up again"):
        tune("APA", "board", (), options, {"lora_rank": [2]}, "exhaustive", folder=tmp_path / "t")


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
        ("APA", {"epochs": [1, 2]}, "epochs has a range, and is given as 2"),
        ("APA", {"valid_samples": [5, 9]}, "valid_samples decides which samples judge"),
        ("APA", {"seed": [1, 2]}, "seed: every trial has the same"),
        ("APA", {"workers": [1, 2]}, "workers says where or how"),
        ("BPR", {"nproc": [1, 2]}, "nproc says where or how"),
        ("BPR", {"LABEL_FIELD": ["a", "b"]}, "LABEL_FIELD decides which samples judge"),
        ("APA", {"eval_args.mode": ["full"]}, "expected whole values of eval_args"),
        ("APA", {"lora_rnak": [2], "seed": [1]}, "lora_rnak.*; seed: every trial"),
        ("APA", {"stopping_step": [1, 2]}, "stopping_step has no effect with APA"),
        ("BPR", None, "BPR has no usual ones; expected a file of ranges"),
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
    with pytest.raises(SettingsError, match="valid_samples: found 0, and the validation samples choose"):
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


@pytest.fixture(scope="module")
def searched(options, tmp_path_factory):
    """A search of APA's, trained."""
    given = {k: v for k, v in options.items() if k != "learning_rate"}
    folder = tmp_path_factory.mktemp("tuned") / "t"
    return given, tune("APA", "board", (), given, {"learning_rate": [1e-5, 0.02]}, "exhaustive", folder=folder)


def test_the_best_options_give_the_trials_figures_in_a_run_of_their_own(searched, tmp_path):
    given, done = searched
    assert [t.status for t in done.trials] == ["done", "done"] and done.trials[0].figures != done.trials[1].figures
    assert done.best.figures["auc"] == done.best.score == max(t.score for t in done.trials)
    options = {**given, "variants": "none"}
    made = run("APA", "board", [str(done.folder / "best.yaml")], options, run_dir=tmp_path / "run")
    assert {k: made.metrics[f"recbole.valid.{k}"] for k in done.best.figures} == done.best.figures


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


def test_test_samples_are_never_scored(options, tmp_path, monkeypatch):
    """Nor is their loader walked through, by APA's trainer or by RecBole's."""
    from recbole_apa.tuning import judge

    class Untouched:
        def __getattr__(self, name):
            raise AssertionError(f"test data: {name}")

    build = judge.build_data
    monkeypatch.setattr(judge, "build_data", lambda config, told: (*build(config)[:2], Untouched()))
    tune("APA", "board", (), options, {"lora_rank": [2]}, "exhaustive", folder=tmp_path / "a")
    given = {**BPR, "data_path": options["data_path"]}
    tune("BPR", "board", (), given, {"embedding_size": [4]}, "exhaustive", folder=tmp_path / "b")


BPR = {
    "epochs": 2,
    "load_col": {"inter": ["user_id", "item_id", "rating", "timestamp"]},
    "show_progress": False,
    "valid_metric": "NDCG@10",
}


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


def test_options_that_judge_by_other_samples_fail_their_trial(options, tmp_path):
    """What no list of names foresees: a split by time, and another column for it."""
    by_time = {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "TO", "group_by": "user", "mode": "full"}
    given = {**BPR, "data_path": options["data_path"], "eval_args": by_time}
    done = tune("BPR", "board", (), given, {"TIME_FIELD": ["timestamp", "rating"]}, "exhaustive", folder=tmp_path / "t")
    assert [t.status for t in done.trials] == ["done", "failed"]
    assert "judge by other validation samples than the first trial's" in done.trials[1].reason


# --- the command line -------------------------------------------------------------------------------------------------


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
    assert "is not taken up again" in capsys.readouterr().err


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
