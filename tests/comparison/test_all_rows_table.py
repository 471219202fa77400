"""The table of every row of the test split, for rows without a language model."""

import numpy as np
import pytest

from recbole_apa.comparison.report.all_rows import all_rows_table
from recbole_apa.comparison.report.judging import Judging
from recbole_apa.comparison.row import DONE, Row


def test_the_table_of_all_test_rows_is_paired_and_by_users():
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(60), 20)
    labels = rng.integers(0, 2, len(users))
    good, poor = labels + rng.normal(size=len(users)), rng.random(len(users))
    samples = {"label": [1, 0], "user": [0, 0], "all_label": labels.tolist(), "all_user": users.tolist()}
    rows = [
        Row("Evidence", 1, DONE, figures={"logloss": 0.1}, all_scores=good.tolist()),
        Row("BPR", 1, DONE, all_scores=poor.tolist()),
        Row("Same", 1, DONE, all_scores=good.tolist()),
        Row("APA(D)", 1, DONE),
    ]
    (head, lines), note = all_rows_table(rows, Judging({1: samples}))
    table = {line[0]: dict(zip(head, line, strict=True)) for line in lines}
    assert list(table) == ["Evidence", "BPR", "Same"] and "1200 test samples of 60 users" in note
    for figure, interval in (("AUC", "95 % interval"), ("UAUC", "95 % interval by users")):
        gap = f"{figure} minus Evidence"
        assert table["Evidence"][gap] == table["Evidence"][interval] == ""
        assert table["Same"][gap] == "+0.0000" and table["Same"][interval] == "+0.0000 to +0.0000"
        low, high = map(float, table["BPR"][interval].split(" to "))
        assert low < float(table["BPR"][gap]) < high < 0
        told = float(table["BPR"][figure]) - float(table["Evidence"][figure])
        assert float(table["BPR"][gap]) == pytest.approx(told, abs=1e-4)
    assert table["BPR"]["LogLoss"] == "-" != table["Evidence"]["LogLoss"] and table["BPR"]["UAUC"] != "-"
    assert "Evidence has the highest UAUC" in note and note.endswith("for Same +0.0000 (+0.0000 to +0.0000).")
    assert all_rows_table(rows[3:], Judging({1: samples})) is None


def test_uauc_of_all_test_rows_is_resampled_by_users_if_intervals_are_by_rows():
    """60 users, half of whom a row ranks rightly and half wrongly: with rows resampled the interval would be narrow."""
    users = np.repeat(np.arange(60), 20)
    labels = np.tile([1, 0], 600)
    samples = {"label": [1, 0], "user": [0, 0], "all_label": labels.tolist(), "all_user": users.tolist()}
    noise = np.random.default_rng(0).random(len(users))
    turned = np.where(users % 2, labels, 1 - labels) + noise / 10
    rows = [Row(name, 1, DONE, all_scores=kept.tolist()) for name, kept in (("Pop", noise), ("Turned", turned))]
    (head, lines), note = all_rows_table(rows, Judging({1: samples}, by_users=False))
    ends = dict(zip(head, lines[1], strict=True))
    by_rows, by_users = (ends[name].split(" to ") for name in ("95 % interval", "95 % interval by users"))
    assert np.diff(list(map(float, by_users))) > 3 * np.diff(list(map(float, by_rows)))
    assert "contains 0 for" in note


def test_all_test_rows_of_few_users_have_no_uauc():
    samples = {"label": [1, 0], "user": [0, 0], "all_label": [1, 0] * 10, "all_user": [0] * 20}
    rows = [Row(name, 1, DONE, all_scores=np.random.default_rng(n).random(20).tolist()) for n, name in enumerate("ab")]
    (_, lines), note = all_rows_table(rows, Judging({1: samples}))
    assert lines[1][2] == "-" and lines[1][-2:] == ["", ""] != lines[1][-4:-2] and "highest" not in note
