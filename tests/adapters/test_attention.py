import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_apa.adapters.aggregation import (
    Memory,
    adaptive_weights,
    choose_weights,
    cosine,
    major_weights,
    neighbor_errors,
)
from recbole_apa.adapters.weight_rules import WeightRule

ALL = torch.tensor([True, True])


def memory():
    """Two clusters: adapter 0 is right on the first, adapter 1 on the second."""
    embeddings = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]])
    scores = torch.tensor([[0.9, 0.5], [0.1, 0.5], [0.5, 0.9], [0.5, 0.1]])
    return Memory(embeddings, scores, torch.tensor([1.0, 0.0, 1.0, 0.0]), torch.arange(4))


def rule(name="sample_adaptive", tau=10.0, active=ALL):
    return WeightRule(name, memory(), torch.eye(2), active, tau=tau, n_neighbors=2)


def test_known_errors_and_weights():
    h = torch.tensor([[2.0, 0.1]])
    error = neighbor_errors(cosine(h, memory().embeddings), memory().errors, 2)
    torch.testing.assert_close(error, torch.tensor([[0.1, 0.5]]))
    expected = 1 / (1 + math.exp(-10 * 0.4))
    torch.testing.assert_close(rule()(h), torch.tensor([[expected, 1 - expected]]))


def test_tau_zero_is_the_average_and_large_tau_is_major():
    h = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    torch.testing.assert_close(rule(tau=0.0)(h), torch.full((2, 2), 0.5))
    torch.testing.assert_close(rule("average")(h), torch.full((2, 2), 0.5))
    torch.testing.assert_close(rule(tau=1e6)(h), torch.eye(2))
    assert torch.equal(rule("major")(h), torch.eye(2))
    assert torch.equal(rule("major", tau=0.0)(h), torch.eye(2))


def test_semantic_follows_the_centres():
    w = rule("semantic")(torch.tensor([[1.0, 0.0]]))
    torch.testing.assert_close(w, torch.softmax(torch.tensor([[1.0, 0.0]]), 1))


@pytest.mark.parametrize("name", ["sample_adaptive", "average", "major", "semantic"])
def test_an_empty_shard_never_votes(name):
    w = rule(name, active=torch.tensor([False, True]))(torch.tensor([[1.0, 0.0]]))
    assert w.tolist() == [[0.0, 1.0]]


def test_no_shard_at_all_is_refused():
    with pytest.raises(ValueError, match="at least one trained adapter"):
        adaptive_weights(torch.zeros(1, 2), 1.0, torch.tensor([False, False]))


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=5), st.floats(0, 1000))
def test_weights_sum_to_one_and_fall_with_the_error(errors, tau):
    error = torch.tensor([errors])
    w = adaptive_weights(error, tau, torch.ones(len(errors), dtype=torch.bool))
    assert torch.isclose(w.sum(), torch.tensor(1.0), atol=1e-5)
    order = error[0].argsort(stable=True)
    assert bool((w[0][order].diff() <= 1e-6).all())


def test_ties_go_to_the_first():
    assert major_weights(torch.tensor([[0.5, 0.5]])).tolist() == [[1.0, 0.0]]
    same = torch.ones(1, 3)
    errors = torch.tensor([[0.1], [0.2], [0.9]])
    torch.testing.assert_close(neighbor_errors(same, errors, 2), torch.tensor([[0.15]]))


def test_memory_rows_are_left_out_of_their_own_neighbours():
    alone = Memory(torch.eye(2), torch.tensor([[0.9, 0.1], [0.9, 0.1]]), torch.tensor([1.0, 0.0]), torch.arange(2))
    r = WeightRule("major", alone, torch.eye(2), ALL, tau=1.0, n_neighbors=1)
    # row 0's only neighbour is row 1, where adapter 1 is right
    assert r.of_memory().tolist() == [[0.0, 1.0], [1.0, 0.0]]
    assert r(torch.eye(2)).tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_rows_of_the_same_user_are_left_out_too():
    # user 0's rows are near-copies on which adapter 0 is right; on other users' rows adapter 1 is
    h = torch.tensor([[1.0, 0.0], [1.0, 0.01], [0.9, 0.5], [0.5, 0.9]])
    scores = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.1, 0.9]])
    mixed = Memory(h, scores, torch.ones(4), torch.tensor([0, 0, 1, 2]))
    r = WeightRule("major", mixed, torch.eye(2), ALL, tau=1.0, n_neighbors=1)
    assert r.of_memory()[:2].tolist() == [[0.0, 1.0], [0.0, 1.0]]
    # asked for more neighbours than other users have, it takes those that there are
    wide = WeightRule("major", mixed, torch.eye(2), ALL, tau=1.0, n_neighbors=4)
    assert wide.of_memory()[:2].tolist() == [[0.0, 1.0], [0.0, 1.0]]


def test_a_memory_of_one_user_leaves_out_the_row_alone():
    m = memory()
    one = Memory(m.embeddings, m.scores, m.labels, torch.zeros(4, dtype=torch.int64))
    assert torch.equal(one.similarity_to_others(), m.similarity_to_others())
    single = Memory(torch.ones(1, 2), torch.tensor([[0.9, 0.2]]), torch.ones(1), torch.zeros(1, dtype=torch.int64))
    r = WeightRule("sample_adaptive", single, torch.eye(2), ALL, tau=10.0, n_neighbors=1)
    assert r.of_memory().tolist() == [[0.5, 0.5]]


def test_choice_prefers_what_the_clusters_call_for():
    # each row's neighbour is in its own cluster, so sharp weights find the right adapter
    best = choose_weights(memory(), ALL, (0.0, 1.0, 100.0), (1,))[0]
    assert best.tau == 100.0
    assert best.log_loss == pytest.approx(-math.log(0.9), abs=1e-4)


def test_choice_of_equals_is_the_smallest():
    flat = Memory(torch.eye(3), torch.full((3, 2), 0.5), torch.tensor([1.0, 0.0, 1.0]), torch.arange(3))
    best = choose_weights(flat, ALL, (0.0, 10.0), (1, 2))[0]
    assert (best.tau, best.n_neighbors) == (0.0, 1)
