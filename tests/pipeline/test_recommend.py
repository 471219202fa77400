"""The best items for a user by a run of APA: those that a prediction of every item would put first."""

from dataclasses import replace

import numpy as np
import pytest

from recbole_apa import predict_pairs, recommend
from recbole_apa.collaborative import ALONE, BOTH, MODEL
from recbole_apa.core.errors import RequestError, SettingsError
from recbole_apa.next_item.run.recommend import export_recommendations
from recbole_apa.pipeline.recommend_labelled import recommend_users, users_of


def serving(run, monkeypatch, served):
    """Let an opened run serve one of the three scores."""
    combined = run.trainer.combined
    combination = replace(combined.fitted.combination, served=served)
    fitted = replace(combined.fitted, combination=combination)
    monkeypatch.setattr(run.trainer, "combined", replace(combined, fitted=fitted))
    return run.trainer.combined


def unrated(run, user):
    rows = run.data.train_set.interactions
    had = {rows.items[n] for n in range(len(rows)) if rows.users[n] == user}
    return sorted({f"i{i}" for i in range(20)} - had)


def log_odds(score):
    return np.log(score) - np.log1p(-score)


@pytest.mark.parametrize("served", [MODEL, ALONE, BOTH])
def test_the_list_is_that_of_all_predictions(finished, monkeypatch, served):
    serving(finished, monkeypatch, served)
    items = unrated(finished, "u1")
    (found,) = recommend_users(finished, ["u1"], k=100)
    assert sorted(one.item for one in found.best) == items and found.n_unseen == len(items) >= 3
    expected = {p.item: p.score for p in predict_pairs(finished, [("u1", item) for item in items])}
    assert [one.score for one in found.best] == pytest.approx([expected[one.item] for one in found.best], abs=1e-5)
    assert [one.score for one in found.best] == sorted(expected.values(), reverse=True) or served != ALONE
    assert found.n_read == (0 if served == ALONE else len(items))
    assert [one.rank for one in found.best] == list(range(1, len(items) + 1))


@pytest.mark.parametrize("served", [ALONE, BOTH])
def test_terms_are_what_sets_items_apart(finished, monkeypatch, served):
    serving(finished, monkeypatch, served)
    found = recommend(finished, "u1", k=100)
    sums = np.array([sum(one.terms.values()) for one in found])
    odds = log_odds(np.array([one.score for one in found]))
    assert np.allclose(odds - odds.mean(), sums, atol=1e-4) and odds.std() > 0
    assert ("language model" in found[0].terms) == (served == BOTH)
    texts = finished.data.train_set.item_texts
    assert all(one.because is None or one.because in list(texts) for one in found)


def test_the_language_model_alone_has_no_terms(finished, monkeypatch):
    serving(finished, monkeypatch, MODEL)
    assert all(one.terms == {} and one.because is None for one in recommend(finished, "u1"))


def test_candidates_are_those_that_evidence_ranks_first(finished, monkeypatch):
    serving(finished, monkeypatch, ALONE)
    by_evidence = [one.item for one in recommend(finished, "u2", k=100)]
    serving(finished, monkeypatch, BOTH)
    everything = recommend(finished, "u2", k=100)
    (found,) = recommend_users(finished, ["u2"], k=2, candidates=2)
    assert {one.item for one in found.best} == set(by_evidence[:2]) and found.n_read == 2
    order = [one.item for one in everything if one.item in by_evidence[:2]]
    assert [one.item for one in found.best] == order
    assert "the best 2 by evidence read by the language model" in found.cost()
    with pytest.raises(SettingsError, match="at least k = 3"):
        recommend(finished, "u2", k=3, candidates=2)


@pytest.mark.slow
def test_a_run_without_evidence_has_nothing_to_preselect_by(uncounted):
    found = recommend(uncounted.run_dir, "u1", k=2)
    assert len(found) == 2 and found[0].score >= found[1].score
    with pytest.raises(SettingsError, match="no evidence"):
        recommend(uncounted, "u1", k=2, candidates=5)


@pytest.mark.slow
def test_who_was_forgotten_is_unknown(uncounted_served, uncounted, tmp_path):
    with pytest.raises(RequestError, match="not forgotten"):
        recommend(uncounted_served, "u3")
    with pytest.raises(SettingsError, match="at least 1"):
        recommend(uncounted, "u1", k=0)
    target = tmp_path / "all.csv"
    n_users = export_recommendations(uncounted_served, target, k=1)
    lines = target.read_text().splitlines()
    assert n_users == len(lines) - 1 == len(users_of(uncounted)) - 1
    assert not any(line.startswith("u3,") for line in lines)
