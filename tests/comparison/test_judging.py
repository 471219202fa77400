"""By what rows are judged: all users, or the users of lists, resampled, also where seeds draw other samples."""

import numpy as np
import pytest

from recbole_apa.comparison.report.criterion import ByRank
from recbole_apa.comparison.report.judging import Judging
from recbole_apa.comparison.report.table import NOISE, OTHER_DRAW, comparison_rows, headers
from recbole_apa.comparison.row import FAILED, Row
from recbole_apa.comparison.run_methods import _describe
from tests.helpers.compared import judged_samples, row_of


def test_intervals_are_by_users_unless_rows_are_asked_for():
    """Ten rows of each user, all with the user's own difference: by rows the interval is far too narrow."""
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(40), 10)
    labels = rng.integers(0, 2, 400)
    right = np.where(rng.integers(0, 2, 40)[users] == 1, labels, 1 - labels) + rng.normal(size=400) / 10
    rows = [row_of("Retraining", rng.random(400).tolist(), 1, auc=0.5), row_of("A", right.tolist(), 1, auc=0.5)]
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
    row = row_of("A", np.where(users < 30, labels, 1 - labels).tolist())
    assert Judging({1: judged_samples(labels, users)}).completed(row).figures["uauc"] == pytest.approx(0.6)
    few = judged_samples(labels[:98], users[:98])
    assert "uauc" not in Judging({1: few}).completed(row_of("A", labels[:98].tolist())).figures
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
        row_of("Retraining", [0.9, 0.1, 0.2, 0.8, 0.6, 0.5], 1, auc=0.7),
        row_of("Retraining", [0.9, 0.1, 0.2, 0.3], 2, auc=0.6),
        row_of("A", [0.1, 0.9, 0.2, 0.8, 0.6, 0.5], 1, auc=0.5),
        row_of("A", [0.9, 0.1, 0.2, 0.3], 2, auc=0.6),
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


def test_lists_of_users_are_resampled_by_users():
    samples = {"label": [1] * 4, "user": [0, 0, 1, 1], "metrics": ["ndcg@2"], "n_candidates": 3}
    judging = Judging({1: samples})
    criterion = judging.criterion()
    assert isinstance(criterion, ByRank) and criterion.users.tolist() == [0, 0, 1, 1]
    drawn = criterion.resampled({"A": np.array([1, 1, 5, 5])}, 200)["A"]
    assert set(drawn.tolist()) == {0.0, 0.5, 1.0}  # by rows also 0.25 and 0.75
    assert judging.notes()[0].startswith("4 lists of 2 users; intervals resample users")
    assert judging.completed(row_of("A", [1, 1, 5, 5])).figures.get("uauc") is None


def test_users_without_a_drawn_test_sample_are_not_resampled_with_those_who_have_one(opened):
    users = {}
    told = _describe(opened(test_samples=3).testing_all_rows(), users)
    judging = Judging({1: told, 2: {**told, "user": [users.setdefault("of another draw", len(users))]}}, redrawn=True)
    assert judging.n_users == len(set(told["user"])) + 1 < len(set(told["all_user"]))
