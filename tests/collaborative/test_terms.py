"""Terms of targets: known answers, and that a target's terms do not depend on which others they are computed with."""

import numpy as np
import pytest

from recbole_apa.collaborative import ItemContent, ItemSums, Pairs, PairSums, Pasts, TermOptions, pairs_of
from recbole_apa.collaborative.rows import TrainingRows
from recbole_apa.collaborative.terms import collaborative_terms, log_odds, nearest_of, rate, strongest, weighted_mean
from tests.helpers.collaborative import many

PASTS = Pasts(
    items=np.array([0, 3, 1]),
    lengths=np.array([3, 0, 2]),
    past_items=np.array([1, 2, 1, 0, 2]),
    past_values=np.array([1.0, 0.0, 1.0, 0.0, 1.0]),
)


def test_rates_are_weighted_means_of_the_past():
    assert rate(PASTS, PASTS.past_values, prior=0.5, strength=2.0) == pytest.approx([3 / 5, 0.5, 2 / 4])
    # weights 1/4, 1/2, 1 from the oldest row on
    assert rate(PASTS, PASTS.past_values, 0.5, 2.0, decay=0.5) == pytest.approx(
        [(0.25 + 1 + 1) / 3.75, 0.5, (1 + 1) / 3.5]
    )


def test_neighbours_carry_over_what_item_and_bias_leave():
    """All similarities but one are 0."""
    rows = TrainingRows(np.array([0, 0, 1, 1, 2]), np.array([0, 1, 0, 1, 2]), np.array([1, 0, 0, 1, 1]))
    sums, options = ItemSums.of(rows, 4), TermOptions(item_strength=2.0, bias_strength=1.0, pair_shrinkage=2.0)
    pairs = PairSums.of(rows, pairs_of(PASTS)[0])
    columns = collaborative_terms(PASTS, sums, pairs, options).columns
    means = np.array([1 + 1.2, 1 + 1.2, 1 + 1.2, 1.2]) / np.array([4, 4, 3, 2])
    above = PASTS.past_values - means[PASTS.past_items]
    bias = [above[:3].sum() / 4, 0, above[3:].sum() / 3]
    assert columns["bias"] == pytest.approx(bias)
    # items 0 and 1 are rated by the same two users, in opposite ways
    expected = [-0.5 * (above[0] + above[2] - 2 * bias[0]) / (1 + options.neighbor_strength), 0,
                -0.5 * (above[3] - bias[2]) / (0.5 + options.neighbor_strength)]  # fmt: skip
    assert columns["neighbors"] == pytest.approx(expected)


def test_the_row_that_speaks_most_is_the_one_that_adds_most():
    """Of every past, one row at a time."""
    draw = np.random.default_rng(2)
    cells = np.flatnonzero(draw.random(12 * 6) < 0.7)
    rows = TrainingRows(cells // 6, cells % 6, draw.integers(0, 2, len(cells)))
    lengths = draw.integers(0, 5, 30)
    size = int(lengths.sum())
    pasts = Pasts(draw.integers(0, 6, 30), lengths, draw.integers(0, 6, size), draw.integers(0, 2, size) * 1.0)
    sums, options = ItemSums.of(rows, 6), TermOptions(item_strength=2.0, bias_strength=1.0, pair_shrinkage=2.0)
    wanted, which = pairs_of(pasts)
    pairs = PairSums.of(rows, wanted)
    above = pasts.past_values - sums.means(2.0)[pasts.past_items]
    adds = pairs.similarities(sums, 2.0)[which] * (above - rate(pasts, above, 0.0, 1.0)[pasts.owners])
    expected = []
    for target in range(30):
        own = [(adds[r], -pasts.steps[r]) for r in np.flatnonzero(pasts.owners == target) if adds[r] > 0]
        expected.append(-max(own)[1] if own else 0)
    assert strongest(pasts, sums, pairs, options).tolist() == expected and len(set(expected)) > 3


def test_weighted_means_add_their_strength_to_absolute_weights():
    weights, values = np.array([1.0, -1, 2, 0, 1]), np.array([1.0, 1, 0.5, 9, 3])
    assert weighted_mean(PASTS, weights, values, 1.0) == pytest.approx([1 / 5, 0, 3 / 2])


def test_of_equally_similar_rows_the_latest_is_nearest():
    nearest = nearest_of(PASTS, np.array([0.5, 0.2, 0.5, -0.1, -0.3]), 1)
    assert nearest.tolist() == [False, False, True, True, False]


def test_last_rows_and_steps():
    assert PASTS.steps.tolist() == [3, 2, 1, 2, 1]
    last = PASTS.last(2)
    assert last.lengths.tolist() == [2, 0, 2] and last.past_items.tolist() == [2, 1, 0, 2]
    taken = PASTS.take(np.array([2, 1, 0]))
    assert taken.past_items.tolist() == [0, 2, 1, 2, 1] and taken.lengths.tolist() == [2, 0, 3]


def test_closeness_of_genres_and_years():
    content = ItemContent.of([["War", "Drama"], ["Drama"], [], ["War", "Drama"]], [1990, 1980, 1990, float("nan")])
    firsts, seconds = np.array([0, 0, 0, 2, 0]), np.array([0, 1, 2, 2, 3])
    expected = [1, 0.5 * np.exp(-1), 0, 0, 1]
    assert content.closeness(firsts, seconds, years=10) == pytest.approx(expected)


@pytest.mark.parametrize("unit", [1, 1024])
def test_terms_of_a_target_do_not_depend_on_the_others(unit):
    rows, pasts, contents = many()
    rows = TrainingRows(rows.users, rows.items, rows.values * unit, unit)
    items, options = ItemSums.of(rows, 12), TermOptions(neighbors=5)
    together = collaborative_terms(pasts, items, PairSums.of(rows, pairs_of(pasts)[0]), options, contents).table()
    assert np.isfinite(together).all() and together.shape == (60, 7)
    for target in range(60):
        one = pasts.take(np.array([target]))
        alone = collaborative_terms(one, items, PairSums.of(rows, pairs_of(one)[0]), options, contents).table()
        assert alone[0].tobytes() == together[target].tobytes()


def test_a_user_who_agrees_with_likers_is_told_by_neighbours():
    """Items 0 and 1 are liked by the same users: a like of 1 speaks for 0, a dislike against it."""
    users, n = np.repeat(np.arange(8), 3), 8
    values = np.array([[1, 1, 0], [0, 0, 1]] * 4).ravel()
    rows = TrainingRows(users, np.tile([0, 1, 2], n), values)
    pasts = Pasts(np.array([0, 0]), np.array([2, 2]), np.array([1, 2, 1, 2]), np.array([1.0, 0, 0, 1]))
    sums = PairSums.of(rows, pairs_of(pasts)[0])
    columns = collaborative_terms(pasts, ItemSums.of(rows, 3), sums, TermOptions(pair_shrinkage=10)).columns
    assert columns["neighbors"][0] > 0.1 and columns["neighbors"][1] < -0.1
    assert columns["item_mean"] == pytest.approx(0.0)  # half of the users like item 0


def test_a_missing_pair_is_an_error():
    rows, pasts, _ = many()
    few = Pairs(np.array([0]), np.array([0]))
    with pytest.raises(KeyError, match="pair of items without sums"):
        collaborative_terms(pasts, ItemSums.of(rows, 12), PairSums.of(rows, few), TermOptions())


def test_log_odds():
    assert log_odds(np.array([0.5, 0.8])) == pytest.approx([0, np.log(4)])
