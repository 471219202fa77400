"""The regression that combines terms: known answers, and that a row has no say in its own left-out score."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from recbole_apa.collaborative import Logistic, left_out_scores


def made_up(n=200, f=3, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, f)) * [1, 10, 0.1][:f] + 3
    z = (x - 3) @ np.array([1.0, -0.1, 5.0])[:f]
    return x, (rng.random(n) < 1 / (1 + np.exp(-z))).astype(np.int64), rng.integers(0, 20, n)


def test_one_binary_feature_gives_the_log_odds_of_its_counts():
    x, y = np.array([0] * 8 + [1] * 10)[:, None], np.array([1] * 2 + [0] * 6 + [1] * 7 + [0] * 3)
    fitted = Logistic.fit(x.astype(np.float64), y, ridge=1e-12)
    assert fitted.scores(np.array([[0.0], [1.0]])) == pytest.approx([2 / 8, 7 / 10], abs=1e-8)


def test_the_number_of_threads_changes_no_bit():
    """LAPACK's solution of such a system does change, in the last digits."""
    fits = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads):
            draws = np.random.default_rng(0)
            fits.append(
                [Logistic.fit(draws.normal(size=(12, 6)), draws.integers(0, 2, 12), 1.0).to_json() for _ in range(40)]
            )
    assert fits[0] == fits[1]


def test_it_finds_what_scikit_learn_finds():
    x, y, _ = made_up()
    fitted = Logistic.fit(x, y, ridge=2.0)
    z = (x - x.mean(0)) / x.std(0)
    theirs = LogisticRegression(C=0.5, tol=1e-12, max_iter=10_000).fit(z, y)
    assert fitted.coefficients == pytest.approx(theirs.coef_[0], abs=1e-6)
    assert fitted.intercept == pytest.approx(theirs.intercept_[0], abs=1e-6)


def test_fits_repeat_in_every_bit():
    x, y, _ = made_up()
    a, b = (Logistic.fit(x.copy(), y.copy(), 1.0) for _ in range(2))
    assert a.coefficients.tobytes() == b.coefficients.tobytes() and a.intercept == b.intercept


@pytest.mark.parametrize("label", [0, 1])
def test_equal_labels_and_constant_or_separating_features_stay_finite(label):
    x = np.array([[1.0, 5.0], [2.0, 5.0], [9.0, 5.0]])
    for y in (np.full(3, label), np.array([label, label, 1 - label])):
        fitted = Logistic.fit(x, y, ridge=1.0)
        assert np.isfinite(fitted.coefficients).all() and np.isfinite(fitted.intercept)
        assert ((fitted.scores(x) > 0.5) == label).sum() >= 2


def test_the_labels_of_a_group_do_not_reach_its_own_scores():
    x, y, groups = made_up()
    before = left_out_scores(x, y, groups, 1.0)
    for group in (0, 7):
        own = groups == group
        after = left_out_scores(x, np.where(own, 1 - y, y), groups, 1.0)
        assert after[own].tobytes() == before[own].tobytes()
        assert (after[~own] != before[~own]).any()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused(value):
    """Newton would halve its step for ever."""
    features = np.array([[0.0], [value], [1.0]])
    with pytest.raises(ValueError, match="NaN or infinite"):
        Logistic.fit(features, np.array([0, 1, 1]), 1.0)
