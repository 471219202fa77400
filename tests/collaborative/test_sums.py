"""Sums of whole users: what they are, and that subtraction gives what counting anew gives, in every bit."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_apa.collaborative import ItemSums, Pairs, PairSums
from recbole_apa.collaborative.rows import TrainingRows
from tests.helpers.collaborative import N_ITEMS, some_rows, told, training_rows_by_chance

SOME = settings(deadline=None, max_examples=40)
ALL_PAIRS = Pairs.of(*np.array(list(product(range(N_ITEMS), repeat=2))).T)[0]


@SOME
@given(training_rows_by_chance(), st.data())
def test_subtracting_users_equals_counting_anew(rows, data):
    gone = np.isin(rows.users, data.draw(st.lists(st.integers(0, 5))))
    before, taken, left = rows, some_rows(rows, gone), some_rows(rows, ~gone)
    for of in (lambda r: ItemSums.of(r, N_ITEMS), lambda r: PairSums.of(r, ALL_PAIRS)):
        assert told(of(before).minus(of(taken))) == told(of(left))
        assert told(of(left).plus(of(taken))) == told(of(before))


@SOME
@given(training_rows_by_chance(), st.data())
def test_rows_of_a_user_are_subtracted_with_the_others_of_that_user(rows, data):
    """Centred values of what remains change: all rows of the user are taken away, those that remain are added."""
    gone = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))), dtype=bool)
    touched = np.isin(rows.users, rows.users[gone])
    old, new = some_rows(rows, touched), some_rows(rows, touched & ~gone)
    for of in (lambda r: ItemSums.of(r, N_ITEMS), lambda r: PairSums.of(r, ALL_PAIRS)):
        assert told(of(rows).minus(of(old)).plus(of(new))) == told(of(some_rows(rows, ~gone)))


@SOME
@given(training_rows_by_chance(), st.data())
def test_neither_order_nor_parts_nor_blocks_matter(rows, data):
    mixed = some_rows(rows, np.array(data.draw(st.permutations(range(len(rows)))), dtype=np.int64))
    assert told(ItemSums.of(mixed, N_ITEMS)) == told(ItemSums.of(rows, N_ITEMS))
    in_blocks = PairSums.of(mixed, ALL_PAIRS, most_cells=data.draw(st.integers(1, 40)))
    assert told(in_blocks) == told(PairSums.of(rows, ALL_PAIRS))


@SOME
@given(training_rows_by_chance())
def test_pair_sums_are_sums_over_users_with_both_items(rows):
    centred, sums = rows.centred(), PairSums.of(rows, ALL_PAIRS)
    for place, (a, b) in enumerate(zip(ALL_PAIRS.firsts, ALL_PAIRS.seconds, strict=True)):
        here = [(centred[i], centred[j]) for i, j in product(range(len(rows)), repeat=2)
                if (rows.items[i], rows.items[j]) == (a, b) and rows.users[i] == rows.users[j]]  # fmt: skip
        expected = [len(here), sum(x * y for x, y in here), sum(x for x, _ in here), sum(y for _, y in here)]
        assert [column[place] for column in (sums.n, sums.products, sums.firsts, sums.seconds)] == expected


@SOME
@given(training_rows_by_chance())
def test_centred_values_are_rounded_differences_from_the_users_mean(rows):
    for user in np.unique(rows.users):
        own = rows.values[rows.users == user].tolist()
        mean = Fraction(sum(own), len(own))
        for value, centred in zip(own, rows.centred()[rows.users == user].tolist(), strict=True):
            exact = Fraction(1024) * (value - mean) / rows.unit
            assert abs(centred - exact) <= Fraction(1, 2)


def test_similarity_is_the_cosine_of_residuals():
    """Two of three users have both items; the third has one: a missing residual is 0."""
    rows = TrainingRows(
        np.array([0, 0, 0, 0, 1, 1, 1, 2, 2]),
        np.array([0, 1, 2, 3, 0, 1, 2, 0, 3]),
        np.array([1, 1, 0, 0, 1, 0, 0, 0, 1]),
    )
    table = np.full((3, 4), np.nan)
    table[rows.users, rows.items] = rows.values
    table -= np.nanmean(table, axis=1, keepdims=True)
    table = np.nan_to_num(table - np.nanmean(table, axis=0))
    a, b = table[:, 0], table[:, 1]
    expected = a @ b / np.linalg.norm(a) / np.linalg.norm(b) * 2 / (2 + 10)
    pairs = Pairs(np.array([0]), np.array([1]))
    found = PairSums.of(rows, pairs).similarities(ItemSums.of(rows, 4), shrinkage=10)
    assert found[0] == pytest.approx(expected, abs=2e-3)  # values are rounded to 1/1024


def test_items_without_rows_have_the_mean_of_all_rows():
    sums = ItemSums.of(TrainingRows(np.array([0, 0, 1]), np.array([0, 1, 1]), np.array([1, 1, 0])), 3)
    assert sums.mean() == pytest.approx(2 / 3)
    assert sums.means(2.0) == pytest.approx([(1 + 4 / 3) / 3, (1 + 4 / 3) / 4, 2 / 3])
    alone = PairSums.of(TrainingRows(np.array([0]), np.array([0]), np.array([1])), Pairs(np.array([0]), np.array([2])))
    assert alone.similarities(sums, 1.0).tolist() == [0.0]
