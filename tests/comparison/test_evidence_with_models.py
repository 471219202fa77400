"""Rows of evidence that has RecBole models among its terms (``evidence_models``)."""

import numpy as np
import pytest

from recbole_apa import run
from recbole_apa.collaborative import ALONE
from recbole_apa.comparison.methods import evidence
from recbole_apa.comparison.registry import make_methods
from recbole_apa.comparison.run_methods import _key

GIVEN = {"valid_samples": 8, "evidence": ["counts", "FM"]}


def trained_names(patch):
    """The models that are trained from now on, as they are."""
    names, train = [], evidence.train_model
    patch.setattr(evidence, "train_model", lambda *given: (names.append(given[1]), train(*given))[1])
    return names


@pytest.mark.slow
def test_a_row_has_the_scores_that_a_run_with_these_models_has(opened, options, tmp_path, monkeypatch):
    context, names = opened(**GIVEN), trained_names(monkeypatch)
    (method,) = make_methods(context, ["Evidence"])
    about = method.fit(context.config["seed"])
    assert about.n_parameters > 100 and method.score("Evidence").forward_passes == 1
    found = method.score("Evidence").scores
    made = run("APA", "board", config_dict={**options, **GIVEN, "epochs": 1, "baselines": []}, run_dir=tmp_path / "run")
    part = made.data.test_set
    assert [s.sample_id for s in part.samples] == [s.sample_id for s in context.splits["test"]]
    told = made.trainer.combined.scores_of(part, np.full(len(part.samples), 0.5))
    assert found == pytest.approx(told[ALONE], abs=1e-9)
    (plain,) = make_methods(opened(**{**GIVEN, "evidence": "counts"}), ["Evidence"])
    plain.fit(1)
    assert np.abs(plain.score("Evidence").scores - found).max() > 1e-4 and names == ["FM"]


def test_a_model_is_trained_once_for_all_rows_and_again_on_what_a_request_leaves(opened, monkeypatch):
    context, names = opened(**GIVEN), trained_names(monkeypatch)
    methods = make_methods(context, ["Evidence", "Evidence-shown", "Evidence-fixed"])
    before = {}
    seconds = {}
    for method in methods:
        seconds[method.rows[0]] = method.fit(1).seconds
        before[method.rows[0]] = method.score(method.rows[0]).scores
    assert names == ["FM"] and min(seconds.values()) >= context.models["FM", 1].seconds > 0
    methods[0].unlearn()
    assert names == ["FM", "FM"] and context.models["FM", 1].model is not methods[0]._made[0].models[0]
    assert methods[0].score("Evidence").scores.tolist() != before["Evidence"].tolist()


def test_stored_rows_are_of_the_models_that_were_asked_for(opened):
    named, bare = opened(**GIVEN), opened(**{**GIVEN, "evidence": "counts"})
    assert _key(named, "Evidence", {}) != _key(bare, "Evidence", {})
    assert _key(named, "FM", {}) == _key(bare, "FM", {})
