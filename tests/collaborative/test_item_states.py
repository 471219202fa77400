"""How alike items are by states of their texts: known answers, and what does not depend on anything else."""

from dataclasses import replace

import numpy as np
import pytest

from recbole_apa.collaborative import Contents, ItemStates, ItemSums, PairSums, Pasts, TermOptions, pairs_of
from recbole_apa.collaborative.options import STATE_WIDTH
from recbole_apa.collaborative.rows import TrainingRows
from recbole_apa.collaborative.terms import collaborative_terms, rate, weighted_mean
from recbole_apa.core.collaborative_settings import CollaborativeSettings
from recbole_apa.core.errors import DataError
from tests.helpers.collaborative import data_of, many, ratings_of, states_of

M = 12


def of_states(states):
    return Contents(states=states, texts=tuple(f"Film {code}" for code in states.items.tolist()))


def columns_of(contents, rows, pasts):
    sums = PairSums.of(rows, pairs_of(pasts)[0])
    options = contents.options(TermOptions())
    return collaborative_terms(pasts, ItemSums.of(rows, M), sums, options, contents).columns


def test_closeness_falls_with_the_angle_alone():
    values = np.array([[2.0, 0], [0, 3], [1, 1], [-1, 0], [0, 0]], dtype=np.float32)
    states = ItemStates(np.array([1, 2, 5, 6, 9]), values)
    firsts, seconds = np.array([1, 1, 1, 1, 1, 9]), np.array([1, 2, 5, 6, 9, 9])
    cosines = np.array([1, 0, np.sqrt(0.5), -1, 0, 0])
    assert states.closeness(firsts, seconds, 0.5) == pytest.approx(np.exp((cosines - 1) / 0.5))
    longer = replace(states, values=values * np.float32(4))
    assert states.closeness(firsts, seconds, 0.5).tolist() == longer.closeness(firsts, seconds, 0.5).tolist()


def test_with_equal_states_every_weight_is_equal():
    """The term is then the shrunken mean of what bias leaves of the past."""
    rows, pasts, _ = many()
    same = ItemStates(np.arange(M), np.tile(np.float32([[0.3, -1.2, 5.0]]), (M, 1)))
    found = columns_of(of_states(same), rows, pasts)["content_states"]
    options, sums = TermOptions(), ItemSums.of(rows, M)
    above = pasts.past_values - sums.means(options.item_strength)[pasts.past_items]
    residuals = above - rate(pasts, above, 0.0, options.bias_strength)[pasts.owners]
    expected = weighted_mean(pasts, np.ones(len(residuals)), residuals, options.content_strength)
    assert found == pytest.approx(expected, abs=1e-12) and np.abs(expected).max() > 1e-3


def test_a_pair_does_not_depend_on_the_others():
    states, rng = states_of(range(40), d=577), np.random.default_rng(0)
    firsts, seconds = rng.integers(0, 40, 9000), rng.integers(0, 40, 9000)
    together = states.closeness(firsts, seconds, STATE_WIDTH)
    for pair in (0, 1, 4095, 4096, 8999):
        alone = states.closeness(firsts[[pair]], seconds[[pair]], STATE_WIDTH)
        assert alone.tobytes() == together[[pair]].tobytes()
    few = states.only(np.union1d(firsts[:3], seconds[:3]))
    assert few.closeness(firsts[:3], seconds[:3], STATE_WIDTH).tobytes() == together[:3].tobytes()


def test_states_are_one_more_term_and_move_no_other():
    rows, pasts, columns = many()
    both = replace(columns, states=states_of(range(M)), texts=of_states(states_of(range(M))).texts)
    plain, found = columns_of(columns, rows, pasts), columns_of(both, rows, pasts)
    assert both.terms == ("content", "content_states") and columns.terms == ("content",)
    assert {name: values.tobytes() for name, values in plain.items()} == {
        name: values.tobytes() for name, values in found.items() if name != "content_states"
    }
    assert len(np.unique(found["content_states"])) > 30


def test_an_item_without_a_state_is_an_error():
    states = states_of([0, 2])
    for asked in ([1], [3], [0, 1, 2]):
        with pytest.raises(KeyError, match="an item without a state"):
            states.only(np.array(asked))
    pasts = Pasts(np.array([0]), np.array([1]), np.array([1]), np.array([1.0]))
    rows = TrainingRows(np.array([0, 0]), np.array([0, 1]), np.array([1, 0]))
    with pytest.raises(KeyError, match="an item without a state"):
        columns_of(of_states(states), rows, pasts)


def test_the_digest_is_of_texts_and_of_which_items_they_are():
    contents = of_states(states_of([0, 3]))
    others = [
        replace(contents, texts=("Film 0", "Film 4")),
        of_states(states_of([0, 4])),
        contents.only(np.array([3])),
        Contents(),
    ]
    digests = [one.digest() for one in (contents, *others)]
    assert len(set(digests)) == len(digests) and digests[-1] == ""
    assert contents.only(np.array([0, 3])).digest() == digests[0]


def told(texts):
    return np.array([[len(text), 1.0] for text in texts], dtype=np.float32)


def test_what_the_options_ask_for_is_computed_for_the_items_asked(tmp_path):
    texts, names = data_of(tmp_path / "data", ratings_of()).texts, ["i1", "i2", "", "new"]
    asked = np.array([1, 3])
    settings = CollaborativeSettings(evidence="counts", evidence_content="states")
    made = Contents.embedded(settings, texts, names, asked, told)
    assert made.texts == ("Film 2", "item new") and made.states.values[:, 0].tolist() == [6, 8]
    kept = Contents.of(settings, texts, names, made.states)
    assert kept.digest() == made.digest() and kept.columns is None
    # an item that lost its name is left out
    assert Contents.of(settings, texts, ["i1", "i2", "", ""], made.states).texts == ("Film 2",)
    longer = replace(settings, evidence_text="Film: {title}.")
    assert Contents.embedded(longer, texts, names, asked, told).texts == ("Film: Film 2.", "item new")
    none = CollaborativeSettings(evidence="counts", evidence_content="none", evidence_columns=("genres",))
    assert Contents.embedded(none, texts, names, asked, None) == Contents()
    with pytest.raises(DataError, match=r"evidence_text is '\{year\}' and the items have no column year"):
        Contents.of(replace(settings, evidence_text="{year}"), texts, names)
    with pytest.raises(DataError, match=r"evidence_text is '\{': .*double literal braces"):
        Contents.of(replace(settings, evidence_text="{"), texts, names)


def test_a_manifest_without_the_options_means_columns():
    noted = CollaborativeSettings.noted({"evidence": "counts", "evidence_columns": ["genres", "year"], "seed": 3})
    assert noted.columns == ("genres", "year") and not noted.uses_states and noted.models == ()
    assert CollaborativeSettings.noted({}) == CollaborativeSettings()
