"""RecBole's metrics after a request that loads no model."""

from types import SimpleNamespace

import numpy as np
import pytest

from recbole_apa.collaborative import ALONE, MODEL
from recbole_apa.data.samples import Sample
from recbole_apa.evaluation.recbole_labelled import labelled_metrics
from recbole_apa.unlearning.rule_figures import _with_served

BEFORE = {"recbole.valid.auc": 0.1, "recbole.test.mae": 0.2, "recbole.test.auc": 0.3, "test.n_samples": 4.0}
LABELS, SCORES = [0, 1, 1, 0], [0.1, 0.7, 0.2 + 2e-9, 0.2]
SURVEY = SimpleNamespace(samples=lambda split: [Sample(f"s{n}", "u", "i", y, ()) for n, y in enumerate(LABELS)])


def statistics(served, test_scores):
    def of(split):
        return {f"s{n}": score for n, score in enumerate(test_scores)} if split == "test" else {}

    return SimpleNamespace(fitted=SimpleNamespace(served=served), served=of)


@pytest.mark.parametrize("served", [MODEL, ALONE])
def test_they_are_of_what_is_served_now(served):
    """Scores of the model are of its own type: two that differ by less are the same."""
    found = _with_served(BEFORE, statistics(served, SCORES), SURVEY, 16)
    kind = np.float32 if served == MODEL else np.float64
    expected = labelled_metrics(["auc", "mae"], np.array(LABELS), np.array(SCORES, dtype=kind), 16)
    assert found == {**BEFORE, **{f"recbole.test.{name}": value for name, value in expected.items()}}
    assert found["recbole.test.auc"] == (0.875 if served == MODEL else 1.0)


def test_where_nothing_is_fitted_they_stay():
    assert _with_served(BEFORE, statistics(MODEL, []), SURVEY, 4) == BEFORE


def test_what_has_become_undefined_is_left_out():
    found = _with_served(BEFORE, statistics(ALONE, [np.nan] * 4), SURVEY, 4)
    assert "recbole.test.mae" not in found and found.keys() <= BEFORE.keys()
