"""The tables of a comparison: differences, noise, seeds, costs; on the screen and in files."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from recbole_apa.comparison.report.costs import ALL_ANEW, DRAWN, ONE_MODEL, drawn_table
from recbole_apa.comparison.report.criterion import ByLabel
from recbole_apa.comparison.report.judging import Judging
from recbole_apa.comparison.report.table import NOISE, comparison_rows, headers, write_comparison
from recbole_apa.comparison.row import FAILED, Row
from tests.helpers.compared import judged_samples, row_of


def test_differences_are_paired_and_the_noise_of_a_seed_is_shown():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 300)
    good = (labels + rng.normal(size=300)).tolist()
    poor = rng.normal(size=300).tolist()
    rows = [
        row_of("Retraining", good, 1, auc=0.8, train_seconds=40.0, unlearn_seconds=40.0),
        row_of("Retraining", good, 2, auc=0.79),
        row_of("SISA", poor, 1, auc=0.5, train_seconds=40.0, unlearn_seconds=10.0, n_shards=4.0),
        row_of("Same", good, 1, auc=0.8),
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
    first, second = row_of("Retraining", scores, 1, auc=0.5), row_of("Retraining", scores[::-1], 2, auc=0.9)
    other = row_of("SISA", scores[::-1], 1, auc=0.6)
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
    rows = [row_of(name, scores, seed, auc=0.5) for seed in (1, 2) for name in ("Retraining", "SISA", "FM")]
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
        row_of("Retraining", scores, auc=0.5),
        row_of("SISA", scores[::-1], auc=0.6, **drawn),
        replace(row_of("FM", scores, auc=0.5), all_scores=scores),
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
    rows = [row_of("Retraining", [0.9, 0.1, 0.2, 0.8], auc=0.5), row_of("ItemKNN+history", [0.0] * 4, auc=0.5)]
    says = "The same score for every test sample, so that there is nothing to judge: ItemKNN+history (seed 1)."
    assert says in lines_and_notes(rows, Judging({1: samples}), tmp_path)[1]
    assert "nothing to judge" not in lines_and_notes(rows[:1], Judging({1: samples}), tmp_path)[1]
    ranks = {**samples, "metrics": ["ndcg@10"]}
    ranked = [row_of("Retraining", [1.0] * 4, **{"ndcg@10": 1.0})]
    assert "nothing to judge" not in lines_and_notes(ranked, Judging({1: ranks}), tmp_path)[1]


def test_parameters_that_are_none_or_a_dummy_are_not_counted():
    judged, scores = ByLabel(np.array([1, 0, 1, 0])), [0.9, 0.1, 0.2, 0.8]
    rows = [row_of("A", scores, n_parameters=460800), row_of("Old EASE", scores), row_of("EASE", scores)]
    del rows[2].figures["n_parameters"]
    rows.append(row_of("Rule", scores, n_parameters=0))
    table = {line[0]: line[-1] for line in comparison_rows(rows, judged)}
    assert headers(judged)[-1] == "parameters"
    assert table == {"A": "460,800", "Old EASE": "-", "EASE": "-", "Rule": "0"}


def test_the_noise_of_three_seeds_has_an_interval():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 300)
    rows = [row_of("Retraining", (labels + rng.normal(size=300)).tolist(), seed, auc=0.8) for seed in (1, 2, 3)]
    judged = ByLabel(labels)
    table = {line[0]: dict(zip(headers(judged), line, strict=True)) for line in comparison_rows(rows, judged)}
    low, high = (float(part) for part in table[NOISE]["95 % interval"].split(" to "))
    assert low < high


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
        row_of("Retraining", [0.9, 0.1, 0.2, 0.8], 1, auc=0.5, train_seconds=31.0, unlearn_seconds=30.0),
        row_of(
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
