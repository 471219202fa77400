"""RecBole's metrics of labelled rows without RecBole are RecBole's own, in every bit."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from recbole.evaluator.collector import DataStruct

from recbole_apa.evaluation.recbole_labelled import METRICS, labelled_metrics
from recbole_apa.model.recbole_evaluator import PatientEvaluator


def by_recbole(labels, scores, n_decimals):
    config = {"metrics": [name.upper() for name in METRICS], "metric_decimal_place": n_decimals, "topk": [1]}
    given = DataStruct()
    given.update_tensor("rec.score", torch.from_numpy(scores))
    given.update_tensor("data.label", torch.from_numpy(labels).float())
    found = PatientEvaluator(config).evaluate(given)
    return {name: float(value) for name, value in found.items() if np.isfinite(value)}


@given(st.data())
def test_each_metric_is_recboles_own(data):
    n = data.draw(st.integers(2, 40))
    labels = np.array(data.draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)))
    values = st.floats(0, 1) if data.draw(st.booleans()) else st.sampled_from([0.0, 0.25, 0.5, 1.0])
    kind = data.draw(st.sampled_from([np.float32, np.float64]))
    scores = np.array(data.draw(st.lists(values, min_size=n, max_size=n))).astype(kind)
    n_decimals = data.draw(st.sampled_from([4, 16]))
    assert labelled_metrics(METRICS, labels, scores, n_decimals) == by_recbole(labels, scores, n_decimals)


def test_what_is_undefined_is_left_out():
    labels, scores = np.ones(3, dtype=int), np.array([0.2, 0.9, 0.4])
    assert set(labelled_metrics(METRICS, labels, scores, 4)) == set(METRICS) - {"auc"}
    assert labelled_metrics(METRICS, labels, np.array([np.nan, 0.1, 0.2]), 4) == {}
    assert labelled_metrics(["mae"], np.array([0, 1]), np.array([0.5, 0.0]), 4) == {"mae": 0.75}


@pytest.mark.parametrize("n", [1, 2])
def test_few_rows(n):
    labels, scores = np.arange(n), np.linspace(0.1, 0.7, n)
    assert labelled_metrics(METRICS, labels, scores, 4).keys() == by_recbole(labels, scores, 4).keys()
