"""Candidate lists: the same for every method, judged by RecBole's own metrics; options reached within others."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_apa import APAConfig, compare
from recbole_apa.comparison.context import open_context
from recbole_apa.comparison.registry import make_methods
from recbole_apa.comparison.report.criterion import ByRank
from recbole_apa.comparison.report.table import comparison_rows, headers
from recbole_apa.comparison.row import DONE, Row
from recbole_apa.core.errors import SettingsError
from recbole_apa.data.samples import Sample
from recbole_apa.evaluation.candidates import candidates_asked, draw_candidates
from recbole_apa.evaluation.ranking import ranking_figures

ITEMS = [f"i{n}" for n in range(20)]


def sample(user, item, label=1):
    return Sample(f"{user}:{item}", user, item, label, ())


def test_lists_hold_the_liked_item_and_nothing_else_that_the_user_rated():
    samples = [sample("a", "i1"), sample("a", "i2", 0), sample("b", "i3")]
    rated = {"a": {"i1", "i2", "i9"}, "b": {"i3"}}
    lists = draw_candidates(samples, rated, ITEMS, 15, seed=1)
    assert lists.rows == [0, 2] and lists.n_candidates == 16
    for row, items in zip(lists.rows, lists.items, strict=True):
        assert len(set(items)) == 16
        assert set(items) & rated[samples[row].user_id] == {samples[row].item_id}
    alone = draw_candidates(samples[2:], rated, ITEMS, 15, seed=1)
    assert alone.items == lists.items[1:]  # a list does not depend on the others
    assert draw_candidates(samples, rated, ITEMS, 15, seed=2).items != lists.items
    expanded = lists.expand(samples)
    assert [s.label for s in expanded].count(1) == 2 and {s.user_id for s in expanded[16:]} == {"b"}


def test_too_few_items_and_no_likes_are_refused():
    with pytest.raises(SettingsError, match="left 19 items unrated, expected at least 20"):
        draw_candidates([sample("a", "i1")], {"a": {"i1"}}, ITEMS, 20, seed=1)
    with pytest.raises(SettingsError, match="liked test samples, found none"):
        draw_candidates([sample("a", "i1", 0)], {"a": {"i1"}}, ITEMS, 5, seed=1)
    assert candidates_asked({"valid": "uni5", "test": "uni7"}) == 7 and candidates_asked("labeled") is None
    with pytest.raises(SettingsError, match="found 'full', expected labeled or uniN"):
        candidates_asked("full")


@given(st.lists(st.integers(0, 4), min_size=16, max_size=16), st.integers(0, 1000))
def test_ranks_count_what_comes_first(scores, seed):
    samples = [sample("a", "i1")]
    lists = draw_candidates(samples, {"a": {"i1"}}, ITEMS, 15, seed=seed)
    (rank,) = lists.ranks(np.array(scores, dtype=float), samples)
    order = sorted(range(16), key=lambda i: (-scores[i], i))
    assert lists.items[0][order[rank - 1]] == "i1"


def test_figures_are_recboles_and_the_textbooks(options, work_folder):
    config = APAConfig("APA", "board", config_dict={**options, "eval_args.mode": "uni15", "topk": [1, 3]})
    assert config["metrics"] == ["Recall", "NDCG", "MRR"]
    ranks = np.array([1, 2, 3, 4, 16])
    found = ranking_figures(config, ranks)
    assert found["recall@3"] == pytest.approx(3 / 5, abs=1e-4)
    assert found["mrr@3"] == pytest.approx((1 + 1 / 2 + 1 / 3) / 5, abs=1e-4)
    assert found["ndcg@3"] == pytest.approx((1 + 1 / math.log2(3) + 1 / 2) / 5, abs=1e-4)
    assert found["ndcg@3"] == pytest.approx(ByRank(3, 5, ()).value(ranks, np.ones(5, bool)), abs=1e-4)
    config["metrics"] = ["GAUC"]
    with pytest.raises(SettingsError, match="metrics of the first k places"):
        ranking_figures(config, ranks)


NAMES = ["Pop", "BPR", "FM", "SASRec", "ItemMean"]
ASKED = {"eval_args.mode": "uni4", "topk": [2], "valid_metric": "NDCG@2"}


@pytest.fixture(scope="module")
def context(options, work_folder, tmp_path_factory):
    return open_context("board", [], {**options, **ASKED}, tmp_path_factory.mktemp("bench"))


@pytest.mark.quick(1)
@pytest.mark.parametrize("name", ["APA(D)", *NAMES])
def test_every_method_scores_the_same_candidates(name, context):
    (method,) = make_methods(context, [name], {n: {"epochs": 2} for n in ("BPR", "FM", "SASRec")})
    method.fit(1)
    before = method.score(name).scores
    n, m = len(context.ranking.rows), context.ranking.n_candidates
    assert before.shape == (n * m,) and np.isfinite(before).all()
    whole = context.ranking
    try:  # the same candidates in another order: the same scores in that order
        context.ranking = replace(whole, rows=whole.rows[::-1], items=[items[::-1] for items in whole.items[::-1]])
        np.testing.assert_allclose(method.score(name).scores[::-1], before, atol=1e-5)
    finally:
        context.ranking = whole


@pytest.mark.slow
def test_a_ranking_comparison_ends_in_recboles_metrics(options, work_folder, tmp_path):
    few = {"BPR": {"epochs": 2}, "FM": {"epochs": 2}, "SASRec": {"epochs": 2}}
    result = compare(NAMES, "board", (), {**options, **ASKED}, folder=tmp_path, baseline_options=few, slices=True)
    assert {row.status for row in result.rows} == {DONE}
    for row in result.rows:
        assert {"recall@2", "ndcg@2", "mrr@2"} <= set(row.figures) and "auc" not in row.figures
        assert set(row.scores) <= set(range(1, 6))
        assert row.figures["recall@2"] == pytest.approx(np.mean(np.array(row.scores) <= 2), abs=1e-4)
    assert result.table.splitlines()[0].split()[:4] == ["method", "ndcg@2", "spread", "recall@2"]
    assert "each ranked among 4 candidates" in (tmp_path / "report.html").read_text()
    labelled = compare(["ItemMean"], "board", (), options, folder=tmp_path)
    assert all("auc" in row.figures for row in labelled.rows)  # other questions are other rows


def test_differences_in_places_are_paired():
    figures = dict.fromkeys(
        ("train_seconds", "unlearn_seconds", "unlearn_shards_hit", "n_shards", "inference_ms_per_sample"), 1.0
    ) | dict.fromkeys(("forward_passes", "peak_memory_bytes", "n_parameters"), 1.0)
    rows = [
        Row("Retraining", 1, DONE, "", {**figures, "ndcg@2": 1.0}, [1] * 40),
        Row("Other", 1, DONE, "", {**figures, "ndcg@2": 0.0}, [5] * 40),
    ]
    judged = ByRank(2, 40, ("recall@2",))
    table = {line[0]: dict(zip(headers(judged), line, strict=True)) for line in comparison_rows(rows, judged)}
    assert table["Other"]["minus Retraining"] == "-1.0000" and table["Other"]["95 % interval"] == "-1.000 to -1.000"


def test_an_option_within_another_is_changed_alone_or_refused(options, work_folder):
    config = APAConfig("APA", "board", config_dict={**options, "eval_args.order": "RO"})
    assert config["eval_args"]["order"] == "RO" and config["eval_args"]["mode"]["test"] == "labeled"
    with pytest.raises(SettingsError, match="eval_args has no 'mod'; expected one of group_by, mode, order, split"):
        APAConfig("APA", "board", config_dict={**options, "eval_args.mod": "uni5"})
    with pytest.raises(SettingsError, match="n_shards = 3, expected an option with several"):
        APAConfig("APA", "board", config_dict={**options, "n_shards.x": 1})
