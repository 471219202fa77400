from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from recbole_apa.adapters.bank import AdapterBank
from recbole_apa.adapters.lora import LowRank, StackedLoRALinear
from recbole_apa.adapters.mixture import Mixture
from recbole_apa.core.errors import BackboneError
from recbole_apa.core.settings import AdapterSettings

ADAPTERS = AdapterSettings("lora", 2, 4.0, False, 0.0, ("q_proj",), ())


def make_layer(k, rank=3, d_in=5, d_out=7, seed=0):
    g = torch.Generator().manual_seed(seed)
    base = nn.Linear(d_in, d_out)
    layer = StackedLoRALinear(base, k, LowRank(rank, 6.0), Mixture()).eval()
    with torch.no_grad():
        layer.lora_A.copy_(torch.randn(layer.lora_A.shape, generator=g))
        layer.lora_B.copy_(torch.randn(layer.lora_B.shape, generator=g))
    return layer


def naive(layer, x, weights, mode):
    """One sample at a time, with its merged matrices written out (paper, section 3.3)."""
    out = []
    for row, w in zip(x, weights, strict=True):
        if mode == "decomposition":
            a = sum(w[k] * layer.lora_A[k] for k in range(layer.n_adapters))
            b = sum(w[k] * layer.lora_B[k] for k in range(layer.n_adapters))
            delta = b @ a
        else:
            delta = sum(w[k] * layer.lora_B[k] @ layer.lora_A[k] for k in range(layer.n_adapters))
        out.append(layer.base(row) + layer.scale * row @ delta.T)
    return torch.stack(out)


def run(layer, x, weights, mode):
    layer.mixture.weights, layer.mixture.mode = weights, mode
    return layer(x)


MODES = ("decomposition", "non_decomposition")


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 4), st.sampled_from(MODES), st.integers(0, 99))
def test_fast_equals_the_obvious_merge(k, b, t, mode, seed):
    layer = make_layer(k, seed=seed)
    g = torch.Generator().manual_seed(seed)
    x, w = torch.randn(b, t, 5, generator=g), torch.softmax(torch.randn(b, k, generator=g), 1)
    torch.testing.assert_close(run(layer, x, w, mode), naive(layer, x, w, mode), atol=1e-4, rtol=1e-4)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(2, 4), st.integers(0, 99))
def test_merged_factors_are_the_products_with_all_adapters(k, b, t, seed):
    layer = make_layer(k, seed=seed)
    g = torch.Generator().manual_seed(seed)
    x, w = torch.randn(b, t, 5, generator=g), torch.softmax(torch.randn(b, k, generator=g), 1)
    trained = run(layer, x, w, "decomposition")  # it has gradients to carry
    with torch.no_grad():
        merged = run(layer, x, w, "decomposition")
        for i in range(t):  # position by position nothing is merged
            torch.testing.assert_close(run(layer, x[:, i : i + 1], w, "decomposition")[:, 0], merged[:, i])
    torch.testing.assert_close(merged, trained)


@pytest.mark.parametrize("mode", MODES)
def test_one_hot_weights_are_that_adapter_alone(mode):
    layer = make_layer(3)
    x = torch.randn(3, 4, 5)
    mixed = run(layer, x, torch.eye(3), mode)
    for k in range(3):
        alone = layer.base(x[k]) + layer.scale * x[k] @ (layer.lora_B[k] @ layer.lora_A[k]).T
        torch.testing.assert_close(mixed[k], alone)
    assert not torch.allclose(mixed[0] - layer.base(x[0]), mixed[1] - layer.base(x[1]))


def test_equal_weights_differ_between_the_two_modes():
    layer, x, w = make_layer(2), torch.randn(1, 4, 5), torch.full((1, 2), 0.5)
    mean_update = layer.scale * x[0] @ sum(layer.lora_B[k] @ layer.lora_A[k] / 2 for k in range(2)).T
    mean_factors = layer.scale * x[0] @ (layer.lora_B.mean(0) @ layer.lora_A.mean(0)).T
    torch.testing.assert_close(run(layer, x, w, "non_decomposition")[0] - layer.base(x[0]), mean_update)
    torch.testing.assert_close(run(layer, x, w, "decomposition")[0] - layer.base(x[0]), mean_factors)
    assert not torch.allclose(mean_update, mean_factors)


def test_a_pass_sees_every_change_of_the_factors():
    layer, x, w = make_layer(2).requires_grad_(False), torch.randn(1, 4, 5), torch.full((1, 2), 0.5)
    seen = [run(layer, x, w, "non_decomposition")]
    assert torch.equal(run(layer, x, w, "non_decomposition"), seen[0])
    layer.lora_A[0].mul_(2)  # as a bank loads an adapter
    seen.append(run(layer, x, w, "non_decomposition"))
    layer.train()
    layer.lora_B.data[1].mul_(2)  # as several shards are trained together: torch does not notice
    layer.eval()
    seen.append(run(layer, x, w, "non_decomposition"))
    layer.lora_A = nn.Parameter(layer.lora_A * 3, requires_grad=False)
    seen.append(run(layer, x, w, "non_decomposition"))
    for i, found in enumerate(seen):
        assert not any(torch.equal(found, other) for other in seen[:i])
    fresh = make_layer(2)
    fresh.base.load_state_dict(layer.base.state_dict())
    with torch.no_grad():
        fresh.lora_A.copy_(layer.lora_A)
        fresh.lora_B.copy_(layer.lora_B)
    assert torch.equal(run(fresh, x, w, "non_decomposition"), seen[-1])


def test_gradients_reach_the_factors_in_every_pass():
    layer, x, w = make_layer(2), torch.randn(1, 4, 5), torch.full((1, 2), 0.5)
    for _ in range(2):
        layer.zero_grad()
        run(layer, x, w, "decomposition").sum().backward()
        assert layer.lora_A.grad.abs().sum() > 0


@pytest.mark.parametrize("mode", MODES)
def test_permuting_adapters_and_weights_together_changes_nothing(mode):
    layer, x = make_layer(3), torch.randn(2, 4, 5)
    w = torch.softmax(torch.randn(2, 3), 1)
    before = run(layer, x, w, mode)
    order = [2, 0, 1]
    with torch.no_grad():
        layer.lora_A.copy_(layer.lora_A[order].clone())
        layer.lora_B.copy_(layer.lora_B[order].clone())
    torch.testing.assert_close(run(layer, x, w[:, order], mode), before)


def test_without_weights_the_base_layer_answers_alone():
    layer, x = make_layer(2), torch.randn(2, 4, 5)
    assert torch.equal(run(layer, x, None, "decomposition"), layer.base(x))


def test_weights_of_the_wrong_shape_are_refused():
    layer = make_layer(3)
    with pytest.raises(ValueError, match=r"shape \(2, 2\), expected \(batch, adapters\) = \(2, 3\)"):
        run(layer, torch.randn(2, 4, 5), torch.ones(2, 2), "decomposition")


class Toy(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = nn.Module()
        self.block.q_proj = nn.Linear(4, 4)
        self.block.o_proj = nn.Linear(4, 4)


def test_bank_starts_every_adapter_alike_and_copies_back_what_it_was_given():
    bank = AdapterBank(Toy(), [""], ADAPTERS)
    assert list(bank.layers) == ["block.q_proj"]
    start, other = bank.start(1), bank.start(2)
    a, b = start["block.q_proj"]
    assert torch.equal(a, bank.start(1)["block.q_proj"][0]) and not torch.equal(a, other["block.q_proj"][0])
    assert a.abs().max() <= 0.5 and not b.any()
    bank.resize(3)
    bank.load(2, start)
    assert torch.equal(bank.extract(2)["block.q_proj"][0], a) and not bank.extract(0)["block.q_proj"][0].any()


def test_missing_target_modules_are_named():
    with pytest.raises(BackboneError, match=r"no linear layer named c_attn; its layers are o_proj, q_proj"):
        AdapterBank(Toy(), [""], replace(ADAPTERS, target_modules=("q_proj", "c_attn")))


def test_adapter_of_another_model_is_refused():
    bank = AdapterBank(Toy(), [""], ADAPTERS)
    with pytest.raises(BackboneError, match=r"differ in block\.o_proj, block\.q_proj"):
        bank.load(0, {"block.o_proj": bank.start(1)["block.q_proj"]})


@pytest.mark.parametrize("mode", MODES)
def test_rslora_is_lora_with_a_larger_scale(mode):
    plain, x, w = make_layer(2), torch.randn(2, 4, 5), torch.softmax(torch.randn(2, 2), 1)
    stable = StackedLoRALinear(plain.base, 2, LowRank(3, 6.0 / 3**0.5, use_rslora=True), Mixture()).eval()
    stable.load_state_dict(plain.state_dict())
    torch.testing.assert_close(run(stable, x, w, mode), run(plain, x, w, mode))
    smaller = StackedLoRALinear(plain.base, 2, LowRank(3, 6.0, use_rslora=True), Mixture()).eval()
    smaller.load_state_dict(plain.state_dict())
    assert not torch.allclose(run(smaller, x, w, mode), run(plain, x, w, mode))
