"""Models of item similarities that are asked about a past, of users known or new (``ItemKNN+history``)."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from recbole_apa.comparison.registry import check_names, make_methods
from recbole_apa.compat import release
from recbole_apa.core.errors import SettingsError
from recbole_apa.pipeline.item_similarity import past_scores
from tests.helpers.compared import PAPER, lines_of


@pytest.mark.parametrize("model", ["ItemKNN", "EASE"])
def test_a_past_is_scored_as_the_model_scores_users_that_it_knows(model, opened):
    context = opened()
    (plain, asked) = make_methods(context, [model, f"{model}+history"])
    plain.fit(1)
    data = plain.trained.loaders.test._dataset
    liked = {}
    for user, item, _, _ in lines_of(context.presplit(), "train_likes"):
        liked.setdefault(user, []).append(item)
    tested = context.splits["test"]
    pasts, items = [liked[s.user_id] for s in tested], [s.item_id for s in tested]
    found = past_scores(plain.trained, [[*past, past[0], "nobody's"] for past in pasts], items)
    known = plain.trained.model.predict(data.inter_feat)
    np.testing.assert_allclose(found, torch.as_tensor(known).numpy(), rtol=1e-5, atol=1e-6)
    asked.fit(1)
    scored = asked.score(asked.rows[0])
    assert scored.n_users_unseen is None and not scored.is_probability
    assert scored.scores.tolist() == past_scores(plain.trained, context.pasts(), items).tolist()
    assert asked.unlearn().seconds > 0


def test_pasts_are_whole_and_those_of_the_prompt_for_new_users(opened):
    longest = max(map(len, opened().pasts()))
    assert longest > 4  # more than the prompt's four lines could show
    paper = opened(**PAPER)
    assert paper.pasts() == [[e.item_id for e in s.history if e.label] for s in paper.splits["test"]]


def test_a_past_is_scored_in_ranked_lists(opened):
    context = opened(**{"eval_args.mode": "uni4", "topk": [2]})
    (method,) = make_methods(context, ["ItemKNN+history"])
    method.fit(1)
    scores = method.score("ItemKNN+history").scores
    lists = context.ranking
    assert scores.shape == (len(lists.rows) * lists.n_candidates,)
    try:
        context.ranking = replace(lists, rows=lists.rows[::-1], items=[items[::-1] for items in lists.items[::-1]])
        assert method.score("ItemKNN+history").scores[::-1].tolist() == scores.tolist()
    finally:
        context.ranking = lists


def test_users_are_not_items(opened):
    says = "which needs RecBole 1.2.1" if release.is_first_release() else "expected 'item'"
    (method,) = make_methods(opened(), ["ItemKNN+history"], {"ItemKNN": {"knn_method": "user"}})
    with pytest.raises(SettingsError, match=f"knn_method: found 'user', {says}"):
        method.fit(1)
        method.score("ItemKNN+history")


def test_only_models_of_item_similarities_are_asked_about_a_past():
    check_names(["EASE+history", "ItemKNN+history"], ["EASE+history"])
    with pytest.raises(SettingsError, match=r"found BPR\+history, expected one of ItemKNN\+history, EASE\+history"):
        check_names(["BPR+history"])
    with pytest.raises(SettingsError, match="DIEN reads lists of items drawn as not chosen"):
        check_names(["DIN", "DIEN"])  # its row failed with KeyError: 'neg_item_id_list', after APA's training
