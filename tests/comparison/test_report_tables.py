"""Tables of a comparison: differences, slices, ranks, the paper's figures beside ours."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.paper import PAPER, agreement, beside_the_paper
from recbole_apa.comparison.context import open_context
from recbole_apa.comparison.measured import measure
from recbole_apa.comparison.method import FitFigures, Scored, UnlearnFigures
from recbole_apa.comparison.presets import read_preset
from recbole_apa.comparison.registry import row_names
from recbole_apa.comparison.report.costs import ALL_ANEW, DRAWN, ONE_MODEL, drawn_table
from recbole_apa.comparison.report.criterion import ByLabel, ByRank
from recbole_apa.comparison.report.judging import Judging
from recbole_apa.comparison.report.slices import slice_tables
from recbole_apa.comparison.report.table import NOISE, OTHER_DRAW, comparison_rows, headers, write_comparison
from recbole_apa.comparison.row import DONE, FAILED, Row, RowStore
from recbole_apa.comparison.run_methods import _found, _key
from recbole_apa.evaluation.metrics import auc
from tests.helpers.places import ROOT


def rows_of(name, scores, seed=1, **figures):
    keys = ("train_seconds", "unlearn_seconds", "unlearn_shards_hit", "n_shards", "inference_ms_per_sample")
    fixed = dict.fromkeys((*keys, "forward_passes", "peak_memory_bytes", "n_parameters"), 1.0)
    return Row(name, seed, DONE, "", {**fixed, **figures}, scores)


def test_differences_are_paired_and_the_noise_of_a_seed_is_shown():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 300)
    good = (labels + rng.normal(size=300)).tolist()
    poor = rng.normal(size=300).tolist()
    rows = [
        rows_of("Retraining", good, 1, auc=0.8, train_seconds=40.0, unlearn_seconds=40.0),
        rows_of("Retraining", good, 2, auc=0.79),
        rows_of("SISA", poor, 1, auc=0.5, train_seconds=40.0, unlearn_seconds=10.0, n_shards=4.0),
        rows_of("Same", good, 1, auc=0.8),
        Row("Broken", 1, FAILED, "why"),
    ]
    judged = ByLabel(labels)
    table = {line[0]: dict(zip(headers(judged), line, strict=True)) for line in comparison_rows(rows, judged)}
    assert table["SISA"]["minus Retraining"] == "-0.3000" and table["SISA"][ALL_ANEW] == "4.00"
    # the reference needs 40 s without an interaction with the seed that the others have, 1 s with the other
    assert table["SISA"][ONE_MODEL] == "4.00" and table["Retraining"][ONE_MODEL] == table["Same"][ONE_MODEL] == ""
    assert table["SISA"]["95 % interval"].startswith("-0.")
    assert table["Same"]["minus Retraining"] == "+0.0000" and table["Same"]["95 % interval"] == "+0.000 to +0.000"
    assert table["Retraining"]["minus Retraining"] == "" and table["Retraining"]["spread"] == ""
    assert float(table["SISA"]["AUC"]) - float(table["Retraining"]["AUC"]) == pytest.approx(-0.3)
    assert table["Broken"]["AUC"] == "failed"
    assert table[NOISE]["minus Retraining"] == "±0.0100"


def lines_and_notes(rows, judging, tmp_path, slices=False):
    text = write_comparison(tmp_path, rows, judging, slices)
    return {line[0]: line for line in csv.reader((tmp_path / "table.csv").open())}, text


def test_figures_of_a_line_are_of_the_same_seeds(tmp_path):
    """Differences, slices, times and the figures themselves: the reference's further seed is in the last line alone."""
    labels, scores = [1, 0, 1, 0], [0.9, 0.1, 0.2, 0.8]
    judging = Judging(dict.fromkeys((1, 2), judged_samples(labels, [0, 1, 2, 3], user_seen=[1] * 4)))
    first, second = rows_of("Retraining", scores, 1, auc=0.5), rows_of("Retraining", scores[::-1], 2, auc=0.9)
    other = rows_of("SISA", scores[::-1], 1, auc=0.6)
    lines, text = lines_and_notes([first, other, second], judging, tmp_path, slices=True)
    told = dict(zip(lines["method"], lines["Retraining"], strict=True))
    assert told["AUC"] == "0.5000" and told["spread"] == ""
    assert "Lines are of seed 1; Retraining with seed 2 is in the last line alone." in text and "±0.4000" in text
    parts = {line[0]: line for line in csv.reader((tmp_path / "tables" / "auc-by-history.csv").open())}
    assert parts["Retraining"][-1] == "0.7500"  # of both seeds it would be .5
    assert "seeds 1." in (tmp_path / "report.html").read_text()


def test_lines_that_lack_a_seed_are_named(tmp_path):
    labels, scores = [1, 0, 1, 0], [0.9, 0.1, 0.2, 0.8]
    judging = Judging(dict.fromkeys((1, 2), judged_samples(labels, [0, 1, 2, 3])))
    rows = [rows_of(name, scores, seed, auc=0.5) for seed in (1, 2) for name in ("Retraining", "SISA", "FM")]
    _, text = lines_and_notes(rows, judging, tmp_path)
    assert "Lines are of seeds 1, 2." in text and "alone" not in text.split("Lines are")[1].split("\n")[0]
    rows[-1] = Row("FM", 2, FAILED, "why")
    _, text = lines_and_notes(rows, judging, tmp_path)
    assert "FM is of seed 1 alone, the others having failed." in text and "the difference" not in text
    rows[3] = Row("Retraining", 2, FAILED, "why")
    _, text = lines_and_notes(rows, judging, tmp_path)
    assert (
        "Retraining is of seed 1 alone" in text and "SISA: the difference from Retraining is of seed 1 alone." in text
    )


def test_every_table_on_the_screen_is_in_files(tmp_path):
    labels, scores = [1, 0, 1, 0], [0.9, 0.1, 0.2, 0.8]
    samples = judged_samples(labels, [0, 1, 2, 3], all_label=labels, all_user=[0, 1, 2, 3], baseline_data="all")
    drawn = {
        f"drawn_{kind}{of}": 2.0
        for kind in ("interactions", "users", "items")
        for of in ("", "_shards_hit", "_seconds")
    }
    rows = [
        rows_of("Retraining", scores, auc=0.5),
        rows_of("SISA", scores[::-1], auc=0.6, **drawn),
        replace(rows_of("FM", scores, auc=0.5), all_scores=scores),
        Row("Broken", 1, FAILED, "why"),
    ]
    _, text = lines_and_notes(rows, Judging({1: samples}), tmp_path, slices=True)
    shown = [line for line in text.splitlines() if line and not set(line) <= {"-", " "}]
    kept = (tmp_path / "table.md").read_text()
    cells = {" ".join(line.replace("|", " ").split()) for line in kept.splitlines()}
    assert all(" ".join(line.split()) in cells or f"## {line}" in kept for line in shown)
    names = {"requests-drawn-by-hash", "rows-without-a-language-model", "auc-by-user", "auc-by-history", "auc-by-item"}
    assert {path.name for path in (tmp_path / "tables").iterdir()} == {
        f"{n}.{end}" for n in names for end in ("csv", "tex")
    }
    assert "SISA" in (tmp_path / "tables" / "requests-drawn-by-hash.tex").read_text()
    (tmp_path / "tables" / "mine.txt").write_text("")
    lines_and_notes(rows[:1], Judging({1: judged_samples(labels, [0, 1, 2, 3])}), tmp_path)
    assert [path.name for path in (tmp_path / "tables").iterdir()] == ["mine.txt"]  # no table of another call


def test_a_row_that_tells_no_sample_from_another_is_named(tmp_path):
    samples = judged_samples([1, 0, 1, 0], [0, 1, 2, 3])
    rows = [rows_of("Retraining", [0.9, 0.1, 0.2, 0.8], auc=0.5), rows_of("ItemKNN+history", [0.0] * 4, auc=0.5)]
    says = "The same score for every test sample, so that there is nothing to judge: ItemKNN+history (seed 1)."
    assert says in lines_and_notes(rows, Judging({1: samples}), tmp_path)[1]
    assert "nothing to judge" not in lines_and_notes(rows[:1], Judging({1: samples}), tmp_path)[1]
    ranks = {**samples, "metrics": ["ndcg@10"]}
    ranked = [rows_of("Retraining", [1.0] * 4, **{"ndcg@10": 1.0})]
    assert "nothing to judge" not in lines_and_notes(ranked, Judging({1: ranks}), tmp_path)[1]


def test_parameters_that_are_none_or_a_dummy_are_not_counted():
    judged, scores = ByLabel(np.array([1, 0, 1, 0])), [0.9, 0.1, 0.2, 0.8]
    rows = [rows_of("A", scores, n_parameters=460800), rows_of("Old EASE", scores), rows_of("EASE", scores)]
    del rows[2].figures["n_parameters"]
    rows.append(rows_of("Rule", scores, n_parameters=0))
    table = {line[0]: line[-1] for line in comparison_rows(rows, judged)}
    assert headers(judged)[-1] == "parameters"
    assert table == {"A": "460,800", "Old EASE": "-", "EASE": "-", "Rule": "0"}


def test_the_noise_of_three_seeds_has_an_interval():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 300)
    rows = [rows_of("Retraining", (labels + rng.normal(size=300)).tolist(), seed, auc=0.8) for seed in (1, 2, 3)]
    judged = ByLabel(labels)
    table = {line[0]: dict(zip(headers(judged), line, strict=True)) for line in comparison_rows(rows, judged)}
    low, high = (float(part) for part in table[NOISE]["95 % interval"].split(" to "))
    assert low < high


def test_small_scores_are_kept_as_they_were_judged(options, work_folder, tmp_path):
    """Differences in the eighth place: a column from the scores and a slice from what is kept agree."""

    class Tiny:
        rows = ("Tiny",)

        def fit(self, seed):
            return FitFigures(0.0, 0, 1, 0)

        def score(self, row):
            found = 1e-8 * np.random.default_rng(0).normal(size=len(context.splits["test"]))
            return Scored(found, False, 1, 0.0, all_scores=found)

        def unlearn(self):
            return UnlearnFigures(0.0, 0)

    context = open_context("board", [], options, tmp_path / "open")
    (row,) = measure(context, Tiny(), ["Tiny"], 1)
    labels, scores = context.labels("test"), Tiny().score("Tiny").scores
    assert row.scores == row.all_scores == scores.tolist()
    store = RowStore(tmp_path)
    store.save(row, "key")
    kept = np.array(store.find("Tiny", 1, "key").scores)
    assert auc(labels, kept) == row.figures["auc"] == ByLabel(labels).value(kept, np.ones(len(labels), bool)) != 0.5
    # a row of before, whose scores were rounded, is measured again; another is not
    assert _found(context, row) is row
    assert _found(context, replace(row, scores=[round(s, 6) for s in row.scores])) is None
    further = [round(0.1234567 * s, 6) for s in (1, 2, 3)]  # of all test rows, where the drawn ones show nothing
    assert _found(context, replace(row, all_scores=further)) is None
    assert _found(context, replace(row, all_scores=[0.5, 0.25, 1.0])) is not None


def test_slices_divide_the_test_samples():
    samples = {
        "label": [1, 0, 1, 0],
        "n_history": [10, 10, 2, 2],
        "n_train_samples_of_user": [3, 3, 0, 0],
        "n_train_rows_of_item": [9, 9, 1, 1],
    }
    tables = slice_tables([rows_of("A", [0.9, 0.1, 0.2, 0.8])], Judging({1: samples}), "AUC")
    head, lines = tables["AUC by user"]
    assert head == ["method", "cold user (no training sample), n = 2", "warm user, n = 2"]
    assert lines == [["A", "0.0000", "1.0000"]]


def judged_samples(labels, users, **more):
    n = len(labels)
    others = {"n_history": [1] * n, "n_train_samples_of_user": [0] * n, "n_train_rows_of_item": [1] * n}
    return {"label": [int(y) for y in labels], "user": [int(u) for u in users], **others, **more}


def test_intervals_are_by_users_unless_rows_are_asked_for():
    """Ten rows of each user, all with the user's own difference: by rows the interval is far too narrow."""
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(40), 10)
    labels = rng.integers(0, 2, 400)
    right = np.where(rng.integers(0, 2, 40)[users] == 1, labels, 1 - labels) + rng.normal(size=400) / 10
    rows = [rows_of("Retraining", rng.random(400).tolist(), 1, auc=0.5), rows_of("A", right.tolist(), 1, auc=0.5)]
    widths = {}
    for by_users in (True, False):
        judging = Judging({1: judged_samples(labels, users)}, by_users)
        lines = comparison_rows(rows, judging.criterion(), judging.criterion)
        table = {line[0]: dict(zip(headers(judging.criterion()), line, strict=True)) for line in lines}
        low, high = (float(part) for part in table["A"]["95 % interval"].split(" to "))
        widths[by_users] = high - low
        assert ("intervals resample users" in judging.notes()[0]) == by_users
    assert widths[True] > 2 * widths[False]


def test_rows_of_older_comparisons_have_uauc_and_files_without_users_none():
    users = np.repeat(np.arange(50), 2)
    labels = np.arange(100) % 2
    row = rows_of("A", np.where(users < 30, labels, 1 - labels).tolist())
    assert Judging({1: judged_samples(labels, users)}).completed(row).figures["uauc"] == pytest.approx(0.6)
    few = judged_samples(labels[:98], users[:98])
    assert "uauc" not in Judging({1: few}).completed(rows_of("A", labels[:98].tolist())).figures
    old = judged_samples(labels, users)
    del old["user"]
    judging = Judging({1: old})
    assert judging.completed(row) is row and judging.criterion().users is None and len(judging.notes()) == 1
    assert Row("A", 1, FAILED, "why") == judging.completed(Row("A", 1, FAILED, "why"))


def test_seeds_that_draw_other_samples_are_compared_over_all_users():
    """Users 0 to 2 in the first seed's samples, 2 and 3 in the second's: whoever is drawn counts in both."""
    first = judged_samples([1, 0, 1, 0, 1, 0], [0, 0, 1, 1, 2, 2])
    second = judged_samples([1, 0, 1, 0], [3, 3, 2, 2])
    judging = Judging({1: first, 2: second}, redrawn=True)
    assert judging.n_users == 4 and judging.criterion(2).n_users == judging.criterion(1).n_users == 4
    rows = [
        rows_of("Retraining", [0.9, 0.1, 0.2, 0.8, 0.6, 0.5], 1, auc=0.7),
        rows_of("Retraining", [0.9, 0.1, 0.2, 0.3], 2, auc=0.6),
        rows_of("A", [0.1, 0.9, 0.2, 0.8, 0.6, 0.5], 1, auc=0.5),
        rows_of("A", [0.9, 0.1, 0.2, 0.3], 2, auc=0.6),
    ]
    lines = comparison_rows(rows, judging.criterion(), judging.criterion, redrawn=True)
    table = {line[0]: dict(zip(headers(judging.criterion()), line, strict=True)) for line in lines}
    assert table["A"]["minus Retraining"] == "-0.1000" and OTHER_DRAW in table and NOISE not in table
    drawn = [
        judging.criterion(seed).resampled({"A": np.array(r.scores)}, 50)["A"]
        for seed, r in ((1, rows[2]), (2, rows[3]))
    ]
    draws = np.random.default_rng(0).integers(4, size=(50, 4))
    for who, one, two in zip(draws, *drawn, strict=True):
        assert np.isnan(one) == (set(who) <= {3}) and np.isnan(two) == (set(who) <= {0, 1})
    assert "each draws other samples: the noise of draw and training" in judging.notes()[1]


def test_slices_of_seeds_with_other_samples_are_their_own():
    first = judged_samples([1, 0], [0, 0]) | {"n_train_samples_of_user": [0, 0]}
    second = judged_samples([1, 0, 1], [1, 1, 1]) | {"n_train_samples_of_user": [0, 0, 2]}
    rows = [rows_of("A", [0.9, 0.1], 1), rows_of("A", [0.1, 0.9, 0.5], 2)]
    head, lines = slice_tables(rows, Judging({1: first, 2: second}, redrawn=True), "AUC")["AUC by user"]
    assert head[1:] == ["cold user (no training sample), n = 2", "warm user, n = 0, 1"] and lines == [
        ["A", "0.5000", "-"]
    ]


def test_lists_of_users_are_resampled_by_users():
    samples = {"label": [1] * 4, "user": [0, 0, 1, 1], "metrics": ["ndcg@2"], "n_candidates": 3}
    judging = Judging({1: samples})
    criterion = judging.criterion()
    assert isinstance(criterion, ByRank) and criterion.users.tolist() == [0, 0, 1, 1]
    drawn = criterion.resampled({"A": np.array([1, 1, 5, 5])}, 200)["A"]
    assert set(drawn.tolist()) == {0.0, 0.5, 1.0}  # by rows also 0.25 and 0.75
    assert judging.notes()[0].startswith("4 lists of 2 users; intervals resample users")
    assert judging.completed(rows_of("A", [1, 1, 5, 5])).figures.get("uauc") is None


def test_requests_drawn_by_hash_stand_beside_both_references(tmp_path):
    drawn = {
        f"drawn_{kind}{what}": value
        for kind, values in {
            "interactions": (5.0, 1.5, 20.0),
            "users": (4.0, 2.0, 30.0),
            "items": (3.0, 4.0, 60.0),
        }.items()
        for what, value in zip(("", "_shards_hit", "_seconds"), values, strict=True)
    }
    labels = [1, 0, 1, 0]
    rows = [
        rows_of("Retraining", [0.9, 0.1, 0.2, 0.8], 1, auc=0.5, train_seconds=31.0, unlearn_seconds=30.0),
        rows_of(
            "SISA", [0.9, 0.1, 0.2, 0.8], 1, auc=0.5, train_seconds=60.0, unlearn_seconds=15.0, n_shards=4.0, **drawn
        ),
    ]
    head, lines = drawn_table(rows)
    assert dict(zip(head, lines[0], strict=True)) == {
        "method": "SISA",
        "shards hit": "1.50 / 2.00 / 4.00 of 4",
        "request s": "20.0 / 30.0 / 60.0",
        ONE_MODEL: "1.50 / 1.00 / 0.50",
        ALL_ANEW: "3.00 / 2.00 / 1.00",
    }
    assert len(lines) == 1 and drawn_table(rows[:1]) is None
    text = write_comparison(tmp_path, rows, Judging({1: judged_samples(labels, [0, 0, 1, 1])}), slices=False)
    page = (tmp_path / "report.html").read_text()
    for told in (text, page):
        assert (
            DRAWN in told
            and "Means over 3 to 5 requests of each kind" in told
            and "the paper&#39;s reference" in told.replace("paper's", "paper&#39;s")
        )
        assert "4 test samples of 2 users, 2 of them with both labels" in told and "Fewer than 30 users" in told


def test_agreement_is_of_ranks_and_over_seeds_that_both_have():
    rows = [Row("a", 1, DONE, scores=[0.1, 0.2, 0.3]), Row("b", 1, DONE, scores=[0.0, 0.5, 0.6])]
    rows += [
        Row("a", 2, DONE, scores=[1, 2, 3]),
        Row("b", 2, DONE, scores=[3, 2, 1]),
        Row("c", 1, DONE, scores=[1, 2, 3]),
    ]
    assert agreement(rows, ["a", "b", "c", "d"]) == [["a", "1.000", "0.000"], ["b", "0.000", "1.000"]]


@pytest.mark.slow
def test_rows_kept_in_the_repository_are_found(tmp_path):
    """An option that is new must not make them look like rows of something else, and none is measured again."""
    kept = ROOT / "benchmarks" / "results" / "table1-movie"
    context = open_context("ml-100k", (), dict(read_preset("table1").options), tmp_path)
    for name in row_names(read_preset("table1").names):
        for seed in (2020, 2021, 2022):
            found = RowStore(kept).find(name, seed, _key(context, name, {}))
            assert found and _found(context, found), (name, seed)


def test_papers_table_beside_ours():
    rows = [
        rows_of("Retraining", [], 1, auc=0.74),
        rows_of("Retraining", [], 2, auc=0.72),
        rows_of("SISA", [], 1, auc=0.7),
    ]
    found = beside_the_paper(rows, PAPER["ml-100k"])
    assert found[0] == ["Retraining", "0.7300", "0.7428", "+0.0000", "+0.0000"]
    assert found[1] == ["SISA", "0.7000", "0.7035", "-0.0300", "-0.0393"]
