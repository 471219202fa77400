"""LLMEraser's influence step against refitting: on logistic regressions, whose Gauss-Newton matrix is the Hessian."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from recbole_apa.unlearning.approximate.methods import LLMEraser
from recbole_apa.unlearning.approximate.newton import influence_step
from recbole_apa.unlearning.approximate.unlearner import ApproximateUnlearner, Part


class Logistic(ApproximateUnlearner):
    """A student with logits (0, x w); a prompt is its x."""

    def __init__(self, w, **parts):
        self.w = nn.Parameter(torch.from_numpy(w).clone(), requires_grad=False)
        self.parts, self.seed = parts, 0
        self.engine = SimpleNamespace(bank=SimpleNamespace(parameters=lambda: [self.w]))

    def margin(self, part, row):
        return torch.from_numpy(self.parts[part].prompts[row]) @ self.w


def part(rows, x, y):
    return Part([f"s{i}" for i in rows], [x[i] for i in rows], np.array([y[i] for i in rows]))


def fitted(x, y):
    """The logistic regression without penalty, by Newton's method."""
    w = np.zeros(x.shape[1])
    for _ in range(30):
        p = 1 / (1 + np.exp(-x @ w))
        w -= np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x, x.T @ (p - y))
    return w


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(900, 4))
    y = (rng.uniform(size=900) < 1 / (1 + np.exp(-x @ [1.0, -2.0, 0.5, 0.0]))).astype(int)
    return x, y


def moved(method, w, **parts):
    student = Logistic(w, **parts)
    assert method.move(student).step_losses == []
    return student.w.detach().numpy() - w


@pytest.mark.parametrize("gone", [[7], [3, 500, 881]])
def test_what_is_forgotten_goes_as_far_as_refitting(gone, data):
    """The step used to be damped until it was a few hundredths of this."""
    x, y = data
    w, left = fitted(x, y), [i for i in range(len(x)) if i not in gone]
    step = moved(LLMEraser(damping=1e-6, most_retained=900), w, forget=part(gone, x, y), retain=part(left, x, y))
    exact = fitted(x[left], y[left]) - w
    assert np.linalg.norm(step - exact) < 0.02 * np.linalg.norm(exact)


def test_a_sample_that_is_rewritten_is_replaced_not_only_removed(data):
    x, y = data
    w, after = fitted(x, y), x.copy()
    after[5] = x[5] + [0.5, 0.0, -0.5, 0.2]
    step = moved(LLMEraser(1e-6, 900), w, forget=part([5], x, y), retain=part(range(900), after, y))
    exact = fitted(after, y) - w
    assert np.linalg.norm(step - exact) < 0.02 * np.linalg.norm(exact)


def test_some_of_the_retained_samples_estimate_the_curvature_of_all(data):
    x, y = data
    w, gone = fitted(x, y), [7, 8]
    parts = {"forget": part(gone, x, y), "retain": part([i for i in range(900) if i not in gone], x, y)}
    whole, some = (moved(LLMEraser(1e-6, n), w, **parts) for n in (900, 300))
    assert 0 < np.linalg.norm(some - whole) < 0.3 * np.linalg.norm(whole)


def test_nothing_to_forget_is_no_step(data):
    x, y = data
    step = moved(LLMEraser(), fitted(x, y), forget=part([], x, y), retain=part(range(20), x, y))
    assert not step.any()


def test_the_solution_among_the_samples_is_that_among_the_parameters():
    """The inverse, not twice it, which is the released code's fixed point; whatever the numbers of both."""
    g = torch.Generator().manual_seed(0)
    for n, p in ((3, 7), (8, 2)):
        rows, c, t = torch.randn(n, p, generator=g), torch.rand(n, generator=g), torch.randn(n, generator=g)
        c[0] = 0.0
        wide = rows.double()
        h = wide.T @ (c.double()[:, None] * wide) + 0.01 * torch.eye(p, dtype=torch.float64)
        expected = torch.linalg.solve(h, wide.T @ t.double())
        torch.testing.assert_close(influence_step(rows, c, t, 0.01), expected)


def test_more_damping_is_a_shorter_step(data):
    x, y = data
    w = fitted(x, y)
    parts = {"forget": part([7], x, y), "retain": part(range(8, 900), x, y)}
    lengths = [np.linalg.norm(moved(LLMEraser(damping), w, **parts)) for damping in (1e-6, 0.1, 1.0)]
    assert lengths[0] > lengths[1] > lengths[2] > 0
    # with much damping it is a step along the gradient
    pull = x[7] * (1 / (1 + np.exp(-x[7] @ w)) - y[7]) / 893
    np.testing.assert_allclose(moved(LLMEraser(1e5), w, **parts), pull / 1e5, rtol=1e-3)
