"""A survey counts the rows of an index as the data of all rows has them, in whichever way it takes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_apa.data.index.facts import About
from recbole_apa.data.index.read import Index
from recbole_apa.data.index.rows import DRAWN, KEPT, IndexedRows
from recbole_apa.data.index.write import write_index
from recbole_apa.data.read_data import read_sides
from recbole_apa.data.run_data import RunData
from recbole_apa.data.survey import survey_of
from recbole_apa.data.tallies import Tallies
from tests.helpers.collaborative import OPTIONS
from tests.helpers.index_rows import SALT, rows_of


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    titles = "".join(f"i{k}\tFilm {k}\n" for k in range(5))
    (folder / "small.item").write_text(f"item_id:token\ttitle:token_seq\n{titles}")
    return read_sides(OPTIONS.files, folder / "small")


def indexed(draw, folder):
    """Rows of few users, items and times, so that many are equal; any roles and flags."""
    n = draw(st.integers(1, 40))

    def many(most):
        return np.array(draw(st.lists(st.integers(0, most), min_size=n, max_size=n)))

    users, items = ([f"{kind}{k}" for k in many(4)] for kind in ("u", "i"))
    times = many(3) if draw(st.booleans()) else None
    flags = np.where(many(3) > 0, KEPT, 0) | np.where(many(1), DRAWN, 0) | 1
    rows = rows_of(
        users, items, times, values=many(4) + 1, roles=many(3), flags=flags, places=draw(st.permutations(range(n)))
    )
    write_index(folder, rows, SALT, About(), n_parts=draw(st.sampled_from([1, 4])))
    return Index(folder, SALT)


def told(survey):
    rows = survey.train_rows()
    return (
        rows.n.tolist(),
        rows.likes.tolist(),
        sorted(survey.items_seen()),
        {split: survey.samples(split) for split in ("train", "valid", "test")},
        survey.pieces,
    )


@pytest.mark.slow
@settings(deadline=None, max_examples=80)
@given(st.data(), st.integers(1, 3))
def test_counted_in_the_order_of_the_index_as_from_the_data_of_its_rows(sides, tmp_path_factory, data, least):
    index = indexed(data.draw, tmp_path_factory.mktemp("index"))
    options = replace(OPTIONS, samples=replace(OPTIONS.samples, min_history=least, history_length=3))
    found = survey_of(index, options, sides)
    # with a digest of all users everything is made of every row
    assert told(found) == told(survey_of(index, options, sides, secret=b"secret"))
    kept = index.all_rows()
    if not (kept.flags & KEPT).any():
        return
    whole = RunData.of_index(IndexedRows(kept, filtered=True), options, sides, {})
    tallies, n_seen = Tallies.of(whole.train_rows), len(set(whole.rows.items.texts()))
    assert int(found.train_rows().n.sum()) == int(tallies.n.sum()) and len(list(found.items_seen())) == n_seen
    assert int(found.train_rows().likes.sum()) == int(tallies.likes.sum())
    for split, samples in whole.samples.items():
        assert {s.sample_id: s for s in found.samples(split)} == {s.sample_id: s for s in samples}
