import pytest
import torch
from torch import nn

from recbole_apa.adapters.lora import LoRA
from recbole_apa.adapters.training import AdapterCourse, rate_factor, should_stop, train_adapter
from recbole_apa.core.errors import TrainingError
from tests.helpers.engines import train_settings


def test_schedules_rise_and_fall():
    assert [rate_factor(s, 10, 2, "linear") for s in (0, 1, 2, 6)] == [0.5, 1.0, 1.0, 0.5]
    assert rate_factor(6, 10, 2, "cosine") == pytest.approx(0.5)
    assert rate_factor(9, 10, 2, "constant") == 1.0


def test_stopping_looks_back_over_patience_epochs():
    assert not should_stop([1.0, 0.9, 0.8], 2, 0.0)
    assert should_stop([1.0, 0.5, 0.6, 0.7], 2, 0.0)
    assert not should_stop([1.0, 0.5, 0.6, 0.4], 2, 0.0)
    assert should_stop([1.0, 0.99], 1, 0.1)
    assert not should_stop([1.0], 1, 0.0) and not should_stop([1.0, 2.0], None, 0.0)


def quadratic(**changes):
    p = nn.Parameter(torch.tensor([4.0]))
    loss = lambda batch: ((p - batch) ** 2).sum()  # noqa: E731
    course = AdapterCourse([p], 2, train_settings(**changes), 0)
    history = train_adapter(course, lambda e: [1.0, 1.0], loss, seed=0)
    return p, history


def test_training_finds_the_minimum_and_stops_when_told():
    p, history = quadratic(epochs=200, lr_schedule="constant")
    assert p.item() == pytest.approx(1.0, abs=0.05) and not history.stopped_early
    assert len(history.step_losses) == 400 and len(history.epoch_losses) == 200


def test_a_loss_that_is_not_finite_is_an_error():
    p = nn.Parameter(torch.tensor([1.0]))
    with pytest.raises(TrainingError, match="shard 3, step 0: the loss is nan"):
        train_adapter(
            AdapterCourse([p], 1, train_settings(), 3), lambda e: [0.0], lambda b: p.sum() * float("nan"), seed=0
        )


def test_dropout_depends_on_seed_shard_and_step_alone():
    def course(seed, shard):
        p = nn.Parameter(torch.ones(50))
        loss = lambda b: nn.functional.dropout(p, 0.5).sum()  # noqa: E731
        torch.rand(seed + shard)  # the state of the global generator must not matter
        return train_adapter(AdapterCourse([p], 2, train_settings(), shard), lambda e: [0, 0], loss, seed).step_losses

    assert course(1, 2) == course(1, 2)
    assert course(1, 2) != course(1, 3) and course(1, 2) != course(2, 2)


def test_loraplus_moves_b_faster_and_a_as_before():
    def moved(ratio):
        a, b = (nn.Parameter(torch.tensor([4.0])) for _ in range(2))
        settings = train_settings(loraplus_lr_ratio=ratio, lr_schedule="constant")
        course = AdapterCourse([a, b], 1, settings, 0, LoRA().parameter_groups)
        course.step_on((a * b).sum())
        return 4.0 - a.item(), 4.0 - b.item()

    plain, plus = moved(1.0), moved(8.0)
    assert plain[0] == plain[1] == plus[0] == pytest.approx(0.1)  # Adam's first step is the rate
    assert plus[1] == pytest.approx(0.8)
