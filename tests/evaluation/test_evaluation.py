import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from recbole_apa.data.samples import HistoryEntry, Sample
from recbole_apa.evaluation import metrics
from recbole_apa.evaluation.metrics import _Ranking, auc, interval, mean_log_loss, resampled_aucs
from recbole_apa.evaluation.simple_rules import history_like_rate, item_mean, trivial_scores


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 4), st.integers(0, 3)), min_size=2, max_size=30))
def test_aucs_of_counted_rows_equal_sklearns_with_ties(rows):
    labels, times = np.array([y for y, _, _ in rows]), np.array([c for _, _, c in rows])
    scores = np.array([s / 4 for _, s, _ in rows])
    drawn = np.repeat(labels, times)
    if 0 < drawn.sum() < len(drawn):
        (value,) = _Ranking.of(labels, scores).aucs(times[:, None])
        assert value == pytest.approx(roc_auc_score(labels, scores, sample_weight=times))
    elif times.all():
        assert auc(labels, scores) is None


@pytest.mark.parametrize("block_cells", [1, 70, 1000])
def test_resamples_are_the_same_however_many_are_counted_at_once(block_cells, monkeypatch):
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 2, 30), np.round(rng.random(30), 1)
    draws = np.random.default_rng(5)
    expected = []
    for _ in range(20):
        rows = draws.integers(30, size=30)
        expected.append(roc_auc_score(labels[rows], scores[rows]))
    monkeypatch.setattr(metrics, "BLOCK_CELLS", block_cells)
    assert resampled_aucs(labels, {"a": scores}, 20, seed=5)["a"] == pytest.approx(expected)


def test_log_loss_is_finite_at_the_ends():
    assert mean_log_loss(np.array([1, 0]), np.array([0.0, 0.0])) == pytest.approx(-np.log(1e-7) / 2, rel=1e-3)


def test_bootstrap_is_paired_and_covers_the_value():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 300)
    good = labels + rng.normal(size=300)
    values = resampled_aucs(labels, {"a": good, "b": good, "c": rng.normal(size=300)}, 200, seed=1)
    assert np.array_equal(values["a"], values["b"])
    low, high = interval(values["a"])
    assert low < roc_auc_score(labels, good) < high and high - low < 0.2
    assert interval(values["a"] - values["c"])[0] > 0


def sample(item, likes):
    return Sample("id", "u", item, 1, tuple(HistoryEntry("x", y, "h") for y in likes))


def test_trivial_rules_by_hand():
    samples = [sample("a", [1, 1, 0, 0]), sample("b", []), sample("new", [1])]
    assert history_like_rate(samples, 0.25).tolist() == [0.5, 0.25, 1.0]
    rows = [("a", 1), ("a", 0), ("b", 0), ("b", 0)]
    assert item_mean(samples, rows, 0.25).tolist() == [0.5, 0.0, 0.25]
    both = trivial_scores(samples, rows)["HistoryLikeRate+ItemMean"]
    assert both.tolist() == [0.5, 0.125, 0.625]
