"""Comparisons of data as people have them: columns of their own, labels that are all alike."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recbole_apa import audit, compare, run, unlearn
from recbole_apa.cli.main import main
from recbole_apa.comparison.context import open_context
from recbole_apa.comparison.forget_task import ForgetRequest
from recbole_apa.comparison.forgetting import compare_forgetting
from recbole_apa.comparison.registry import make_methods
from recbole_apa.comparison.row import DONE, FAILED
from recbole_apa.core.errors import DataError
from recbole_apa.data.presplit_files import Layout, write_presplit
from recbole_apa.data.samples import HistoryEntry, Sample

OWN = {
    "USER_ID_FIELD": "customer",
    "ITEM_ID_FIELD": "product",
    "RATING_FIELD": "stars",
    "TIME_FIELD": "day",
    "LABEL_FIELD": "liked",
    "threshold": {"stars": 4},
    "load_col": {"inter": ["customer", "product", "stars", "day"], "item": ["product", "item_id", "title", "year"]},
}
QUICK = {name: {"epochs": 2} for name in ("BPR", "FM", "SASRec")}


@pytest.fixture
def own(options, data_folder, tmp_path):
    """The checkerboard under columns of one's own, one of which has the usual id's name."""
    folder = tmp_path / "data" / "board"
    folder.mkdir(parents=True)
    lines = (data_folder / "board" / "board.inter").read_text().splitlines()
    head = "customer:token\tproduct:token\tstars:float\tday:float"
    (folder / "board.inter").write_text("\n".join([head, *lines[1:]]) + "\n")
    items = [line.split("\t") for line in (data_folder / "board" / "board.item").read_text().splitlines()[1:]]
    lines = [f"{item}\tisbn-{n}\t{title}\t{year}" for n, (item, title, year) in enumerate(items)]
    head = "product:token\titem_id:token\ttitle:token_seq\tyear:float"
    (folder / "board.item").write_bytes(("\n".join([head, *lines]) + "\n").encode())
    return {**options, **OWN, "data_path": str(tmp_path / "data"), "epochs": 1}


@pytest.mark.quick("BPR")
@pytest.mark.parametrize("name", ["Pop", "BPR", "FM", "SASRec", "RecEraser", "ItemMean"])
def test_methods_read_columns_of_ones_own(name, own, options, tmp_path):
    context = open_context("board", [], own, tmp_path / "own")
    usual = open_context("board", [], {**options, "epochs": 1}, tmp_path / "usual")
    scores = []
    for each in (context, usual):
        (method,) = make_methods(each, [name], QUICK)
        method.fit(1)
        scores.append(method.score(name).scores)
        method.unlearn()
    assert context.labels("test").tolist() == usual.labels("test").tolist()
    if name != "FM":  # which has the further column to learn from
        assert scores[0].tolist() == pytest.approx(scores[1].tolist(), abs=1e-5)
    assert context.item_columns == ["item_id", "title", "year"]


@pytest.mark.slow
def test_a_comparison_of_ones_own_columns_has_figures(own, tmp_path, capsys):
    given = [f"--{k}={v}" for k, v in own.items() if k not in ("load_col", "threshold")]
    given += ["--threshold={stars: 4}", f"--load_col={own['load_col']}"]
    where = [f"--compare_dir={tmp_path / 'out'}", "--baseline_options={BPR: {epochs: 2}}"]
    assert main(["--model=APA", "--dataset=board", "--compare=Pop,BPR", *given, *where]) == 0
    assert "failed" not in capsys.readouterr().out
    ranked = compare(
        ["Pop"], "board", config_dict={**own, "eval_args.mode": "uni4", "topk": [2]}, folder=tmp_path / "r"
    )
    assert {row.status for row in ranked.rows} == {DONE}


def test_files_with_other_separators_encodings_and_marks_are_read(own, tmp_path):
    folder = Path(own["data_path"]) / "board"
    for file in folder.iterdir():
        text = file.read_text().replace("\t", ",").replace("Even", "Été")
        file.write_bytes(text.encode("latin-1"))
    changed = {**own, "field_separator": ",", "encoding": "latin-1", "load_col": {**own["load_col"], "item": "*"}}
    context = open_context("board", [], changed, tmp_path / "own")
    assert context.item_columns == ["item_id", "title", "year"]
    for name in ("FM", "SASRec"):
        (method,) = make_methods(context, [name], QUICK)
        method.fit(1)
        assert np.isfinite(method.score(name).scores).all()
    with open(context.presplit() / "presplit" / "presplit.test.inter", encoding="latin-1") as lines:
        head = next(csv.reader(lines))
    assert head == ["customer:token", "product:token", "liked:float", "product_list:token_seq"]


def sample(user, item, history=()):
    return Sample(f"{user}:{item}", user, item, 1, tuple(HistoryEntry(h, 1, f"{user}:{h}") for h in history))


def test_ids_that_would_be_cut_in_two_are_refused(tmp_path):
    parts = {"train": [sample("a", "the film")], "valid": [], "test": []}
    with pytest.raises(DataError, match="the id 'the film' contains the column separator ' '"):
        write_presplit(tmp_path, "p", parts, tmp_path, Layout(field_separator=" "))


def test_item_ids_with_blanks_fail_models_of_histories_alone(options, data_folder, tmp_path):
    folder = tmp_path / "data" / "board"
    folder.mkdir(parents=True)
    for name in ("board.inter", "board.item"):
        text = (data_folder / "board" / name).read_text()
        (folder / name).write_text(text.replace("\ti", "\tthe i").replace("\ni", "\nthe i").replace("the item", "item"))
    context = open_context("board", [], {**options, "data_path": str(tmp_path / "data")}, tmp_path / "bench")
    general, sequential = make_methods(context, ["BPR", "SASRec"], QUICK)
    general.fit(1)
    with pytest.raises(DataError, match=r"item ids such as 'the i\d+' contain ' '.*--seq_separator"):
        sequential.fit(1)


def write_alike(data_folder, folder, rating, last):
    """The checkerboard with one rating for the last rows of every user: those of validation and test."""
    folder.mkdir(parents=True)
    lines = (data_folder / "board" / "board.inter").read_text().splitlines()
    for n, line in enumerate(lines[1:], start=1):
        words = line.split("\t")
        if (n - 1) % 16 >= 16 - last:
            lines[n] = "\t".join([*words[:2], str(rating), words[3]])
    (folder / "board.inter").write_text("\n".join(lines) + "\n")
    (folder / "board.item").write_bytes((data_folder / "board" / "board.item").read_bytes())


@pytest.fixture(params=[(5, 12), (2, 12), (5, 1), (2, 1)], ids=["likes", "dislikes", "one-like", "one-dislike"])
def alike(request, options, data_folder, tmp_path):
    """Options of validation and test samples whose labels are all alike."""
    rating, n = request.param
    write_alike(data_folder, tmp_path / "data" / "board", rating, 6)
    kept = {**options, "data_path": str(tmp_path / "data"), "epochs": 1, "seed": 1}
    return {**kept, "valid_samples": n, "test_samples": n}


@pytest.mark.slow
def test_labels_all_alike_leave_a_table_without_an_auc(alike, tmp_path, capsys):
    given = {name: {"epochs": 2} for name in ("BPR", "FM")}
    result = compare(
        ["Pop", "BPR", "FM", "SISA", "ItemMean"],
        "board",
        config_dict=alike,
        folder=tmp_path / "out",
        baseline_options=given,
        slices=True,
    )
    assert [row.reason for row in result.rows if row.status != DONE] == []
    table = list(csv.reader((tmp_path / "out" / "table.csv").read_text().splitlines()))
    assert {line[1] for line in table[1:-1]} == {"-"} and "nan" not in result.table
    assert all("auc" not in row.figures and "recbole_auc" not in row.figures for row in result.rows)


@pytest.mark.slow
def test_a_run_with_labels_all_alike_trains_forgets_and_reports(alike, tmp_path):

    trained = run("APA", "board", config_dict=alike, run_dir=tmp_path / "run")
    assert "test.aggregated.decomposition.logloss" in trained.metrics
    assert not any(name.endswith("auc") for name in trained.metrics)
    outcome = unlearn(tmp_path / "run", users=["u3"]).outcomes[0]
    aucs = [pair for title, pair in outcome.figures.items() if title.startswith("test AUC")]
    assert aucs and all(pair == {"before": None, "after": None} for pair in aucs)
    assert audit(tmp_path / "run").holds
    assert "The test labels are all the same: no AUC." in (tmp_path / "run" / "report.html").read_text()


@pytest.mark.quick("likes")
def test_recboles_models_run_by_themselves_with_labels_all_alike(alike):
    rows = {"metrics": ["AUC"], "valid_metric": "AUC", "threshold": {"rating": 4}, "epochs": 2}
    judged = {"eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "labeled"}}
    kept = {k: alike[k] for k in ("data_path", "load_col", "show_progress", "seed")}
    result = run("FM", "board", config_dict={**kept, **rows, **judged, "train_neg_sample_args": None})
    assert result.metrics == {}


@pytest.mark.slow
def test_scores_that_are_no_numbers_fail_their_row_and_no_other(options, tmp_path, monkeypatch):
    from recbole_apa.comparison.methods.recbole import RecBoleMethod

    score = RecBoleMethod.score
    monkeypatch.setattr(
        RecBoleMethod, "score", lambda self, row: replace(score(self, row), scores=score(self, row).scores * np.nan)
    )
    for n, more in enumerate(({}, {"eval_args.mode": "uni4", "topk": [2]})):
        result = compare(
            ["Pop", "ItemMean"], "board", config_dict={**options, **more, "epochs": 1}, folder=tmp_path / str(n)
        )
        failed = {row.method: row.reason for row in result.rows if row.status == FAILED}
        assert list(failed) == ["Pop"] and "scores are NaN or infinite" in failed["Pop"]


@pytest.mark.slow
@pytest.mark.parametrize("n_samples", [1, 12])
def test_forgetting_is_compared_with_labels_all_alike(n_samples, options, data_folder, tmp_path):
    write_alike(data_folder, tmp_path / "data" / "board", 5, 6)
    kept = {**options, "data_path": str(tmp_path / "data"), "epochs": 1, "valid_samples": n_samples}
    request = ForgetRequest(n_interactions=2)
    where = {"config_dict": {**kept, "test_samples": n_samples}, "folder": tmp_path / "out"}
    result = compare_forgetting(["GradDiff", "APA(D)"], request, "board", **where)
    assert [row.reason for row in result.rows if row.status != DONE] == []
    assert "nan" not in result.table and all("auc" not in row.figures for row in result.rows)


@pytest.mark.slow
@pytest.mark.parametrize("rating", [2, 5])
def test_lists_are_ranked_or_refused_where_labels_are_all_alike(rating, options, data_folder, tmp_path):
    write_alike(data_folder, tmp_path / "data" / "board", rating, 6)
    kept = {**options, "data_path": str(tmp_path / "data"), "epochs": 1, "eval_args.mode": "uni4", "topk": [2]}
    result = run("APA", "board", config_dict=kept, run_dir=tmp_path / "run")
    assert ("recbole.test.ndcg@2" in result.metrics) == (rating == 5)
    unlearn(tmp_path / "run", users=["u3"])


@pytest.mark.slow
def test_a_single_training_sample_that_forgetting_leaves_is_drawn_and_proved(options, tmp_path):
    kept = {**options, "epochs": 1, "train_samples": 6, "n_shards": 2}
    taken = run("APA", "board", config_dict=kept, run_dir=tmp_path / "run")
    asked = [(s.user_id, s.item_id) for s in taken.data[0]._dataset.samples[1:]]
    left = unlearn(tmp_path / "run", interactions=asked).outcomes[0].result
    assert len(left.data[0]._dataset.samples) == 1 and audit(tmp_path / "run").holds
