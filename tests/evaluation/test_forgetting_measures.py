import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_apa.evaluation.measures import (
    activation_distance,
    confidence,
    entropy_membership,
    half_jeffreys,
    js_divergence,
    local_residual,
    membership_auc,
    offline_rmia,
    own_label,
    rmia_auc,
)

SCORES = st.lists(st.floats(0, 1), min_size=1, max_size=8).map(np.array)


@given(SCORES)
def test_a_model_is_no_distance_from_itself(s):
    assert js_divergence(s, s) == half_jeffreys(s, s) == activation_distance(s, s) == 0


@given(SCORES, st.integers(0, 9))
def test_divergence_is_symmetric_and_bounded(s, seed):
    other = np.random.default_rng(seed).uniform(size=len(s))
    assert js_divergence(s, other) == pytest.approx(js_divergence(other, s))
    assert 0 <= js_divergence(s, other) <= math.log(2) + 1e-9
    assert half_jeffreys(s, other) >= js_divergence(s, other) - 1e-12


def test_known_answers():
    assert js_divergence(np.array([0.0]), np.array([1.0])) == pytest.approx(math.log(2), abs=1e-5)
    assert activation_distance(np.array([0.2]), np.array([0.5])) == pytest.approx(0.3 * math.sqrt(2))
    assert confidence(np.array([0.9, 0.2]), np.array([1, 0])) == pytest.approx(0.85)
    original, retrained = np.array([0.9, 0.1]), np.array([0.5, 0.5])
    assert local_residual(retrained, retrained, original) == 0
    assert local_residual(original, retrained, original) == 1
    assert local_residual(np.array([1.0, 0.0]), retrained, original) > 1
    assert local_residual(original, original, original) is None


def test_membership_shows_where_forgotten_samples_are_better_known():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 300)
    unsure = rng.uniform(0.3, 0.7, 300)
    sure = np.where(labels == 1, 0.9, 0.1)
    assert membership_auc(sure, labels, unsure, labels) == 1.0
    assert membership_auc(unsure, labels, unsure, labels) == pytest.approx(0.5)
    assert entropy_membership(sure, sure, unsure) == 1.0
    assert entropy_membership(unsure, sure, unsure) < 0.1


def test_rmia_is_high_for_samples_that_only_the_attacked_model_knows():
    rng = np.random.default_rng(0)
    out, z_out = rng.uniform(0.3, 0.5, (4, 20)), rng.uniform(0.3, 0.5, (4, 50))
    known, unknown = np.full(20, 0.99), out.mean(0)
    population = z_out.mean(0)
    assert offline_rmia(known, out, population, z_out).mean() > 0.9
    assert offline_rmia(unknown, out, population, z_out).mean() < 0.1
    # a factor on every out-model's probability cancels
    same = offline_rmia(known, out * 0.5, population, z_out * 0.5)
    assert np.array_equal(same, offline_rmia(known, out, population, z_out))


def test_rmia_tells_apart_what_the_attacked_model_alone_is_surer_of():
    rng = np.random.default_rng(0)
    outs, held_outs = rng.uniform(0.1, 0.6, (2, 20)), rng.uniform(0.1, 0.6, (2, 60))
    held = held_outs.mean(0) * rng.uniform(0.9, 1.1, 60)
    assert rmia_auc(outs.mean(0) * 1.5, held, outs, held_outs) > 0.95
    # a model that learnt nothing of them: as sure as the out-models, give or take what it is for any other sample
    unknown = outs.mean(0) * rng.uniform(0.9, 1.1, 20)
    assert 0.3 < rmia_auc(unknown, held, outs, held_outs) < 0.7
    # by loss alone the samples that every model finds hard would hide the members among them
    assert membership_auc(outs.mean(0) * 1.5, np.ones(20), held, np.ones(60)) < 0.9


def test_a_model_that_went_to_extremes_is_still_measured():
    gone, labels = np.zeros(6), np.ones(6)
    p = own_label(gone, labels)
    assert rmia_auc(p, p, np.full((1, 6), 0.5), np.full((1, 6), 0.5)) == 0.5
