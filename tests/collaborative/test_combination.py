"""A model's scores and collaborative terms together: what is served, and that it is read as it was written."""

import json

import numpy as np
import pytest

from recbole_apa.collaborative import Combination, Logistic
from recbole_apa.collaborative.combination import ALONE, BOTH, MODEL, FurtherRows, left_out
from recbole_apa.core.errors import RunError
from recbole_apa.evaluation.metrics import mean_log_loss

N = 400
USERS = [f"u{n % 80}" for n in range(N)]


def made_up(of_terms, of_model, seed=0):
    """Labels with log odds of two terms and of what a model knows, weighted; the model's score is calibrated."""
    rng = np.random.default_rng(seed)
    table, known = rng.normal(size=(N, 2)), rng.normal(size=N)
    odds = of_terms * table.sum(1) + of_model * known
    labels = (rng.random(N) < 1 / (1 + np.exp(-odds))).astype(np.int64)
    return table, 1 / (1 + np.exp(-of_model * known)), labels


def fit(table, scores, labels, users=USERS):
    return Combination.fit(table, scores, labels, users, ("a", "b"))


@pytest.mark.parametrize("of_terms, of_model, served", [(0.0, 2.0, MODEL), (2.0, 0.0, ALONE), (1.5, 2.0, BOTH)])
def test_what_helps_is_served(of_terms, of_model, served):
    table, scores, labels = made_up(of_terms, of_model)
    found = fit(table, scores, labels)
    assert found.served == served
    assert found.log_losses[served] == min(found.log_losses.values())
    assert found.log_losses[MODEL] == pytest.approx(mean_log_loss(labels, scores))


def test_what_is_served_is_fitted_on_all_rows():
    table, scores, labels = made_up(1.5, 2.0)
    found = fit(table, scores, labels)
    with_model = np.column_stack([table, np.log(scores / (1 - scores))])
    expected = Logistic.fit(with_model, labels, 1.0).scores(with_model)
    told = found.scores(table, scores)
    assert told[BOTH] == pytest.approx(expected) and told[MODEL] is scores
    assert told[ALONE] == pytest.approx(Logistic.fit(table, labels, 1.0).scores(table))


@pytest.mark.slow
def test_the_choice_does_not_rest_on_rows_that_were_fitted():
    """As many terms as rows fit every label: without a row's user they say nothing."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 60)
    table, scores = rng.normal(size=(60, 60)), np.where(rng.random(60) < 0.5, 0.45, 0.55)
    found = Combination.fit(table, scores, labels, USERS[:60], tuple(map(str, range(60))))
    assert mean_log_loss(labels, found.scores(table, scores)[BOTH]) < 0.3
    assert found.served == MODEL and found.log_losses[BOTH] > 0.693


def test_it_is_read_as_it_was_written():
    table, scores, labels = made_up(1.0, 1.0)
    for users in (USERS, ["one"] * N):
        found = fit(table, scores, labels, users)
        again = Combination.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False, sort_keys=True)))
        assert again.to_json() == found.to_json() and again.served == found.served
        for name, values in found.scores(table, scores).items():
            assert again.scores(table, scores)[name].tobytes() == values.tobytes()


def further_of(n, seed=5, users=USERS):
    """Rows with the labels of two terms alone, of other users and of the same."""
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(n, 2))
    labels = (rng.random(n) < 1 / (1 + np.exp(-2 * table.sum(1)))).astype(np.int64)
    return FurtherRows(table, labels, [users[k % len(users)] for k in range(n)])


def test_with_further_rows_terms_are_fitted_on_all_and_the_model_joins_as_the_second_of_two():
    table, scores, labels = made_up(1.5, 2.0)
    further = further_of(600)
    found = Combination.fit(table, scores, labels, USERS, ("a", "b"), further)
    whole = Logistic.fit(np.concatenate([table, further.table]), np.concatenate([labels, further.labels]), 1.0)
    assert found.alone.to_json() == whole.to_json()
    assert found.is_stacked and len(found.both.coefficients) == 2
    told = found.scores(table, scores)[BOTH]
    by_hand = found.both_intercept + found.both_coefficients[:2] @ (((table - whole.means) / whole.scales).T)
    of_model = (np.log(scores / (1 - scores)) - found.both.means[1]) / found.both.scales[1]
    assert told == pytest.approx(1 / (1 + np.exp(-by_hand - found.both_coefficients[2] * of_model)))
    assert mean_log_loss(labels, told) < found.log_losses[ALONE]


@pytest.mark.parametrize("n_further", [0, 300])
def test_parts_add_up_to_the_log_odds_of_what_is_served(n_further):
    table, scores, labels = made_up(1.5, 2.0)
    found = Combination.fit(table, scores, labels, USERS, ("a", "b"), further_of(n_further) if n_further else None)
    assert found.served == BOTH and found.is_stacked == bool(n_further)
    told, parts = found.scores(table, scores)[BOTH], found.parts(table, scores)
    assert list(parts) == ["a", "b", MODEL]
    assert np.log(told / (1 - told)) == pytest.approx(found.both_intercept + sum(parts.values()))


def test_a_score_without_its_user_knows_none_of_the_users_further_rows():
    table, scores, labels = made_up(1.0, 1.0)
    further, mine = further_of(600), USERS[3]
    turned = np.where(np.array(further.users) == mine, 1 - further.labels, further.labels)
    before, after = (
        left_out(table, scores, labels, USERS, FurtherRows(further.table, told, further.users))
        for told in (further.labels, turned)
    )
    own = np.array(USERS) == mine
    for name in (ALONE, BOTH):
        assert before[name][own].tobytes() == after[name][own].tobytes()
        assert before[name][~own].tobytes() != after[name][~own].tobytes()


@pytest.mark.slow
def test_further_rows_help_where_terms_say_all():
    """Few validation rows and seven terms, of which one matters: more rows come closer to it."""
    rng = np.random.default_rng(2)
    table = rng.normal(size=(3000, 7))
    labels = (rng.random(3000) < 1 / (1 + np.exp(-table[:, 0]))).astype(np.int64)
    few, test = slice(60), slice(2000, None)
    users, terms = [f"u{n}" for n in range(60)], tuple("abcdefg")
    further = FurtherRows(table[60:2000], labels[60:2000], [f"u{n % 60}" for n in range(1940)])
    losses = [
        mean_log_loss(
            labels[test],
            Combination.fit(table[few], np.full(60, 0.5), labels[few], users, terms, more).scores(
                table[test], np.full(1000, 0.5)
            )[BOTH],
        )
        for more in (None, further)
    ]
    assert losses[1] < losses[0] - 0.02


@pytest.mark.parametrize("n_terms", [1, 2])
def test_it_is_read_as_it_was_written_with_further_rows(n_terms):
    table, scores, labels = made_up(1.0, 1.0)
    further = further_of(50)
    further = FurtherRows(further.table[:, :n_terms], further.labels, further.users)
    found = Combination.fit(table[:, :n_terms], scores, labels, USERS, ("a", "b")[:n_terms], further)
    told = json.loads(json.dumps(found.to_json(), allow_nan=False, sort_keys=True))
    assert Combination.from_json(told).to_json() == found.to_json()
    for wrong in (False, None, 1):
        with pytest.raises(RunError, match="restore the run folder"):
            Combination.from_json({**told, "stacked": wrong})
    if n_terms > 1:
        with pytest.raises(RunError, match="restore the run folder"):
            Combination.from_json({name: value for name, value in told.items() if name != "stacked"})


def test_with_users_in_one_fold_the_model_is_served():
    found = fit(*made_up(2.0, 0.01), ["one"] * N)
    assert found.served == MODEL and np.isnan(found.log_losses[ALONE])


def test_scores_of_0_and_1_stay_finite():
    table, _, labels = made_up(1.0, 0.0)
    found = fit(table, labels.astype(np.float32), labels)
    assert all(np.isfinite(values).all() for values in found.scores(table, labels.astype(np.float32)).values())


@pytest.mark.parametrize("name", ["terms", "alone", "both", "log_losses", "served"])
def test_something_else_is_refused(name):
    told = fit(*made_up(1.0, 1.0)).to_json()
    for wrong in (None, [], {}, ["a"], "x"):
        with pytest.raises(RunError, match="restore the run folder"):
            Combination.from_json({**told, name: wrong})
    with pytest.raises(RunError):
        Combination.from_json([])


def test_a_model_without_adapters_is_not_served_however_bad_the_terms_are():
    """Its scores of .5 had the least LogLoss, and the run was said to have nothing to serve."""
    table, _, labels = made_up(1.0, 1.0)
    turned = 1 - labels
    silent = np.full(len(labels), 0.5)
    found = Combination.fit(table, silent, np.where(np.arange(len(labels)) % 2, turned, labels), USERS, ("a", "b"))
    assert found.log_losses[MODEL] < found.log_losses[ALONE] and found.served == ALONE
