"""The comparison on the small dataset: every method on the same rows, rows kept, failures named."""

import csv
import json
import mmap
import time
from dataclasses import fields

import numpy as np
import pytest

from recbole_apa import APAConfig, compare
from recbole_apa.cli.main import main
from recbole_apa.comparison.context import open_context
from recbole_apa.comparison.methods.sharded import Serving
from recbole_apa.comparison.presets import read_preset
from recbole_apa.comparison.registry import ADAPTERS, GROUPS, check_names, make_methods, row_names
from recbole_apa.comparison.report.criterion import ByLabel
from recbole_apa.comparison.report.table import headers
from recbole_apa.comparison.row import DONE, FAILED, Row, RowStore, peak_memory
from recbole_apa.core.errors import RunError, SettingsError
from recbole_apa.core.properties import properties_folder
from recbole_apa.core.settings import AggregationSettings
from recbole_apa.unlearning.approximate import APPROXIMATE_METHODS as APPROXIMATE

NAMES = [
    "SISA",
    "RecEraser",
    "GraphEraser",
    "Pop",
    "HistoryLikeRate",
    "ItemMean",
    "APA:lora_rank=0",
    "APA:weight_rule=average",
]


@pytest.fixture(scope="module")
def context(options, work_folder, tmp_path_factory):
    return open_context("board", [], options, tmp_path_factory.mktemp("bench"))


CONTRACT = [
    "APA(D)",
    "Retraining",
    "SISA",
    "RecEraser",
    "RecEraser-attention",
    "GraphEraser",
    "BPR",
    "FM",
    "HistoryLikeRate",
]


@pytest.mark.quick("APA(D)", "BPR")
@pytest.mark.parametrize("name", CONTRACT)
def test_every_method_keeps_the_contract(name, context):
    (method,) = make_methods(context, [name], {"BPR": {"epochs": 3}, "FM": {"epochs": 3}})
    if name not in GROUPS["rules"]:
        with pytest.raises(RunError, match="call fit first"):
            method.score(name)
    fitted = method.fit(1)
    scored = method.score(name)
    scores = scored.scores
    assert scores.shape == (len(context.splits["test"]),) and np.isfinite(scores).all()
    assert method.score(name).scores.tolist() == scores.tolist()
    if scored.is_probability:
        assert scores.min() >= 0 and scores.max() <= 1
    n_passes = {"SISA": 3, "RecEraser": 3, "RecEraser-attention": 3, "GraphEraser": 3, "HistoryLikeRate": 0}.get(
        name, 1
    )
    assert scored.forward_passes == n_passes
    forgotten = method.unlearn()
    if name == "HistoryLikeRate":
        assert fitted.n_parameters == forgotten.n_shards_hit == 0
    else:
        assert fitted.seconds > 0 and fitted.n_parameters > 0 and forgotten.seconds > 0
        assert 1 <= forgotten.n_shards_hit <= fitted.n_shards


def test_options_that_change_the_rows_fail_and_seeds_do_not_change_them(options, work_folder, tmp_path):
    mixed = {**options, "eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "RO", "mode": "labeled"}}
    drawn = open_context("board", [], mixed, tmp_path)
    (other,) = make_methods(drawn, ["APA:test_samples=5"])
    with pytest.raises(RunError, match=f"test has 5 samples that are not the comparison's {len(drawn.splits['test'])}"):
        other.fit(1)
    (same,) = make_methods(drawn, ["APA(D)"])
    same.fit(7)
    tested = same.made.data[2]._dataset.samples
    assert [s.sample_id for s in tested] == [s.sample_id for s in drawn.splits["test"]]


def test_rows_of_one_training_are_trained_once(context):
    names = ["APA(D)", "APA(ND)", "APA:weight_rule=average", "APA:tau=1000", "SISA", "APA:partition=random"]
    methods = make_methods(context, names)
    assert [tuple(m.rows) for m in methods] == [tuple(names[:4]), tuple(names[4:])]


@pytest.mark.slow
def test_tau_and_n_of_a_row_are_those_that_a_training_with_them_has(context, options, tmp_path):
    row = "APA:tau=1000+n_neighbors=3"
    (served,) = make_methods(context, ["APA(D)", row])
    served.fit(1)
    other = open_context("board", [], {**options, "tau": 1000, "n_neighbors": 3}, tmp_path)
    (trained,) = make_methods(other, ["APA(D)"])
    trained.fit(1)
    assert served.score(row).scores.tolist() == trained.score("APA(D)").scores.tolist()
    (auto,) = make_methods(other, ["APA:tau=auto+n_neighbors=auto"])
    auto.fit(1)
    assert auto.score(auto.rows[0]).scores.tolist() == served.score("APA(D)").scores.tolist()
    assert served.score(row).scores.tolist() != served.score("APA(D)").scores.tolist()


def test_what_a_baseline_forgets_is_in_no_row_it_is_trained_on_again(context):
    user, item = context.request()
    folder = context.presplit_without(user, item)
    for part in ("train", "train_likes", "valid", "test"):
        with open(folder / "presplit" / f"presplit.{part}.inter") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                mine = row["user_id:token"] == user
                assert not mine or item not in [row["item_id:token"], *row["item_id_list:token_seq"].split()]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("LightGNC", r"RecBole has no model named 'LightGNC'; did you mean 'LightGCN'\?"),
        ("lightgcn", r"no model named 'lightgcn'; did you mean 'LightGCN'\?"),
        ("SISAA", r"no model named 'SISAA'; did you mean 'SISA'\?"),
        ("papers", r"no model named 'papers'; did you mean 'paper'\?"),
        ("NoSuchModel", r"no model named 'NoSuchModel'$"),
        ("Bert", r"no model named 'Bert'$"),
        ("a.b", r"no model named 'a.b'$"),
        ("CKE", "CKE reads a knowledge graph"),
        ("KGAT", "KGAT reads a knowledge graph"),
        ("KSR", "KSR reads a knowledge graph"),
        ("NPO", "NPO forgets approximately; expected together with something to forget"),
    ],
)
def test_a_name_that_cannot_be_compared_is_rejected_before_anything_is_read(name, says, tmp_path):
    with pytest.raises(SettingsError, match=says):
        compare(["SISA", name], "no-such-dataset", folder=tmp_path / "here")
    assert not (tmp_path / "here").exists()


def test_a_model_that_options_are_given_for_is_one_that_exists(tmp_path):
    with pytest.raises(SettingsError, match="did you mean 'BPR'"):
        compare(["BPR"], "no-such-dataset", folder=tmp_path / "here", baseline_options={"BPRR": {"epochs": 1}})


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"learning_rte": 0.5}, "'learning_rte'; did you mean 'learning_rate'"),
        ({"epochs": "many"}, "epochs: found 'many', expected a whole number"),
        ({"stopping_rows": "abc"}, "stopping_rows: found 'abc'"),
    ],
)
def test_options_of_a_model_are_checked_before_anything_is_read(given, says, tmp_path):
    with pytest.raises(SettingsError, match=says):
        compare(["FM"], "no-such-dataset", folder=tmp_path / "here", baseline_options={"FM": given})
    assert not (tmp_path / "here").exists()


def test_every_model_of_a_group_has_a_name_that_is_known():
    check_names(row_names(["all", "ablations"]))


def test_a_rows_serving_covers_every_setting_of_the_aggregation():
    assert [f.name for f in fields(Serving)] == [f.name for f in fields(AggregationSettings)]
    with pytest.raises(SettingsError, match="tau: found 'high'"):
        row_names(["APA:tau=high"])


def test_names_and_groups():
    assert row_names(["paper"])[:3] == ["APA(D)", "APA(ND)", "Retraining"]
    assert row_names(["rules", "HistoryLikeRate", "APA"]) == ["APA(D)", "APA(ND)", "Retraining", *GROUPS["rules"]]
    assert set(row_names(["all"])) >= {*ADAPTERS, *GROUPS["recbole"], *GROUPS["rules"]}
    for name in row_names(["ablations"]):
        assert name in ADAPTERS or name.startswith("APA:")
    with pytest.raises(SettingsError, match="expected option=value"):
        row_names(["APA:partition"])


@pytest.fixture(scope="module")
def compared(options, work_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    return compare(NAMES, "board", config_dict=options, folder=folder, slices=True), folder


@pytest.mark.slow
def test_a_comparison_has_a_row_for_each_name_and_a_reason_for_each_failure(compared):
    result, folder = compared
    by_name = {row.method: row for row in result.rows if row.seed == 1}
    assert set(by_name) == {"APA(D)", "APA(ND)", "Retraining", *NAMES}
    assert {row.method for row in result.rows if row.status == FAILED} == {"APA:lora_rank=0"}
    assert "lora_rank: found 0" in by_name["APA:lora_rank=0"].reason
    assert [row.method for row in result.rows if row.seed == 2] == ["Retraining"]  # the noise of a seed
    for row in by_name.values():
        if row.status == DONE:
            assert len(row.scores) == row.figures["n_samples"] == 12
    assert by_name["SISA"].figures["forward_passes"] == 3 and by_name["APA(D)"].figures["forward_passes"] == 1
    assert by_name["APA(D)"].scores != by_name["APA(ND)"].scores != by_name["Retraining"].scores
    assert by_name["Pop"].figures["recbole_auc"] == pytest.approx(by_name["Pop"].figures["auc"], abs=1e-4)
    assert "logloss" not in by_name["Pop"].figures
    page = (folder / "report.html").read_text()
    assert "Failed" in page and "APA:lora_rank=0" in page and "AUC by user" in page
    assert not (folder / ".scratch").exists()
    with open(folder / "table.csv") as file:
        assert next(csv.reader(file)) == headers(ByLabel(np.array([0, 1])))
    assert r"\toprule" in (folder / "table.tex").read_text()


@pytest.mark.slow
def test_rows_that_are_there_are_not_computed_again(compared, options, monkeypatch):
    result, folder = compared

    def no_training(self, seed):
        raise AssertionError(f"trained again: {self.rows}")

    from recbole_apa.comparison.methods.sharded import AdapterMethod

    with monkeypatch.context() as patch:
        patch.setattr(AdapterMethod, "fit", no_training)
        again = compare(NAMES, "board", config_dict=options, folder=folder)
        other = compare(["SISA"], "board", config_dict={**options, "epochs": 1}, folder=folder)
    assert [(r.method, r.seed, list(r.scores)) for r in again.rows] == [
        (r.method, r.seed, list(r.scores)) for r in result.rows
    ]
    assert {row.status for row in other.rows} == {FAILED}  # other settings are other rows


@pytest.mark.slow
def test_a_new_row_of_a_known_training_leaves_the_known_ones_as_they_are(compared, options):
    _, folder = compared
    before = {path: path.read_bytes() for path in (folder / "rows").glob("*.json")}
    more = compare(["APA:weight_rule=major"], "board", config_dict=options, folder=folder)
    found = [row.method for row in more.rows if row.seed == 1]
    assert sorted(found) == ["APA(D)", "APA(ND)", "APA:weight_rule=major", "Retraining"]
    assert all(path.read_bytes() == content for path, content in before.items())
    assert len(list((folder / "rows").glob("*.json"))) == len(before) + 1


def test_another_draw_of_the_same_data_is_another_comparison(options, work_folder, tmp_path):
    mixed = {**options, "eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "RO", "mode": "labeled"}}
    one, same, other = (open_context("board", [], {**mixed, "seed": seed}, tmp_path) for seed in (1, 1, 2))
    assert one.data[0]._dataset.old_digest == other.data[0]._dataset.old_digest
    assert one.rows_digest == same.rows_digest != other.rows_digest


def test_a_failed_row_is_tried_again(tmp_path):
    store = RowStore(tmp_path)
    store.save(Row("SISA", 1, FAILED, "no space"), "k")
    assert store.find("SISA", 1, "k") is None
    store.save(Row("SISA", 1, DONE, "", {"auc": 0.5}), "k")
    assert store.find("SISA", 1, "k").figures == {"auc": 0.5}
    assert store.find("SISA", 1, "other") is None
    json.loads(store.path("SISA", 1, "k").read_text())


def test_peak_memory_sees_what_was_allocated():
    with peak_memory() as before:
        pass
    with peak_memory() as peak, mmap.mmap(-1, 64 << 20) as block:  # pages that no allocator can have kept
        for page in range(0, len(block), 4096):
            block[page] = 1
        time.sleep(0.3)
    assert peak[0] >= before[0] + (30 << 20)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--model=FM", "--compare=SISA"], "name FM in --compare"),
        (["--seeds=3"], "expected together with --compare"),
        (["--compare=SISA", "--seeds=many"], "expected a whole number of at least 1"),
        (["--compare=SISA", "--seeds=0"], "found 0, expected a whole number"),
        (
            ["--compare=SISA", "--baseline_options=LightGCN"],
            "baseline_options: found 'LightGCN', expected options by model",
        ),
        (
            ["--compare=FM", "--baseline_options={FM: {stopping_rows: many}}"],
            "stopping_rows: found 'many', expected a whole number of at least 1",
        ),
        (["--compare=SISA", "--audit"], "--audit does not go with --compare"),
        (["--comparre=SISA"], "did you mean 'compare'?"),
    ],
)
def test_the_command_line_refuses_what_makes_no_sense(arguments, says, capsys):
    assert main(arguments) == 2
    assert says in capsys.readouterr().err


def test_every_experiment_names_rows_and_options_that_exist():
    files = sorted((properties_folder() / "experiments").glob("*.yaml"))
    assert len(files) >= 4
    for path in files:
        kept = read_preset(path.stem)
        assert path.read_text().startswith("#") and f"--experiment={path.stem}" in path.read_text()
        config = APAConfig("APA", "ml-100k", None, dict(kept.options))
        assert config["train_samples"] == (64 if kept.forget else 1024) and kept.seeds == 3
        for name in row_names(kept.names):
            known = name in ADAPTERS or name in GROUPS["rules"] or name.startswith("APA:")
            assert known or (kept.forget and name in APPROXIMATE)


@pytest.mark.slow
def test_an_experiment_runs_from_the_command_line(options, tmp_path, capsys):
    (tmp_path / "mine.yaml").write_text("compare: [rules]\noptions: {epochs: 1}\n")
    given = [f"--{k}={v}" for k, v in options.items() if k != "epochs"]
    where = [f"--experiment={tmp_path / 'mine.yaml'}", f"--compare_dir={tmp_path / 'out'}"]
    assert main(["--model=APA", "--dataset=board", *given, *where]) == 0
    out = capsys.readouterr().out
    assert "HistoryLikeRate+ItemMean" in out and "Retraining, another seed" in out
    (tmp_path / "mine.yaml").write_text("compair: [rules]\n")
    assert main(["--model=APA", *where]) == 2
    assert "did you mean 'compare'?" in capsys.readouterr().err
    assert main(["--model=APA", "--experiment=tabel1"]) == 2
    assert "partition, shard_size, table1, weights" in capsys.readouterr().err


@pytest.mark.slow
def test_plain_averages_fill_no_memory_and_train_the_same_adapters(context):
    (plain,) = make_methods(context, ["SISA"])
    plain.fit(1)
    assert len(plain.made.model.rule.memory.labels) == 0
    scores = plain.score("SISA").scores.tolist()
    (cache,) = context.caches.values()
    known = cache.n_bytes
    plain.unlearn()
    assert plain.made.data[1]._dataset.samples == [] and plain.made.model.engine.cache.n_bytes < known
    assert cache.n_bytes == known  # the other methods' states are there still
    (both,) = make_methods(context, ["SISA", "APA:partition=random"])
    both.fit(1)
    assert len(both.made.model.rule.memory.labels) == 12
    assert both.score("SISA").scores.tolist() == scores
