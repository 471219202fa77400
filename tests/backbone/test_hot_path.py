"""How often a step or a prediction waits for the device or copies to it; counted on the CPU."""

import pytest
import torch
from torch import nn

from benchmarks.hot_path import COPIED, READ_BACK, Crossings
from recbole_apa.adapters.training import AdapterCourse, train_together
from recbole_apa.core.errors import TrainingError
from tests.helpers.engines import SAMPLES, engine, fill_adapters, train_settings

OURS = "recbole_apa/"


def test_a_training_step_reads_one_number_back_and_hands_over_three_lists(backbone_folder):
    e = engine(backbone_folder)
    fill_adapters(e, 1)
    e.bank.train(True)
    prompts, labels = e.encode(SAMPLES), torch.tensor([1, 0, 1])
    e.freeze(prompts)
    course = AdapterCourse(e.bank.parameters(), 3, train_settings(), 0)
    settings = train_settings(supervise="target", answer_loss="full")
    for given in (train_settings(), settings):
        with Crossings() as found:
            loss = e.training_losses(prompts, labels, [0, 0, 0], given)[0]
            loss.backward()
        # of the labels, which lie on the CPU anyway
        assert found.count(READ_BACK, OURS) == found.count(("tolist",), "engine.py") == 1
        # weights, places and answers
        assert found.count(COPIED, OURS) == 3
    loss = e.training_losses(prompts, labels, [0, 0, 0], train_settings())[0]
    with Crossings() as found:
        course.step_on(loss)
    # the loss; AdamW counts each parameter's steps on the CPU
    assert found.count(READ_BACK, "training.py") == 1 + len(e.bank.parameters())


@pytest.mark.parametrize("mode", ["decomposition", "non_decomposition"])
def test_a_prediction_reads_nothing_back_before_its_end(mode, backbone_folder, monkeypatch):
    e = engine(backbone_folder, forward_batch_size=3)
    fill_adapters(e, 3)
    monkeypatch.setattr(e, "side_by_side", lambda job, items: [job(item) for item in items])  # threads are not watched
    prompts, weights = e.encode(SAMPLES), torch.full((3, 3), 1 / 3)
    with torch.no_grad(), Crossings() as found:
        e.scores(prompts, weights, mode)
    # the scores once, and the states for the cache
    assert found.count(("cpu",), "engine.py") == 1 and found.count(("cpu",), "activation_cache.py") == 3
    assert found.count(READ_BACK, OURS) == 1 + 3
    assert found.count(COPIED, OURS) == 5  # a row of tokens each; the chunk's weights; the places
    with torch.no_grad(), Crossings() as found:
        e.adapter_scores(prompts)
    assert found.count(READ_BACK, OURS) == 1  # for three adapters


def test_the_counter_finds_the_line():
    with Crossings() as found:
        float(torch.ones(1))
        torch.tensor([1, 2]).tolist()
        torch.ones(2).cpu().nonzero()
    assert found.count(READ_BACK, "test_hot_path.py") == 4 and found.count(COPIED, "test_hot_path.py") == 1


def test_shards_trained_together_read_their_losses_back_at_once():
    parameters = [nn.Parameter(torch.tensor([4.0])) for _ in range(3)]
    courses = [AdapterCourse([p], 1, train_settings(), i) for i, p in enumerate(parameters)]
    values = {}

    def losses_of(batches):
        return {i: (parameters[i] ** 2).sum() for i in batches}

    with Crossings() as found:
        histories = train_together(
            courses, [lambda e: [0]] * 3, losses_of, lambda: None, lambda c, v: values.setdefault(c.shard, v)
        )
    assert [h.step_losses for h in histories] == [[16.0]] * 3 and values == {0: 16.0, 1: 16.0, 2: 16.0}
    assert found.count(READ_BACK, "training.py") == found.count(("tolist",), "training.py") + 3 == 1 + 3  # step counts


def test_no_adapter_moves_where_one_of_several_losses_is_not_finite():
    parameters = [nn.Parameter(torch.tensor([4.0])) for _ in range(2)]
    courses = [AdapterCourse([p], 1, train_settings(), 5 + i) for i, p in enumerate(parameters)]

    def losses_of(batches):
        return {0: (parameters[0] ** 2).sum(), 1: parameters[1].sum() * float("inf")}

    with pytest.raises(TrainingError, match="shard 6, step 0: the loss is inf"):
        train_together(courses, [lambda e: [0]] * 2, losses_of, lambda: None)
    assert [p.item() for p in parameters] == [4.0, 4.0]
