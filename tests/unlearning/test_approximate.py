"""Objectives of approximate unlearning against what must hold of them."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from recbole_apa.adapters.training import AdapterCourse
from recbole_apa.unlearning.approximate import APPROXIMATE_METHODS, LossMethod
from recbole_apa.unlearning.approximate.influence import (
    influence_weights,
    median,
    sample_gradients,
    scores_of_influence,
)
from recbole_apa.unlearning.approximate.loop import BatchedSides, DrawnSides, Side, paired_batches, unlearn_adapter
from recbole_apa.unlearning.approximate.losses import Answers, nll
from recbole_apa.unlearning.approximate.methods import (
    NPO,
    BadTeacher,
    BadTeacherFlip,
    E2URec,
    GradAscent,
    GradDiff,
    RapidUn,
)
from recbole_apa.unlearning.approximate.methods.e2urec import forgetting_logits
from tests.helpers.engines import train_settings


def logits(n, seed, grad=False):
    z = torch.randn(n, 2, generator=torch.Generator().manual_seed(seed))
    return z.requires_grad_() if grad else z


def answers(z, labels=None, **teachers):
    n = len(z)
    labels = torch.arange(n) % 2 if labels is None else torch.tensor(labels)
    return Answers(lambda: z, labels, teachers, torch.arange(n) // 2 % 2, torch.ones(n))


def gradient(objective, forget, retain, epoch=0):
    return torch.autograd.grad(objective(forget, retain, epoch), forget.z)[0]


@pytest.mark.parametrize("beta", [0.05, 0.1, 1.0, 4.0])
def test_npo_at_its_reference_is_gradient_ascent(beta):
    z = logits(6, 0, grad=True)
    forget, retain = answers(z, original=z.detach()), answers(logits(6, 1))
    objective = NPO(beta, retain_weight=0.0)
    assert objective(forget, retain, 0).item() == pytest.approx(2 / beta * math.log(2), rel=1e-5)
    torch.testing.assert_close(gradient(objective, forget, retain), gradient(GradAscent(), forget, retain))


@given(st.integers(0, 50), st.floats(0.02, 5.0))
def test_npo_is_never_negative_and_its_gradient_fades_where_it_has_forgotten(seed, beta):
    z = logits(5, seed, grad=True)
    forget, retain = answers(z, original=logits(5, seed + 100)), answers(logits(5, 1))
    assert NPO(beta, retain_weight=0.0)(forget, retain, 0) >= 0
    ratio = torch.exp(F.cross_entropy(forget.teachers["original"], forget.labels, reduction="none") - nll(forget))
    weight = (2 * ratio**beta / (1 + ratio**beta))[:, None]
    torch.testing.assert_close(
        gradient(NPO(beta, retain_weight=0.0), forget, retain), weight * gradient(GradAscent(), forget, retain)
    )


def test_npo_with_a_small_beta_is_gradient_ascent_everywhere():
    z = logits(6, 3, grad=True)
    forget, retain = answers(z, original=logits(6, 4)), answers(logits(6, 1))
    small = gradient(NPO(1e-4, retain_weight=0.0), forget, retain)
    torch.testing.assert_close(small, gradient(GradAscent(), forget, retain), atol=1e-4, rtol=1e-3)


def test_one_step_of_gradient_ascent_raises_the_loss_and_without_a_forget_term_only_retained_samples_count():
    z = logits(6, 0, grad=True)
    forget, retain = answers(z), answers(logits(6, 1))
    moved = answers((z - 0.1 * gradient(GradAscent(), forget, retain)).detach())
    assert nll(moved).mean() > nll(forget).mean()
    assert GradDiff(forget_weight=0.0)(forget, retain, 0) == nll(retain).mean()


def test_equal_weights_make_rapidun_grad_diff_with_each_sides_share_of_the_batch():
    forget, retain = answers(logits(2, 0)), answers(logits(6, 1))
    torch.testing.assert_close(RapidUn()(forget, retain, 0), GradDiff(2 / 8, 6 / 8)(forget, retain, 0))
    nothing = replace(answers(logits(0, 0)), logits=lambda: pytest.fail("an empty side was passed through the model"))
    torch.testing.assert_close(RapidUn()(nothing, retain, 0), nll(retain).mean())
    torch.testing.assert_close(RapidUn()(forget, nothing, 0), -nll(forget).mean())


def test_the_uniform_teacher_is_met_by_half_and_half():
    retain_z = logits(4, 1)
    retain = answers(retain_z, original=retain_z)
    forget = answers(torch.zeros(4, 2, requires_grad=True), original=logits(4, 0))
    assert gradient(BadTeacher(), forget, retain).abs().max() == 0
    loss = BadTeacher()(forget, retain, 0)
    entropy = -(torch.softmax(retain_z, 1) * torch.log_softmax(retain_z, 1)).sum(1)
    assert loss.item() == pytest.approx((4 * math.log(2) + entropy.sum().item()) / 8, rel=1e-5)


def test_other_teachers_say_what_they_are_named_for():
    forget = answers(logits(8, 0), base=logits(8, 2), original=logits(8, 3))
    torch.testing.assert_close(BadTeacher("base").target(forget), torch.softmax(forget.teachers["base"], 1))
    assert BadTeacher("random_label").target(forget).argmax(1).tolist() == forget.coins.tolist()


def test_flipped_labels_by_hand():
    """E2URec's: the retained samples' own loss, and the other label's on the forgotten ones, weighted; no teacher."""
    forget = answers(torch.tensor([[0.0, math.log(3)], [0.0, 0.0]]), [1, 0])  # p(like) = 3/4, 1/2
    retain = answers(torch.tensor([[math.log(4), 0.0]]), [0])  # p(dislike) = 4/5
    flipped = -(math.log(1 / 4) + math.log(1 / 2)) / 2
    assert BadTeacherFlip()(forget, retain, 0).item() == pytest.approx(-math.log(4 / 5) + 0.2 * flipped, rel=1e-6)
    assert BadTeacherFlip(weight=0.0)(forget, retain, 0) == nll(retain).mean()
    assert APPROXIMATE_METHODS["BadT-flip"] is BadTeacherFlip and not BadTeacherFlip.teachers


def test_without_alpha_or_without_further_training_the_forgetting_teacher_is_the_original():
    original, augmented = logits(6, 0), logits(6, 1)
    assert torch.equal(forgetting_logits(original, augmented, 0.0), original)
    assert torch.equal(forgetting_logits(original, original, 2.0), original)
    assert (forgetting_logits(original, augmented, 2.0) <= original).all()
    z = original.clone().requires_grad_()
    forget = answers(z, original=original, augmented=augmented)
    assert gradient(E2URec(alpha=0.0), forget, answers(logits(6, 2), original=logits(6, 2))).abs().max() < 1e-7


def test_e2urec_by_hand():
    forget = answers(
        torch.tensor([[0.0, 1.0]]), [1], original=torch.tensor([[0.0, 2.0]]), augmented=torch.tensor([[-1.0, 3.0]])
    )
    retain = answers(torch.tensor([[1.0, 0.0]]), [0], original=torch.tensor([[2.0, 0.0]]))
    target = F.softmax(torch.tensor([[0.0, 0.0]]), 1)  # 2 - 2 * relu(3 - 2) = 0; the other logit fell and stays
    forgetting = -(target * F.log_softmax(forget.z, 1)).sum()
    kept = -(F.softmax(torch.tensor([[2.0, 0.0]]), 1) * F.log_softmax(retain.z, 1)).sum()
    label = -F.log_softmax(retain.z, 1)[0, 0]
    torch.testing.assert_close(E2URec()(forget, retain, 0), forgetting)
    torch.testing.assert_close(E2URec()(forget, retain, 1), 0.6 * (kept + label) + 0.4 * forgetting)


def side(parameter, x, labels, **teachers):
    """Logits (0, x w) of a logistic student."""
    n = len(x)
    return Side(
        [f"s{i}" for i in range(n)],
        torch.tensor(labels),
        lambda rows: torch.stack([torch.zeros(len(rows)), x[list(rows)] @ parameter], 1),
        teachers,
        torch.arange(n) % 2,
        torch.ones(n),
    )


@pytest.mark.parametrize("name", sorted(n for n, c in APPROXIMATE_METHODS.items() if issubclass(c, LossMethod)))
def test_every_objective_makes_the_student_less_sure_of_what_it_forgets(name):
    g = torch.Generator().manual_seed(0)
    x = torch.randn(60, 12, generator=g)
    labels = (x[:, 0] + 0.8 * torch.randn(60, generator=g) > 0).long()
    w = nn.Parameter(torch.linalg.lstsq(x, 6 * labels.float() - 3).solution)
    original = w.detach().clone()
    teachers = {
        "original": torch.stack([torch.zeros(60), x @ original], 1),
        "base": torch.zeros(60, 2),
        "augmented": torch.stack([torch.zeros(60), x @ original], 1) * 2,
    }
    parts = [
        side(w, x[rows], labels[rows].tolist(), **{k: z[rows] for k, z in teachers.items()})
        for rows in (slice(0, 20), slice(20, 60))
    ]

    def sure():
        return torch.exp(-nll(parts[0].answers(range(20)))).mean().item()

    before = sure()
    course = AdapterCourse([w], 5, train_settings(epochs=20, learning_rate=0.01), 0)
    unlearn_adapter(
        course, BatchedSides(*parts, 4, seed=0), APPROXIMATE_METHODS[name](), lambda: sure() < before - 0.03
    )
    assert sure() < before - 0.005


@given(st.integers(1, 12), st.integers(0, 9), st.integers(1, 7), st.integers(0, 5))
def test_draws_are_as_many_as_both_sides_and_leave_out_what_counts_nothing(n_forget, n_counted, size, seed):
    w = nn.Parameter(torch.ones(1))
    forget, retain = (side(w, torch.ones(n, 1), [0] * n) for n in (n_forget, n_counted + 2))
    retain = replace(retain, weights=torch.tensor([0.0] + [1.5] * n_counted + [0.0]))
    sides = DrawnSides(forget, retain, size, seed, retain_per_forget=3)
    batches = list(sides.batches(0))
    assert len(batches) == sides.n_batches and {len(a) + len(b) for a, b in batches[:-1]} <= {size}
    assert sum(len(a) + len(b) for a, b in batches) == n_forget + n_counted
    assert {i for _, others in batches for i in others} <= set(range(1, 1 + n_counted))
    assert batches == list(sides.batches(0))


def test_retained_samples_are_drawn_three_times_as_often_and_with_replacement():
    w = nn.Parameter(torch.ones(1))
    forget, retain = (side(w, torch.ones(n, 1), [0] * n) for n in (2000, 400))
    sides = DrawnSides(forget, retain, 8, 1, retain_per_forget=3)
    epochs = [list(sides.batches(epoch)) for epoch in range(20)]
    own, others = ([[i for batch in epoch for i in batch[k]] for epoch in epochs] for k in (0, 1))
    assert sum(map(len, others)) / sum(map(len, own)) == pytest.approx(3, rel=0.05)
    assert len(set(own[0])) < len(own[0]) and len(set(others[0])) > 380  # about 1800 draws of 400
    assert epochs[0] != epochs[1]


def test_it_ends_once_enough_is_forgotten():
    w = nn.Parameter(torch.ones(2))
    x = torch.randn(8, 2, generator=torch.Generator().manual_seed(0))
    asked = []
    course = AdapterCourse([w], 2, train_settings(epochs=9), 0)
    parts = [side(w, x, [0, 1] * 4), side(w, x, [0, 1] * 4)]
    sides = BatchedSides(*parts, batch_size=4, seed=0)
    history = unlearn_adapter(course, sides, GradDiff(), lambda: asked.append(1) or len(asked) == 2)
    assert len(history.step_losses) == 4 and len(asked) == 2


def test_batches_hold_every_forgotten_sample_once_and_do_not_move_when_others_leave():
    w = nn.Parameter(torch.ones(1))
    forget, retain = side(w, torch.ones(10, 1), [0, 1] * 5), side(w, torch.ones(4, 1), [0, 1] * 2)
    rows = list(paired_batches(forget, retain, 4, 1, 0))
    assert sorted(i for own, _ in rows for i in own) == list(range(10))
    assert [len(others) for _, others in rows] == [4, 4, 2]
    assert {i for _, others in rows for i in others} == set(range(4))
    assert list(paired_batches(forget, retain, 4, 1, 1)) != rows


def test_influence_by_hand():
    forget, retain = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[1.0, 1.0], [1.0, 0.0]])
    of_forget, of_retain = scores_of_influence(forget, retain, top_k=2)
    # of the forgotten on themselves: [[1, 0], [0, 4]]; on the retained: [[1, 1], [2, 0]]; medians of two are means
    assert of_forget.tolist() == [0.5 - 1.0, 2.0 - 1.0]
    # of the retained on themselves: [[2, 1], [1, 1]]; on the forgotten: [[1, 2], [1, 0]]
    assert of_retain.tolist() == [1.5 - 1.5, 1.0 - 0.5]
    # only the strongest on each: [[1, 0], [0, 4]], [[0, 1], [2, 0]]; [[2, 1], [0, 0]] or a tie, [[1, 2], [0, 0]] or one
    strongest, _ = scores_of_influence(forget, retain, top_k=1)
    assert strongest.tolist() == [0.5 - 0.5, 2.0 - 1.0]


@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=9))
def test_medians_and_weights_are_those_of_numpy(values):
    """As in the released code, also where their number is even."""
    x = np.array(values)
    assert median(torch.tensor(values, dtype=torch.float64)).item() == pytest.approx(np.median(x), abs=1e-9)
    gaps = x - np.median(x)
    z = gaps / max(1.4826 * np.median(np.abs(gaps)), 1e-3)
    expected = np.exp(np.clip(z / 0.7, np.log(0.2), np.log(3.0)))
    found = influence_weights(torch.tensor(values, dtype=torch.float64), 0.7)
    np.testing.assert_allclose(found, expected / expected.mean(), rtol=1e-6)


def test_weights_of_an_even_number_by_hand():
    # median 2, gaps -2, -1, 1, 2, their median 1.5
    weights = [max(0.2, min(3.0, math.exp(gap / (1.4826 * 1.5) / 1.2))) for gap in (-2, -1, 1, 2)]
    found = influence_weights(torch.tensor([0.0, 1.0, 3.0, 4.0]), 1.2)
    np.testing.assert_allclose(found, np.array(weights) / np.mean(weights), rtol=1e-6)


def test_influence_weights_have_mean_one_rise_with_the_score_and_bear_an_outlier():
    assert influence_weights(torch.full((5,), 3.0), 0.7).tolist() == [1.0] * 5
    scores = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])
    weights = influence_weights(scores, 0.7)
    assert weights.mean().item() == pytest.approx(1.0) and (weights.diff() >= 0).all()
    with_outlier = influence_weights(torch.tensor([1.0, 2.0, 3.0, 4.0, 5e9]), 0.7)
    torch.testing.assert_close(with_outlier[:4], weights[:4], rtol=0.2, atol=0.05)


def test_a_sample_influences_itself_by_its_squared_gradient():
    w = nn.Parameter(torch.tensor([0.3, -0.2]))
    x = torch.randn(4, 2, generator=torch.Generator().manual_seed(0))
    rows = sample_gradients(lambda i: F.softplus(-(x[i] @ w)), 4, [w])
    expected = torch.stack([-torch.sigmoid(-(x[i] @ w)).detach() * x[i] for i in range(4)])
    torch.testing.assert_close(rows, expected)
    assert ((rows @ rows.T).diagonal() > 0).all()


@pytest.mark.parametrize(
    ("objective", "epoch", "looks"),
    [
        (GradAscent(), 0, False),
        (GradDiff(), 0, True),
        (GradDiff(-1.0, 0.0), 0, False),
        (E2URec(), 0, False),
        (E2URec(), 1, True),
        (NPO(), 0, True),
        (BadTeacher(), 0, True),
        (BadTeacherFlip(), 0, True),
    ],
)
def test_retained_samples_are_passed_through_the_model_only_where_they_count(objective, epoch, looks):
    known = {name: logits(4, 2) for name in ("original", "base", "augmented")}
    retain, seen = answers(logits(4, 1), **known), []
    watched = replace(retain, logits=lambda: seen.append(1) or retain.z)
    objective(answers(logits(4, 0), **known), watched, epoch)
    assert bool(seen) == looks
