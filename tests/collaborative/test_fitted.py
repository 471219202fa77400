"""What a run keeps: the samples that terms are derived for, sums, and the combination; as made anew, as subtracted."""

from dataclasses import replace

import numpy as np
import pytest

from recbole_apa.collaborative import (
    MODEL,
    NOTHING,
    Contents,
    Fitted,
    ItemCodes,
    ItemContent,
    Source,
    Statistics,
    Targets,
    TermOptions,
    collaborative_terms,
    needed_pairs,
    pairs_of,
    targets_of,
    training_rows,
)
from recbole_apa.collaborative.terms import log_odds
from recbole_apa.data.data_options import DataOptions
from recbole_apa.data.index.facts import About
from recbole_apa.data.index.read import Index
from recbole_apa.data.index.rows import TRAIN, IndexedRows
from recbole_apa.data.index.write import write_index
from recbole_apa.data.read_data import read_sides
from recbole_apa.data.run_data import RunData
from tests.helpers.collaborative import N_FILMS, OPTIONS, data_of, ratings_of, states_of

CODES = ItemCodes([f"i{n}" for n in range(N_FILMS)])
CONTENTS = Contents(
    ItemContent.of([["a"] if n % 2 else ["a", "b"] for n in range(N_FILMS)], [1980 + n for n in range(N_FILMS)])
)
WITH_STATES = replace(CONTENTS, states=states_of(range(N_FILMS)), texts=tuple(f"Film {n}" for n in range(N_FILMS)))
MORE: DataOptions = replace(OPTIONS, samples=replace(OPTIONS.samples, valid_samples=None, test_samples=None))
WHOLE, SHOWN = TermOptions(), TermOptions(past=2)
SALT = "00c0ffee00c0ffee"


def scores_of(targets, seed=0):
    """Of a model that knows nothing; by sample id, so that a sample keeps its score."""
    return {name: np.array([(hash_of(i) % 97) / 100 + 0.01 for i in part.ids]) for name, part in targets.items()}


def hash_of(text):
    return sum(ord(letter) * (place + 1) for place, letter in enumerate(text))


def anew(data, contents=CONTENTS, options=WHOLE):
    targets = targets_of([data], CODES, options)
    return Fitted.anew([data], CODES, scores_of(targets), contents.options(options), contents)


def bits(fitted):
    arrays = {name: values.tobytes() for name, values in fitted.statistics.arrays().items()}
    states = fitted.states and (fitted.states.items.tolist(), fitted.states.values.tobytes())
    return arrays, fitted.combination and fitted.combination.to_json(), states, fitted.content


def parts_of(data, tmp_path):
    """The users of an index, some at a time, in the index's order."""
    sides = read_sides(data.options.files, tmp_path / "data" / "small")
    write_index(tmp_path / "index", data.index_rows(), SALT, About(), n_parts=4)
    rows = [part for part in Index(tmp_path / "index", SALT).parts() if len(part)]
    assert len(rows) > 1
    return [RunData.of_index(IndexedRows(part, filtered=True), data.options, sides, {}) for part in rows]


def test_samples_of_parts_are_those_of_all_rows_in_order_of_id(tmp_path):
    data = data_of(tmp_path / "data", ratings_of(n_users=9), MORE)
    parts = parts_of(data, tmp_path)
    for split in ("valid", "test"):
        whole, joined = Targets.of([data], split, CODES), Targets.of(parts, split, CODES)
        assert list(whole.ids) == sorted(s.sample_id for s in data.samples[split]) and len(whole) > 9
        assert (whole.ids, whole.users) == (joined.ids, joined.users)
        assert whole.labels.tolist() == joined.labels.tolist()
        by_id = {s.sample_id: s for s in data.samples[split]}
        assert [by_id[i].user_id for i in whole.ids] == list(whole.users)
        assert [by_id[i].label for i in whole.ids] == whole.labels.tolist()
        for name in ("items", "lengths", "past_items", "past_values"):
            assert getattr(whole.pasts, name).tolist() == getattr(joined.pasts, name).tolist()
    assert len(Targets.joined([])) == 0


def test_from_parts_it_is_the_same_in_every_bit(tmp_path):
    data = data_of(tmp_path / "data", ratings_of(n_users=9), MORE)
    parts = parts_of(data, tmp_path)
    scores = scores_of(targets_of(parts, CODES, TermOptions()))
    assert bits(Fitted.anew(parts, CODES, scores, TermOptions(), CONTENTS)) == bits(anew(data))


@pytest.mark.parametrize("options", [WHOLE, SHOWN], ids=["whole past", "two rows of it"])
@pytest.mark.parametrize("contents", [CONTENTS, WITH_STATES, NOTHING], ids=["content", "states", "without"])
@pytest.mark.parametrize("n_gone", [7, None], ids=["seven rows", "whole user"])
def test_after_subtraction_it_is_the_same_in_every_bit(tmp_path, n_gone, contents, options):
    """Pairs that nobody needs any more go out."""
    data = data_of(tmp_path / "data", ratings_of(n_users=3), MORE)
    rows = data.index_rows()
    of_user = np.array([user == "u2" for user in rows.users.texts()])
    gone = np.flatnonzero(of_user & ((rows.roles == TRAIN) | (n_gone is None)))[:n_gone]

    def with_rows(which):
        sides = read_sides(MORE.files, tmp_path / "data" / "small")
        return RunData.of_index(IndexedRows(rows.take(np.flatnonzero(which)), filtered=True), MORE, sides, {})

    stays = ~np.isin(np.arange(len(rows)), gone)
    left = with_rows(stays)
    fitted, targets = anew(data, contents, options), targets_of([left], CODES, options)
    statistics = fitted.statistics.after(with_rows(of_user), None if n_gone is None else with_rows(of_user & stays))
    kept = contents.only(fitted.states.items) if fitted.states else contents
    again = Fitted.refit(statistics, targets, scores_of(targets), fitted.options, kept)
    assert bits(again) == bits(anew(left, contents, options)) != bits(fitted)
    assert ("content_states" in again.combination.terms) == (again.states is not None) == (contents is WITH_STATES)
    if options == WHOLE or n_gone is None:  # the seven rows are none of those that are looked at
        assert len(again.statistics.pairs.pairs) < len(fitted.statistics.pairs.pairs)


def test_the_table_is_that_of_the_terms(tmp_path):
    data = data_of(tmp_path / "data", ratings_of(), MORE)
    fitted, pasts = anew(data), Targets.of([data], "test", CODES).pasts
    statistics = Statistics.of([data], CODES, needed_pairs(targets_of([data], CODES, TermOptions()), TermOptions()))
    terms = collaborative_terms(pasts, statistics.items, statistics.pairs, TermOptions(), CONTENTS)
    names = fitted.combination.terms
    assert "content" in names and fitted.table(pasts, CONTENTS).tolist() == terms.table(names).tolist()
    assert "content" not in anew(data, NOTHING).combination.terms


def test_rows_before_those_that_are_looked_at_move_nothing(tmp_path):
    data = data_of(tmp_path / "data", ratings_of(), MORE)
    targets, contents = targets_of([data], CODES, SHOWN), CONTENTS
    fitted, whole = anew(data, contents, SHOWN), anew(data, contents)
    pasts = targets["valid"].pasts
    assert (pasts.lengths > 2).any()
    few = Statistics.of([data], CODES, pairs_of(pasts.last(2))[0])
    terms = collaborative_terms(pasts.last(2), few.items, few.pairs, TermOptions(), contents)
    assert fitted.table(pasts, contents).tolist() == terms.table(fitted.combination.terms).tolist()
    assert fitted.table(pasts, contents).tolist() != whole.table(pasts, contents).tolist()
    assert len(fitted.statistics.pairs.pairs) < len(whole.statistics.pairs.pairs)
    source = Source(training_rows(data, codes=CODES), fitted.statistics.items, SHOWN, contents)
    assert source.table(pasts).tolist() == fitted.table(pasts, contents).tolist()


def test_without_validation_samples_the_model_is_served(tmp_path):
    few = replace(OPTIONS, samples=replace(OPTIONS.samples, valid_samples=0))
    fitted = anew(data_of(tmp_path / "data", ratings_of(), few))
    assert fitted.combination is None and fitted.served == MODEL and len(fitted.statistics.pairs.pairs)


def test_scores_of_other_samples_are_refused(tmp_path):
    data = data_of(tmp_path / "data", ratings_of(), MORE)
    with pytest.raises(ValueError, match="found 1 scores, expected one for each of"):
        Fitted.anew([data], CODES, {"valid": np.array([0.5])}, TermOptions(), NOTHING)


@pytest.mark.parametrize("label", [0, 1])
def test_where_all_labels_are_equal_every_number_is_finite(tmp_path, label):
    """A training refuses such rows; requests may leave them."""
    data = data_of(tmp_path / "data", ratings_of(), MORE)
    data = replace(data, rows=replace(data.rows, labels=np.full_like(data.rows.labels, label)))
    fitted = anew(data)
    assert np.isfinite(fitted.table(Targets.of([data], "test", CODES).pasts, CONTENTS)).all()
    told = fitted.combination.to_json()
    assert np.isfinite(told["alone"]["coefficients"]).all() and np.isfinite(told["both"]["intercept"])
    assert log_odds(np.array([0.0, 0.5, 1.0])).tolist() == pytest.approx([-16.118, 0, 16.118], abs=1e-3)


def test_options_of_terms_are_read_as_written_and_others_refused():
    told = TermOptions(neighbors=7).to_json()
    assert TermOptions.from_json(told) == TermOptions(neighbors=7)
    assert not {"past", "state_width"} & set(told) and TermOptions.from_json(SHOWN.to_json()) == SHOWN
    assert TermOptions.from_json(TermOptions(state_width=0.1).to_json()) == TermOptions(state_width=0.1)
    for wrong in (
        None,
        {},
        {**told, "more": 1},
        {**told, "past": -1},
        {**told, "past": True},
        {**told, "state_width": -0.1},
        {**told, "recency": "0.9"},
        {**told, "years": float("nan")},
    ):
        with pytest.raises(ValueError, match="expected"):
            TermOptions.from_json(wrong)
