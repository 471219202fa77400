"""Figures by users: cluster bootstrap, AUC within users, and what a run says of its users."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from recbole_apa.core.files.whole import read_json, write_json
from recbole_apa.data.samples import HistoryEntry, Sample
from recbole_apa.evaluation import metrics
from recbole_apa.evaluation.metrics import (
    aucs_of_users,
    interval,
    number_of,
    resampled_aucs,
    resampled_means,
    resampled_uaucs,
    uauc,
    user_numbers,
    users_with_both_labels,
)
from recbole_apa.evaluation.report.run_page import write_report
from recbole_apa.evaluation.report.run_table import HEADERS, note, table_rows, too_few_users
from recbole_apa.evaluation.scored_split import RESAMPLES, ScoredSplit, split_figures
from recbole_apa.unlearning.rule_figures import write_rule_figures

LIKE_RATE = "rules.HistoryLikeRate"


def test_users_are_numbered_by_first_appearance():
    assert user_numbers(["b", "a", "b", "c", "a"]).tolist() == [0, 1, 0, 2, 1]
    assert user_numbers([]).tolist() == [] and number_of(user_numbers([])) == 0


def test_aucs_of_users_by_hand():
    """User 0: likes .9 and .4, dislike .5: 1 of 2 pairs. User 1: a tie: half. User 2: no dislike. User 3: one row."""
    users = np.array([0, 1, 0, 2, 0, 1, 2, 3])
    labels = np.array([1, 1, 0, 1, 1, 0, 1, 0])
    scores = np.array([0.9, 0.3, 0.5, 0.1, 0.4, 0.3, 0.2, 0.7])
    found = aucs_of_users(labels, scores, users)
    assert found[:2].tolist() == [0.5, 0.5] and np.isnan(found[2:]).all()
    assert users_with_both_labels(labels, users) == 2


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1), st.integers(0, 4)), min_size=1, max_size=40))
def test_aucs_of_users_equal_sklearns_with_ties(rows):
    users = user_numbers([str(u) for u, _, _ in rows])
    labels, scores = np.array([y for _, y, _ in rows]), np.array([s / 4 for _, _, s in rows])
    for user, value in enumerate(aucs_of_users(labels, scores, users)):
        own = users == user
        if 0 < labels[own].sum() < own.sum():
            assert value == pytest.approx(roc_auc_score(labels[own], scores[own]))
        else:
            assert np.isnan(value)


def pairs_of(n_users, n_right):
    """Each user has a like and a dislike; the scores of the first ``n_right`` are the right way round, and user 0 has
    ten of each."""
    users = np.repeat(np.arange(n_users), [20] + [2] * (n_users - 1))
    labels = np.arange(len(users)) % 2
    return labels, np.where(users < n_right, labels, 1 - labels).astype(float), users


def test_uauc_counts_each_user_once_and_needs_fifty():
    """CoLLM's: the mean over users with both labels, whatever their number of rows."""
    labels, scores, users = pairs_of(50, 20)
    assert uauc(labels, scores, users) == pytest.approx(20 / 50)
    one_sided = np.r_[labels, 1, 1], np.r_[scores, 0.0, 1.0], np.r_[users, 50, 50]
    assert uauc(*one_sided) == pytest.approx(20 / 50)  # a user without a dislike does not count
    assert uauc(*pairs_of(49, 20)) is None


def test_uauc_of_a_rate_that_knows_earlier_tosses_is_below_a_half():
    """Labels are coin tosses, so nothing orders a user's rows; a rate of the tosses before each puts them the wrong way
    round (docs/comparing.md), and one of the tosses before the first does not order them at all."""
    rng, tested = np.random.default_rng(0), range(100, 110)
    tosses = (rng.random((2000, 110)) < rng.random((2000, 1))).astype(int)
    running = np.stack([tosses[:, n - 10 : n].mean(axis=1) for n in tested], axis=1)
    fixed = np.repeat(running[:, :1], len(tested), axis=1)
    labels, users = tosses[:, 100:].ravel(), np.repeat(np.arange(2000), len(tested))
    assert uauc(labels, running.ravel(), users) == pytest.approx(0.32, abs=0.01)
    assert uauc(labels, fixed.ravel(), users) == 0.5


def test_resampled_uaucs_lie_around_the_mean_with_its_standard_error():
    aucs = np.r_[np.tile([0.0, 1.0], 200), np.nan]
    drawn = resampled_uaucs(aucs, 2000, seed=0)
    assert drawn.mean() == pytest.approx(0.5, abs=0.005) and drawn.std() == pytest.approx(0.5 / 400**0.5, rel=0.1)


def test_with_one_user_a_row_users_are_rows():
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 2, 60), {"a": rng.random(60), "b": rng.random(60)}
    by_rows = resampled_aucs(labels, scores, 50, seed=3)
    by_users = resampled_aucs(labels, scores, 50, 3, user_numbers([str(i) for i in range(60)]))
    assert all(np.array_equal(by_rows[name], by_users[name]) for name in scores)
    means = [resampled_means(scores, 50, 3, users) for users in (None, np.arange(60))]
    assert np.array_equal(means[0]["a"], means[1]["a"])


@pytest.mark.parametrize("block_cells", [1, 100, 10_000])
def test_whole_users_are_drawn(block_cells, monkeypatch):
    """Against rows that are written out, user by user."""
    rng = np.random.default_rng(1)
    users = rng.integers(0, 8, 50)
    labels, scores = rng.integers(0, 2, 50), np.round(rng.random(50), 1)
    draws = np.random.default_rng(7)
    expected, means = [], []
    for _ in range(30):
        rows = np.concatenate([np.flatnonzero(users == u) for u in draws.integers(8, size=8)])
        expected.append(roc_auc_score(labels[rows], scores[rows]))
        means.append(scores[rows].mean())
    monkeypatch.setattr(metrics, "BLOCK_CELLS", block_cells)
    assert resampled_aucs(labels, {"a": scores}, 30, 7, users)["a"] == pytest.approx(expected)
    assert resampled_means({"a": scores}, 30, 7, users)["a"] == pytest.approx(means)


def test_intervals_by_users_are_wider_where_a_users_rows_are_alike():
    """Forty copies of each of ten users' rows: by rows the interval shrinks, by users it stays that of ten users."""
    rng = np.random.default_rng(2)
    users = np.arange(20) % 10
    labels, scores = np.repeat([0, 1], 10), rng.random(20)
    one = interval(resampled_aucs(labels, {"a": scores}, 500, 0, users)["a"])
    many = np.repeat(labels, 40), {"a": np.repeat(scores, 40)}, 500, 0
    assert interval(resampled_aucs(*many, np.repeat(users, 40))["a"]) == pytest.approx(one)
    low, high = interval(resampled_aucs(*many)["a"])
    assert (high - low) < (one[1] - one[0]) / 3


def test_resamples_with_one_label_are_no_figure_and_do_not_shift_the_others():
    """Three users, of whom one has all dislikes: without that user there is no AUC."""
    labels, users = np.array([1, 1, 0]), np.array([0, 1, 2])
    found = resampled_aucs(labels, {"a": np.array([0.9, 0.2, 0.5])}, 200, 0, users)["a"]
    drawn = np.random.default_rng(0).integers(3, size=(200, 3))
    undefined = (drawn != 2).all(1) | (drawn == 2).all(1)
    assert len(found) == 200 and np.array_equal(np.isnan(found), undefined)
    assert not np.isnan(interval(found)).any() and np.isnan(interval(np.full(3, np.nan))).all()


def test_several_sets_of_samples_get_the_same_users():
    """What ``n_users`` is for: a user who is drawn twice counts twice in each set, and one without samples nowhere."""
    first, second = np.array([0, 1, 1, 0]), np.array([2, 1, 0, 2])
    draws = np.random.default_rng(4).integers(3, size=(20, 3))
    for users in (first, second):
        values = np.array([1.0, 2.0, 3.0, 4.0])
        found = resampled_means({"a": values}, 20, 4, users, 3)["a"]
        for drawn, value in zip(draws, found, strict=True):
            rows = np.concatenate([values[users == u] for u in drawn])
            assert value == pytest.approx(rows.mean()) if len(rows) else np.isnan(value)


def scored(n_users=60):
    labels, scores, users = pairs_of(n_users, n_users // 2)
    rng = np.random.default_rng(0)
    noisy = scores + rng.normal(size=len(scores))
    return ScoredSplit(
        labels, {"aggregated.decomposition": noisy, LIKE_RATE: scores}, np.zeros((len(labels), 0)), users
    )


def test_figures_of_a_split_have_both_kinds_of_intervals():
    split = scored()
    found = split_figures("test", split, seed=5)
    assert found["test.n_users"] == found["test.n_users_with_both_labels"] == 60
    assert found[f"test.{LIKE_RATE}.uauc"] == pytest.approx(0.5)
    assert found[f"test.{LIKE_RATE}.uauc_users_low"] < 0.5 < found[f"test.{LIKE_RATE}.uauc_users_high"]
    for by, users in (("", None), ("_users", split.users)):
        drawn = resampled_aucs(split.labels, split.scores, RESAMPLES, 5, users)
        key = "aggregated.decomposition"
        assert found[f"test.{key}.auc{by}_low"] == interval(drawn[key])[0]
        assert found[f"test.{key}.auc_gain{by}_high"] == interval(drawn[key] - drawn[LIKE_RATE])[1]
    rows = split_figures("test", split, 5, by_users=False)
    assert {k: v for k, v in found.items() if "auc_users" not in k and "gain_users" not in k} == {
        k: v for k, v in rows.items() if "uauc_users" not in k
    }


def test_the_table_shows_intervals_by_users_and_uauc():
    found = split_figures("test", scored(), seed=5)
    line = dict(zip(HEADERS, table_rows(found)[0], strict=True))
    key = "test.aggregated.decomposition"
    assert line["95 % interval"] == f"{found[f'{key}.auc_users_low']:.3f} - {found[f'{key}.auc_users_high']:.3f}"
    assert line["test UAUC"] == f"{found[f'{key}.uauc']:.4f}"
    assert note(found) == (
        "138 test samples of 60 users, 60 of them with both labels; intervals resample users (cluster bootstrap)."
    )


def test_few_users_are_said():
    found = split_figures("test", scored(20), seed=5)
    assert too_few_users(found) and "Fewer than 30 users: these intervals are too narrow." in note(found)
    assert "needs 50 users with both labels" in note(found)
    assert not any(name.endswith("uauc") for name in found) and table_rows(found)[0][5] == "-"
    rows = split_figures("test", scored(20), 5, by_users=False)
    assert not too_few_users(rows) and "intervals resample rows." in note(rows)


def test_figures_of_an_older_run_are_shown_as_they_were():
    """No users, no intervals by users; after a request, that changes its rules alone, a table is of one kind."""
    found = split_figures("test", scored(), seed=5)
    old = {k: v for k, v in found.items() if "users" not in k and not k.endswith("uauc")}
    key = "test.aggregated.decomposition"
    line = dict(zip(HEADERS, table_rows(old)[0], strict=True))
    assert line["95 % interval"] == f"{found[f'{key}.auc_low']:.3f} - {found[f'{key}.auc_high']:.3f}"
    assert line["test UAUC"] == "-" and note(old) == "" and not too_few_users(old)
    mixed = {**found, **old}
    del mixed[f"{key}.auc_users_low"]
    assert dict(zip(HEADERS, table_rows(mixed)[0], strict=True))["95 % interval"] == line["95 % interval"]


def test_a_run_counts_its_users(finished):
    users = {s.user_id for s in finished.data.test_set.samples}
    assert finished.metrics["test.n_users"] == len(users)
    assert "these intervals are too narrow" in (finished.run_dir / "report.html").read_text()


def test_a_report_of_an_older_run_says_rows(finished, tmp_path):
    kept = read_json(finished.run_dir / "metrics.json")
    (tmp_path / "manifest.json").write_bytes((finished.run_dir / "manifest.json").read_bytes())
    old = {k: v for k, v in kept.items() if "users" not in k and "uauc" not in k}
    write_json(tmp_path / "metrics.json", old)
    assert "Intervals resample rows." in write_report(tmp_path).read_text()


class Folder:
    """As much of a run store as the figures of rules need."""

    def __init__(self, folder):
        self.folder = folder

    def has(self, name):
        return (self.folder / name).is_file()


class Rows:
    """As much of a survey."""

    def samples(self, split):
        users = [f"u{n}" for n in range(60) for _ in range(2)]
        shown = tuple(HistoryEntry("x", n % 2, "h") for n in range(3))
        return [Sample(f"{u}:{i}", u, f"i{i}", i % 2, shown[: i % 3]) for i, u in enumerate(users)]

    def train_rows(self):
        return [("i1", 1), ("i2", 0)]


@pytest.mark.parametrize("old", [False, True])
def test_a_request_that_changes_rules_alone_leaves_intervals_of_one_kind(old, tmp_path):
    kept = split_figures("test", scored(), seed=5)
    if old:
        kept = {k: v for k, v in kept.items() if "users" not in k and not k.endswith("uauc")}
    for name in ("before", "after"):
        (tmp_path / name).mkdir()
    write_json(tmp_path / "before" / "metrics.json", kept)
    found = write_rule_figures(
        Folder(tmp_path / "before"), Folder(tmp_path / "after"), Rows(), {"settings": {"seed": 5}, "options": {}}
    )
    assert (f"test.{LIKE_RATE}.auc_users_low" in found) != old and f"test.{LIKE_RATE}.auc_low" in found
    key = "test.aggregated.decomposition.auc"
    assert found[f"{key}_low"] == kept[f"{key}_low"]
    shown = "_low" if old else "_users_low"
    line = dict(zip(HEADERS, table_rows(found)[0], strict=True))
    assert line["95 % interval"].startswith(f"{found[f'{key}{shown}']:.3f}")
