"""Tables of a comparison: differences, slices, ranks, the paper's figures beside ours."""

import numpy as np
import pytest

from benchmarks.paper import PAPER, agreement, beside_the_paper
from recbole_apa.comparison.context import open_context
from recbole_apa.comparison.presets import read_preset
from recbole_apa.comparison.report.criterion import ByLabel
from recbole_apa.comparison.report.table import NOISE, comparison_rows, headers, slice_tables
from recbole_apa.comparison.row import DONE, FAILED, Row, RowStore
from recbole_apa.comparison.run_methods import _key
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
        rows_of("SISA", poor, 1, auc=0.5, train_seconds=40.0, unlearn_seconds=10.0),
        rows_of("Same", good, 1, auc=0.8),
        Row("Broken", 1, FAILED, "why"),
    ]
    judged = ByLabel(labels)
    table = {line[0]: dict(zip(headers(judged), line, strict=True)) for line in comparison_rows(rows, judged)}
    assert table["SISA"]["minus Retraining"] == "-0.3000" and table["SISA"]["ratio"] == "4.00"
    assert table["SISA"]["95 % interval"].startswith("-0.")
    assert table["Same"]["minus Retraining"] == "+0.0000" and table["Same"]["95 % interval"] == "+0.000 to +0.000"
    assert table["Retraining"]["minus Retraining"] == "" and table["Retraining"]["spread"] == "0.0071"
    assert table["Broken"]["AUC"] == "failed"
    assert table[NOISE]["minus Retraining"] == "±0.0100"


def test_the_noise_of_three_seeds_has_an_interval():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 300)
    rows = [rows_of("Retraining", (labels + rng.normal(size=300)).tolist(), seed, auc=0.8) for seed in (1, 2, 3)]
    judged = ByLabel(labels)
    table = {line[0]: dict(zip(headers(judged), line, strict=True)) for line in comparison_rows(rows, judged)}
    low, high = (float(part) for part in table[NOISE]["95 % interval"].split(" to "))
    assert low < high


def test_slices_divide_the_test_samples():
    samples = {
        "label": [1, 0, 1, 0],
        "n_history": [10, 10, 2, 2],
        "n_train_samples_of_user": [3, 3, 0, 0],
        "n_train_rows_of_item": [9, 9, 1, 1],
    }
    tables = slice_tables([rows_of("A", [0.9, 0.1, 0.2, 0.8])], samples)
    head, lines = tables["AUC by user"]
    assert head == ["method", "cold user (no training sample), n = 2", "warm user, n = 2"]
    assert lines == [["A", "0.0000", "1.0000"]]


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
    """An option that is new must not make them look like rows of something else."""
    kept = ROOT / "benchmarks" / "results" / "table1-movie"
    context = open_context("ml-100k", (), dict(read_preset("table1").options), tmp_path)
    for name in ("APA(D)", "APA(ND)", "Retraining", "HistoryLikeRate"):
        for seed in (2020, 2021, 2022):
            assert RowStore(kept).find(name, seed, _key(context, name, {})), (name, seed)


def test_papers_table_beside_ours():
    rows = [
        rows_of("Retraining", [], 1, auc=0.74),
        rows_of("Retraining", [], 2, auc=0.72),
        rows_of("SISA", [], 1, auc=0.7),
    ]
    found = beside_the_paper(rows, PAPER["ml-100k"])
    assert found[0] == ["Retraining", "0.7300", "0.7428", "+0.0000", "+0.0000"]
    assert found[1] == ["SISA", "0.7000", "0.7035", "-0.0300", "-0.0393"]
