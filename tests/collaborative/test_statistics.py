"""A run's statistics through requests and additions, on the rows of an index: what is left is what a training on the
remaining rows would count. Predictions from statistics alone.
"""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_apa.collaborative import ItemSums, Logistic, PairSums, TermOptions, pairs_of, pasts_of
from recbole_apa.collaborative.alone import Alone, Source
from recbole_apa.collaborative.folds import user_folds
from recbole_apa.collaborative.rows import ItemCodes
from recbole_apa.collaborative.statistics import Statistics
from recbole_apa.collaborative.terms import collaborative_terms
from recbole_apa.core.errors import RunError
from recbole_apa.data.index.rows import TRAIN, IndexedRows
from recbole_apa.data.read_data import read_sides
from recbole_apa.data.run_data import RunData
from recbole_apa.evaluation.metrics import auc
from tests.helpers.collaborative import OPTIONS, data_of, ratings_of


def lists(statistics):
    return {name: array.tolist() for name, array in statistics.arrays().items()}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The rows of a small run's index, and how data is made of some of them."""
    folder = tmp_path_factory.mktemp("data") / "small"
    data = data_of(folder, ratings_of(n_users=8))
    index, sides = data.index_rows(), read_sides(OPTIONS.files, folder / "small")

    def made(rows):
        """With item names as a request finds them: those of these rows alone, in the order of these rows."""
        own = index.take(rows)
        own = replace(own, users=own.users.compact(), items=own.items.compact())
        return RunData.of_index(IndexedRows(own, filtered=True), OPTIONS, sides, {}) if len(own) else None

    return index, made, ItemCodes(data.rows.items.names)


def needed(data, codes):
    judged = np.concatenate([data.targets["valid"], data.targets["test"]])
    return pairs_of(pasts_of(data, judged, codes=codes))[0]


@settings(deadline=None, max_examples=25)
@given(st.data(), st.booleans())
def test_after_a_request_the_sums_are_those_of_what_remains(run, data, use_ratings):
    index, made, codes = run
    gone = np.array(data.draw(st.lists(st.booleans(), min_size=len(index), max_size=len(index))), dtype=bool)
    if data.draw(st.booleans()):  # whole users
        gone = np.isin(index.users.codes, data.draw(st.lists(st.integers(0, 7), max_size=6)))
    if gone.all():
        return
    everything = made(np.arange(len(index)))
    pairs = needed(everything, codes)
    halves = [made(np.flatnonzero(index.users.codes % 2 == half)) for half in (0, 1)]
    before = Statistics.of(halves, codes, pairs, use_ratings)
    assert lists(before) == lists(Statistics.of([everything], codes, pairs, use_ratings))
    touched = np.isin(index.users.codes, index.users.codes[gone])
    left = made(np.flatnonzero(~gone))
    after = before.after(made(np.flatnonzero(touched)), made(np.flatnonzero(touched & ~gone)))
    assert lists(after) == lists(Statistics.of([left], codes, pairs, use_ratings))
    # pairs only become fewer
    fewer = needed(left, codes)
    assert lists(after.only(fewer)) == lists(Statistics.of([left], codes, fewer, use_ratings))


def test_rows_that_join_count_as_if_they_had_been_there(run):
    index, made, codes = run
    late = (index.roles == TRAIN) & (np.arange(len(index)) % 3 == 0)
    everything = made(np.arange(len(index)))
    pairs = needed(everything, codes)
    grown = Statistics.of([made(np.flatnonzero(~late))], codes, pairs)
    touched = np.isin(index.users.codes, index.users.codes[late])
    grown = grown.after(made(np.flatnonzero(touched & ~late)), made(np.flatnonzero(touched)))
    assert lists(grown) == lists(Statistics.of([everything], codes, pairs))


def test_statistics_are_read_as_they_are_written(run):
    index, made, codes = run
    everything = made(np.arange(len(index)))
    whole = Statistics.of([everything], codes, needed(everything, codes))
    arrays = whole.arrays()
    assert lists(Statistics.read(arrays, codes)) == lists(whole)
    for name in ("items.n", "pairs.first", "pairs.products"):
        for wrong in (arrays[name][:-1], arrays[name].astype(np.int32)):
            with pytest.raises(RunError, match="collaborative statistics: found arrays"):
                Statistics.read({**arrays, name: wrong}, codes)
    with pytest.raises(RunError, match="collaborative statistics: found arrays"):
        Statistics.read({}, codes)


def test_an_item_without_a_code_is_an_error(run):
    index, made, codes = run
    with pytest.raises(KeyError):
        Statistics.none(ItemCodes(list(codes.names)[:-1]), needed(made(np.arange(len(index))), codes)).plus(
            made(np.arange(len(index)))
        )


def tastes(tmp_path, seed=0):
    """Each of two groups likes one half of the films, with some chance."""
    rng = np.random.default_rng(seed)
    ratings = []
    for u in range(40):
        for s in range(20):
            film = int(rng.integers(8))
            likes = (film % 2 == u % 2) != (rng.random() < 0.1)
            ratings.append((f"u{u}", f"i{film}", 5 if likes else 2, 100 * u + s))
    samples = replace(OPTIONS.samples, train_samples=None, valid_samples=None, test_samples=None)
    return data_of(tmp_path / "data", ratings, replace(OPTIONS, samples=samples))


def test_alone_it_finds_what_neighbours_tell(tmp_path, monkeypatch):
    data = tastes(tmp_path)
    alone = Alone.fit(Source.of(data, TermOptions()), data)
    pasts, labels = pasts_of(data, data.targets["test"]), data.rows.labels[data.targets["test"]]
    scores = alone.scores(pasts)
    assert auc(labels, scores) > 0.8
    assert auc(data.rows.labels[data.targets["valid"]], alone.left_out) > 0.8
    # each item and each user likes half: nothing else tells
    flat = collaborative_terms(
        pasts, alone.source.items, PairSums.of(alone.source.rows, pairs_of(pasts)[0]), TermOptions()
    )
    assert abs(auc(labels, flat.columns["item_mean"]) - 0.5) < 0.15
    # blocks change nothing, and it is the same again
    monkeypatch.setattr("recbole_apa.collaborative.alone._MOST_ROWS", 50)
    again = Alone.fit(Source.of(data, TermOptions()), data)
    assert again.scores(pasts).tobytes() == scores.tobytes()
    assert again.left_out.tobytes() == alone.left_out.tobytes()


def test_a_planted_test_label_moves_the_scores_of_later_rows_of_that_user_alone(tmp_path):
    data = tastes(tmp_path)
    targets = data.targets["test"]
    before = Alone.fit(Source.of(data, TermOptions()), data)
    turned = targets[0]
    labels = data.rows.labels.copy()
    labels[turned] = 1 - labels[turned]
    other = replace(data, rows=replace(data.rows, labels=labels))
    after = Alone.fit(Source.of(other, TermOptions()), other)
    assert after.fitted.coefficients.tobytes() == before.fitted.coefficients.tobytes()
    a, b = (fit.scores(pasts_of(d, targets)) for fit, d in ((before, data), (after, other)))
    user = data.rows.users.codes[targets] == data.rows.users.codes[turned]
    later = user & (data.windows.place[targets] > data.windows.place[turned])
    assert a[~later].tobytes() == b[~later].tobytes() and (a[later] != b[later]).all() and later.any()


def test_without_validation_samples_nothing_is_fitted(tmp_path):
    data = tastes(tmp_path)
    none = replace(data, targets={**data.targets, "valid": np.zeros(0, dtype=np.int64)})
    with pytest.raises(ValueError, match="no validation sample"):
        Alone.fit(Source.of(data, TermOptions()), none)


def test_items_of_no_rows_have_no_norm():
    assert ItemSums.none(2).norms().tolist() == [0, 0]
    assert isinstance(Logistic.fit(np.zeros((2, 1)), np.array([0, 1]), 1.0).intercept, float)


def test_folds_hold_whole_users_and_do_not_depend_on_others():
    users = [f"u{n % 300}" for n in range(900)]
    folds = user_folds(users)
    assert (folds[:300] == folds[300:600]).all() and set(folds.tolist()) == set(range(64))
    assert user_folds(users[7:9]).tolist() == folds[7:9].tolist()
