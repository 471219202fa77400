"""Which rows of a dataset count: those of the training period, from files as from the parts of an index."""

from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np
import pytest

from recbole_apa.collaborative import (
    ItemCodes,
    ItemContent,
    ItemSums,
    Pairs,
    PairSums,
    Statistics,
    TrainingRows,
    pasts_of,
    training_rows,
)
from recbole_apa.collaborative import rows as rows_of_runs
from recbole_apa.core.errors import DataError
from recbole_apa.data.index.facts import About
from recbole_apa.data.index.read import Index
from recbole_apa.data.index.rows import TRAIN, IndexedRows
from recbole_apa.data.index.write import write_index
from recbole_apa.data.item_text import ItemTexts
from recbole_apa.data.read_data import read_sides
from recbole_apa.data.row_blocks import row_blocks
from recbole_apa.data.run_data import RunData
from tests.helpers.collaborative import N_FILMS, OPTIONS, TALLREC, data_of, ratings_of, told

ALL_PAIRS = Pairs.of(*np.array(list(product(range(N_FILMS), repeat=2))).T)[0]


def by_name(data: RunData, use_ratings=False) -> tuple:
    """Sums with items in order of their names."""
    rows = training_rows(data, use_ratings)
    code_of = np.array([int(name[1:]) for name in data.rows.items.names])
    named = TrainingRows(rows.users, code_of[rows.items], rows.values, rows.unit)
    return told(ItemSums.of(named, N_FILMS)), told(PairSums.of(named, ALL_PAIRS))


def planted(data: RunData, ratings, role_is_train: bool):
    """The same lines with one rating turned round, in or after the training period; a place for each."""
    places = np.flatnonzero((data.notes.roles == TRAIN) == role_is_train)
    for place in places.tolist():
        user, item, rating, time = ratings[place]
        yield [*ratings[:place], (user, item, 1 if rating >= 4 else 5, time), *ratings[place + 1 :]]


@pytest.mark.parametrize("options", [OPTIONS, TALLREC], ids=["recbole", "tallrec"])
@pytest.mark.parametrize("use_ratings", [False, True])
def test_a_planted_label_after_the_training_period_moves_no_sum(tmp_path, options, use_ratings):
    ratings = ratings_of()
    data = data_of(tmp_path / "data", ratings, options)
    before = by_name(data, use_ratings)
    judged = np.concatenate([data.targets["valid"], data.targets["test"]])
    assert len(judged) and len(training_rows(data))
    for place in data.kept[judged].tolist():
        user, item, rating, time = ratings[place]
        other = [*ratings[:place], (user, item, 1 if rating >= 4 else 5, time), *ratings[place + 1 :]]
        assert by_name(data_of(tmp_path / "data", other, options), use_ratings) == before


def test_every_label_of_the_training_period_counts_and_no_other(tmp_path):
    ratings = ratings_of()
    data = data_of(tmp_path / "data", ratings)
    before = by_name(data)
    assert sum(before[0][0]) == (data.notes.roles == TRAIN).sum() < len(ratings)
    for other in planted(data, ratings, role_is_train=False):
        assert by_name(data_of(tmp_path / "data", other)) == before
    for other in list(planted(data, ratings, role_is_train=True))[:10]:
        assert by_name(data_of(tmp_path / "data", other)) != before


def test_under_tallrec_histories_of_training_samples_count(tmp_path):
    data = data_of(tmp_path / "data", ratings_of(), TALLREC)
    rows = training_rows(data)
    trained = set(data.rows.users.codes[data.notes.roles[data.kept] == TRAIN].tolist())
    assert set(rows.users.tolist()) == trained
    assert len(rows) == (data.notes.roles == TRAIN).sum() + 10 * len(trained) and len(trained) < 6


@pytest.mark.parametrize("use_ratings", [False, True])
def test_parts_of_an_index_give_the_sums_of_the_files(tmp_path, use_ratings):
    data = data_of(tmp_path / "data", ratings_of())
    sides = read_sides(OPTIONS.files, tmp_path / "data" / "small")
    write_index(tmp_path / "index", data.index_rows(), "00c0ffee00c0ffee", About(), n_parts=4)
    index = Index(tmp_path / "index", "00c0ffee00c0ffee")
    pairs, code_of = [], np.array([int(name[1:]) for name in index.items.names])
    items = []
    for part in index.parts():
        if len(part):
            rows = training_rows(RunData.of_index(IndexedRows(part, filtered=True), OPTIONS, sides, {}), use_ratings)
            named = TrainingRows(rows.users, code_of[rows.items], rows.values, rows.unit)
            items.append(ItemSums.of(named, N_FILMS))
            pairs.append(PairSums.of(named, ALL_PAIRS))
    assert len(items) > 1
    item_sums, pair_sums = items[0], pairs[0]
    for more_items, more_pairs in zip(items[1:], pairs[1:], strict=True):
        item_sums, pair_sums = item_sums.plus(more_items), pair_sums.plus(more_pairs)
    assert (told(item_sums), told(pair_sums)) == by_name(data, use_ratings)


@pytest.mark.parametrize("options", [OPTIONS, TALLREC], ids=["recbole", "tallrec"])
@pytest.mark.parametrize("use_ratings", [False, True])
def test_users_added_up_some_at_a_time_give_the_sums_of_all(tmp_path, options, use_ratings, monkeypatch):
    data = data_of(tmp_path / "data", ratings_of(), options)
    names = data.rows.items.names
    pairs = Pairs.of(*np.array(list(product(range(len(names)), repeat=2))).T)[0]
    whole = training_rows(data, use_ratings)
    monkeypatch.setattr(rows_of_runs, "row_blocks", partial(row_blocks, size=20))
    assert len(list(rows_of_runs.training_blocks(data, use_ratings))) > 3
    found = Statistics.of([data], ItemCodes(names), pairs, use_ratings)
    assert told(found.items) == told(ItemSums.of(whole, len(names)))
    assert told(found.pairs) == told(PairSums.of(whole, pairs))


def test_pasts_are_the_histories_of_samples_at_full_length(tmp_path):
    data = data_of(tmp_path / "data", ratings_of())
    long = replace(data, options=replace(OPTIONS, samples=replace(OPTIONS.samples, history_length=1000)))
    names = data.rows.items.names
    for split in ("valid", "test"):
        pasts = pasts_of(data, data.targets[split])
        for length, shown in ((1000, long.samples[split]), (3, data.samples[split])):
            last = pasts.last(length)
            ends = np.cumsum(last.lengths)
            for n, sample in enumerate(shown):
                rows = slice(ends[n] - last.lengths[n], ends[n])
                assert names[last.items[n]] == sample.item_id
                assert [names[code] for code in last.past_items[rows]] == [e.item_id for e in sample.history]
                assert last.past_values[rows].tolist() == [e.label for e in sample.history]


@pytest.mark.parametrize("rating", ["1e9", "-101"])
def test_odd_ratings_are_refused_as_values_and_accepted_as_labels(tmp_path, rating):
    ratings = [(*ratings_of()[0][:2], rating, 0), *ratings_of()[1:]]
    data = data_of(tmp_path / "data", ratings)
    assert len(training_rows(data))
    with pytest.raises(DataError, match=r"expected numbers from -100 to 100"):
        training_rows(data, use_ratings=True)


def test_content_is_read_from_columns_of_the_item_file(tmp_path):
    data_of(tmp_path / "data", ratings_of())
    (tmp_path / "data" / "small.item").write_text(
        "item_id:token\ttitle:token\tgenres:token_seq\tyear:token\n"
        "i0\tA\tWar Drama\t1990\ni1\tB\tDrama\tunknown\ni2\tC\t\t1980\n"
    )
    texts = ItemTexts(read_sides(OPTIONS.files, tmp_path / "data" / "small")[1], "{title}", OPTIONS.files)
    content = ItemContent.of_columns(texts, ["i2", "i0", "i1", "i7"], "genres", "year")
    assert content.words.tolist() == [[False, False], [True, True], [True, False], [False, False]]
    assert content.years.tolist() == pytest.approx([1980, 1990, np.nan, np.nan], nan_ok=True)
    assert np.isnan(ItemContent.of_columns(texts, ["i0"], "genres").years).all()
    with pytest.raises(DataError, match=r"no column colour; expected columns among .*genres"):
        ItemContent.of_columns(texts, ["i0"], "colour")
