"""Runs that rank candidates or the whole catalogue."""

import pytest
import torch

from recbole_apa import run


@pytest.mark.quick(1)
@pytest.mark.parametrize("mode", ["uni5", "full"])
def test_ranking_metrics_run(mode, options, tmp_path):
    ranking = {
        "eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "TO", "group_by": "user", "mode": mode},
        "metrics": ["Recall", "NDCG", "MRR"],
        "topk": [3],
        "valid_metric": "NDCG@3",
        "epochs": 1,
    }
    result = run("APA", "board", config_dict={**options, **ranking}, run_dir=tmp_path / "run")
    assert 0 <= result.metrics["recbole.test.ndcg@3"] <= 1
    liked = result.data[2]._dataset.inter_feat
    assert set(liked["label"].tolist()) == {1.0} and len(liked) < len(result.data[2]._dataset.labelled)
    if mode == "full":
        scores = result.model.full_sort_predict(liked)
        scores[:, 0] = -1
        hits = (scores.topk(3).indices == liked["item_id"][:, None]).any(1).float().mean()
        assert result.metrics["recbole.test.recall@3"] == pytest.approx(hits.item(), abs=1e-4)


def test_full_sort_is_predict_for_every_item(finished):
    rows = finished.data[2]._dataset.labelled[[0, 1]]
    scores = finished.model.full_sort_predict(rows)
    assert scores.shape == (2, finished.model.n_items)
    targets = rows["item_id"]
    torch.testing.assert_close(scores[torch.arange(2), targets], finished.model.predict(rows))


def test_a_catalogue_is_scored_by_what_its_prompts_have_in_common(finished, monkeypatch):
    """A run that judges labelled rows ranks as cheaply as one that ranks."""
    lists, seen = finished.model.lists, []
    read = type(lists).read
    monkeypatch.setattr(type(lists), "read", lambda self, prompts: seen.append(len(prompts)) or read(self, prompts))
    finished.model.full_sort_predict(finished.data[2]._dataset.labelled[[0]])
    assert seen == [finished.model.n_items - 1]
