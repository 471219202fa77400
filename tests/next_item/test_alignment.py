"""AtSpeed's alignment objectives: values worked out by hand, slopes by differences."""

from math import log

import pytest
import torch

from recbole_apa.next_item.generation.alignment import (
    OBJECTIVES,
    sequence_loss,
    top_k_alignment,
    total_variation,
    word_divergence,
)

Q, P = (0.5, 0.3, 0.2), (0.2, 0.7, 0.1)


def logits(*chances: float) -> torch.Tensor:
    """Logits of one row, off by a constant as logits are."""
    return torch.tensor([chances], dtype=torch.float64).log() + 3.7


def test_top_k_alignment_by_hand():
    divergence = 0.5 * log(0.5 / 0.2) + 0.3 * log(0.3 / 0.7)
    spread = 0.5 * log(0.5) + 0.3 * log(0.3)
    # the teacher's second largest chance is .2; of the draft's second child it has .7
    found = top_k_alignment(logits(*Q), logits(*P), 2)
    assert found.shape == (1,) and float(found) == pytest.approx(divergence - 0.2 * spread)
    one = top_k_alignment(logits(*Q), logits(*P), 1)
    assert float(one) == pytest.approx(0.5 * log(0.5 / 0.2) - 0.7 * 0.5 * log(0.5))


def test_with_k_of_all_children_the_divergence_is_whole():
    divergence = sum(q * log(q / p) for q, p in zip(Q, P, strict=True))
    spread = sum(q * log(q) for q in Q)
    for k in (3, 50):
        found = float(top_k_alignment(logits(*Q), logits(*P), k))
        assert found == pytest.approx(divergence - 0.1 * spread)


def test_total_variation_and_word_divergence_by_hand():
    assert float(total_variation(logits(*Q), logits(*P))) == pytest.approx(0.4)
    assert float(total_variation(logits(0.999999, 1e-6), logits(1e-6, 0.999999))) == pytest.approx(1, abs=1e-5)
    forward = sum(p * log(p / q) for q, p in zip(Q, P, strict=True))
    assert float(word_divergence(logits(*Q), logits(*P))) == pytest.approx(forward)


def test_sequence_loss_is_the_mean_over_what_was_taken():
    taken = torch.tensor([[2.0, 0.0, 1.0]], dtype=torch.float64)
    assert float(sequence_loss(logits(*Q), taken)) == pytest.approx(-(2 * log(0.5) + log(0.2)) / 3)


def test_rows_do_not_mix():
    draft, teacher = torch.randn(5, 7, dtype=torch.float64), torch.randn(5, 7, dtype=torch.float64)
    taken = torch.randint(1, 4, (5, 7)).double()
    for objective in OBJECTIVES.values():
        whole = objective.loss(draft, teacher, taken, 3)
        for row in range(5):
            one = (part[row : row + 1] for part in (draft, teacher, taken))
            assert torch.allclose(objective.loss(*one, 3), whole[row : row + 1])


@pytest.mark.parametrize("name", OBJECTIVES)
def test_slopes_are_those_of_the_values(name):
    draft = torch.randn(4, 6, dtype=torch.float64, requires_grad=True)
    teacher, taken = torch.randn(4, 6, dtype=torch.float64), torch.randint(1, 4, (4, 6)).double()
    loss = OBJECTIVES[name].loss
    assert torch.autograd.gradcheck(lambda q: loss(q, teacher, taken, 3), (draft,))


@pytest.mark.parametrize("name", ["atspeed-r", "word-kd", "tvd"])
def test_nothing_is_below_the_teacher_itself(name):
    teacher, taken = torch.randn(3, 6, dtype=torch.float64), torch.ones(3, 6, dtype=torch.float64)
    loss = OBJECTIVES[name].loss
    assert torch.allclose(loss(teacher.clone(), teacher, taken, 2), torch.zeros(3, dtype=torch.float64), atol=1e-12)
    assert bool((loss(torch.randn(3, 6, dtype=torch.float64), teacher, taken, 2) > 0).all())


@pytest.mark.quick(1)
@pytest.mark.parametrize("name", OBJECTIVES)
def test_following_the_slopes_brings_the_teachers_best_into_the_drafts(name):
    """From a draft that has the teacher's order upside down."""
    teacher = torch.linspace(0, 5, 12, dtype=torch.float64)[None]
    draft, taken = (-teacher).clone().requires_grad_(), (torch.softmax(teacher, 1) * 1000).round()
    best = set(teacher[0].topk(4).indices.tolist())
    assert not best & set(draft[0].topk(4).indices.tolist())
    optimizer = torch.optim.Adam([draft], lr=0.05)
    for _ in range(600):
        optimizer.zero_grad()
        (0.7 * OBJECTIVES[name].loss(draft, teacher, taken, 4) + 0.3 * sequence_loss(draft, taken)).sum().backward()
        optimizer.step()
    assert best == set(draft[0].topk(4).indices.tolist())
