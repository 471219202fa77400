"""The last layer computes what is read, and gives there what it gives when it computes everything."""

import pytest
import torch
from accelerate.hooks import AlignDevicesHook, add_hook_to_module
from torch import nn

from recbole_apa.backbone.last_layer import Places, reading_at
from recbole_apa.comparison.row import deciding_options
from tests.helpers.engines import SAMPLES, engine, fill_adapters, train_settings

READ = [[3], [2, 5, 6], [7, 1]]


@pytest.fixture
def made(backbone_folder):
    e = engine(backbone_folder, trunk_layers=0)
    assert e.decoder.skips_unread  # the check found nothing against it
    fill_adapters(e, 2)
    return e


def states_and_gradients(e, skips):
    e.decoder.skips_unread = skips
    activations = e.decoder.trunk([p.ids for p in e.encode(SAMPLES)])
    e.bank.train(True)
    e.bank.zero_grad()
    e.bank.mix(torch.tensor([[1.0, 0.0], [0.3, 0.7], [0.0, 1.0]]), "non_decomposition")
    found = e.decoder.upper_at(activations, READ)
    found.square().sum().backward()
    return found.detach(), [p.grad.clone() for p in e.bank.parameters()]


@pytest.mark.parametrize("trunk_layers", [0, 2])
def test_states_and_gradients_are_those_of_all_positions(trunk_layers, backbone_folder):
    e = engine(backbone_folder, trunk_layers=trunk_layers)
    fill_adapters(e, 2)
    few, few_gradients = states_and_gradients(e, True)
    all_, all_gradients = states_and_gradients(e, False)
    assert few.shape == (sum(len(row) for row in READ), e.decoder.hidden_size)
    torch.testing.assert_close(few, all_)
    assert any(g.abs().max() > 0 for g in all_gradients)
    for one, other in zip(few_gradients, all_gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_the_last_feed_forward_part_sees_what_is_read_alone(made):
    seen = []
    hook = made.decoder.layers[-1].mlp.register_forward_pre_hook(lambda module, given: seen.append(given[0].shape[1]))
    made.scores(made.encode(SAMPLES), torch.full((3, 2), 0.5), "decomposition")
    labels = torch.tensor([1, 0, 1])
    made.training_losses(made.encode(SAMPLES), labels, [0, 0, 0], train_settings(supervise="target"))
    made.training_losses(made.encode(SAMPLES), labels, [0, 0, 0], train_settings(supervise="all"))
    hook.remove()
    n_answers = max(len(p.positions) for p in made.encode(SAMPLES))
    assert seen == [1, 1, 1, 1, n_answers]


class MixesPositions(nn.Module):
    """A part that no position can be taken out of."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, hidden):
        return self.module(hidden) + hidden.cumsum(1)


def test_a_layer_that_mixes_positions_is_given_all(made, backbone_folder, monkeypatch):
    def loaded(*given):
        model = made.backbone.model
        model.model.layers[-1].mlp = MixesPositions(model.model.layers[-1].mlp)
        return made.backbone

    monkeypatch.setattr("tests.helpers.engines.load_backbone", loaded)
    made.bank.remove()
    other = engine(backbone_folder, trunk_layers=0)
    assert not other.decoder.skips_unread
    prompts = other.encode(SAMPLES[:1])
    whole = other.decoder.upper(other.decoder.trunk([prompts[0].ids]))[0, -1]
    z = other.head.margins(whole[None])
    assert other.scores(prompts, None, "decomposition") == pytest.approx(torch.sigmoid(z), abs=1e-6)


def test_a_layer_that_accelerate_places_leaves_out_the_same(made):
    """Else a run whose weights are on several devices, or on the disk, would have other bits."""
    prompts, seen, last = made.encode(SAMPLES), [], made.decoder.layers[-1]
    plain = made.scores(prompts, torch.full((3, 2), 0.5), "decomposition")
    add_hook_to_module(last, AlignDevicesHook(execution_device=torch.device("cpu")))
    last.mlp.register_forward_pre_hook(lambda module, given: seen.append(given[0].shape[1]))
    assert torch.equal(made.scores(prompts, torch.full((3, 2), 0.5), "decomposition"), plain)
    assert seen == [1, 1, 1]


def test_a_layer_without_that_part_stays_as_it_is():
    layer = nn.TransformerEncoderLayer(4, 1)
    assert reading_at(layer, Places.of([[0]], torch.device("cpu"))) is layer


@pytest.mark.parametrize("rows", [[[0]], [[5], [0, 1]], [[2, 0], [4, 3, 1], [1]], [[0, 1, 2], [2]]])
def test_positions_stand_once_in_a_row(rows):
    places = Places.of(rows, torch.device("cpu"))
    n, longest = max(map(len, rows)), max(max(row) for row in rows) + 1
    for row, filled in zip(rows, places.each.tolist(), strict=True):
        assert filled[: len(row)] == row and len(filled) == len(set(filled)) == n
        assert max(filled) < max(longest, n)
    hidden = torch.arange(len(rows) * 9.0).view(len(rows), 9, 1)
    assert places.gather(hidden)[:, 0].tolist() == [9.0 * i + p for i, row in enumerate(rows) for p in row]


def test_rows_of_comparisons_stand_for_both():
    assert deciding_options({"skip_unread": True, "epochs": 1}) == deciding_options({"epochs": 1})
