"""Slices of the test samples in a comparison's report."""

from recbole_apa.comparison.report.judging import Judging
from recbole_apa.comparison.report.slices import slice_figures, slice_tables
from tests.helpers.compared import judged_samples, row_of


def test_slices_of_users_and_items_that_the_rows_have_or_lack():
    labels = [1, 0, 1, 0, 1]
    samples = {
        "label": labels,
        "n_history": [1] * 5,
        "n_train_samples_of_user": [1] * 5,
        "n_train_rows_of_item": [1] * 5,
        "user_seen": [1, 1, 0, 0, 0],
        "item_seen": [1] * 5,
    }
    judging, rows = Judging({1: samples}), [row_of("A", [0.9, 0.1, 0.2, 0.8, 0.9], auc=0.5)]
    parts = slice_figures(rows, judging)
    found = {part.name: (part.n, dict(part.values)) for part in parts}
    assert found["user seen"] == (2, {"A": 1.0}) and found["user unseen"] == (3, {"A": 0.5})
    assert found["item unseen"] == (0, {}) and found["item seen"][0] == 5
    head, lines = slice_tables(rows, judging, "AUC")["AUC by user in the baselines' rows"]
    assert head == ["method", "user unseen, n = 3", "user seen, n = 2"] and lines == [["A", "0.5000", "1.0000"]]


def test_slices_divide_the_test_samples():
    samples = {
        "label": [1, 0, 1, 0],
        "n_history": [10, 10, 2, 2],
        "n_train_samples_of_user": [3, 3, 0, 0],
        "n_train_rows_of_item": [9, 9, 1, 1],
    }
    tables = slice_tables([row_of("A", [0.9, 0.1, 0.2, 0.8])], Judging({1: samples}), "AUC")
    head, lines = tables["AUC by user"]
    assert head == ["method", "cold user (no training sample), n = 2", "warm user, n = 2"]
    assert lines == [["A", "0.0000", "1.0000"]]


def test_slices_of_seeds_with_other_samples_are_their_own():
    first = judged_samples([1, 0], [0, 0]) | {"n_train_samples_of_user": [0, 0]}
    second = judged_samples([1, 0, 1], [1, 1, 1]) | {"n_train_samples_of_user": [0, 0, 2]}
    rows = [row_of("A", [0.9, 0.1], 1), row_of("A", [0.1, 0.9, 0.5], 2)]
    head, lines = slice_tables(rows, Judging({1: first, 2: second}, redrawn=True), "AUC")["AUC by user"]
    assert head[1:] == ["cold user (no training sample), n = 2", "warm user, n = 0, 1"] and lines == [
        ["A", "0.5000", "-"]
    ]
