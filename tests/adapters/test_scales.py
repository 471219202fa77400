"""(IA)3: K vectors of scales, averaged for every sample; the relations that LoRA's adapters are held to."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from recbole_apa import run, unlearn, verify
from recbole_apa.adapters.ia3 import StackedIA3Linear
from recbole_apa.adapters.mixture import Mixture
from recbole_apa.adapters.peft_files import PeftDescription, read_adapter, write_adapter
from recbole_apa.core.errors import SettingsError
from recbole_apa.core.settings import AdapterSettings
from recbole_apa.pipeline.config import APAConfig
from tests.helpers.peft_scores import assert_peft_agrees
from tests.helpers.runs import state

IA3 = {"adapter_type": "ia3", "target_modules": ["k_proj", "v_proj", "down_proj"], "learning_rate": 0.02}
SETTINGS = AdapterSettings("ia3", 8, 16.0, False, 0.0, ("k_proj", "v_proj", "down_proj"), ("down_proj",))
MODES = ("decomposition", "non_decomposition")


def make_layer(k, feedforward, seed=0):
    layer = StackedIA3Linear(nn.Linear(5, 7), k, Mixture(), feedforward)
    with torch.no_grad():
        layer.ia3_l.copy_(torch.randn(layer.ia3_l.shape, generator=torch.Generator().manual_seed(seed)))
    return layer


def mixed(layer, x, weights, mode="decomposition"):
    layer.mixture.weights, layer.mixture.mode = weights, mode
    return layer(x)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 4), st.integers(1, 3), st.booleans(), st.sampled_from(MODES), st.integers(0, 99))
def test_each_sample_has_the_average_of_the_updated_weights(k, b, feedforward, mode, seed):
    layer = make_layer(k, feedforward, seed)
    g = torch.Generator().manual_seed(seed)
    x, w = torch.randn(b, 3, 5, generator=g), torch.softmax(torch.randn(b, k, generator=g), 1)
    expected = []
    for row, weights in zip(x, w, strict=True):
        updated = [layer.base.weight * (s[None] if feedforward else s[:, None]) for s in layer.ia3_l]
        biases = [layer.base.bias * (1 if feedforward else s) for s in layer.ia3_l]
        merged = sum(wk * m for wk, m in zip(weights, updated, strict=True))
        bias = sum(wk * c for wk, c in zip(weights, biases, strict=True))
        expected.append(row @ merged.T + bias)
    torch.testing.assert_close(mixed(layer, x, w, mode), torch.stack(expected), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("feedforward", [False, True])
def test_one_hot_weights_are_that_adapter_alone(feedforward):
    layer, x = make_layer(3, feedforward), torch.randn(3, 4, 5)
    both = mixed(layer, x, torch.eye(3))
    for k in range(3):
        alone = StackedIA3Linear(layer.base, 1, Mixture(), feedforward)
        alone.load_state_dict({**layer.state_dict(), "ia3_l": layer.ia3_l[k : k + 1]})
        torch.testing.assert_close(both[k], mixed(alone, x[k : k + 1], torch.ones(1, 1))[0])


@pytest.mark.parametrize("feedforward", [False, True])
def test_it_starts_as_the_frozen_layer_and_weights_have_to_fit(feedforward):
    layer, x = StackedIA3Linear(nn.Linear(5, 7), 2, Mixture(), feedforward), torch.randn(2, 3, 5)
    assert torch.equal(mixed(layer, x, None), layer.base(x))
    torch.testing.assert_close(mixed(layer, x, torch.full((2, 2), 0.5)), layer.base(x))
    assert all(not (part - 1).any() for part in layer.start(torch.Generator()))
    with pytest.raises(ValueError, match=r"shape \(3, 2\), expected \(batch, adapters\) = \(2, 2\)"):
        mixed(layer, x, torch.ones(3, 2))


def test_files_are_read_as_they_were_written(tmp_path):
    factors = {"layers.0.k_proj": (torch.randn(4),), "layers.0.down_proj": (torch.randn(6),)}
    write_adapter(tmp_path, factors, PeftDescription("x", SETTINGS, None))
    found = read_adapter(tmp_path)
    assert found.keys() == factors.keys() and all(torch.equal(found[n][0], factors[n][0]) for n in factors)


@pytest.fixture(scope="module")
def scaled(options, work_folder, tmp_path_factory):
    return run("APA", "board", config_dict={**options, **IA3}, run_dir=tmp_path_factory.mktemp("ia3") / "run")


@pytest.mark.slow
def test_peft_loads_an_adapter_and_gives_the_same_scores(scaled, backbone_folder):
    ours = assert_peft_agrees(scaled, backbone_folder)
    prompts = scaled.model.prompts(scaled.data[2]._dataset.labelled)
    frozen = scaled.model.engine.scores(prompts, None, "decomposition")
    assert not any(torch.allclose(ours[:, k], frozen, atol=1e-3) for k in range(3))  # they have learnt something


def test_both_ways_of_merging_are_one(scaled):
    prompts = scaled.model.prompts(scaled.data[2]._dataset.labelled)
    weights = scaled.model.weights(prompts)
    assert torch.equal(*(scaled.model.engine.scores(prompts, weights, mode) for mode in MODES))
    assert (
        scaled.metrics["test.aggregated.decomposition.auc"] == scaled.metrics["test.aggregated.non_decomposition.auc"]
    )


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_forgetting_is_exact(workers, options, work_folder, scaled, tmp_path):
    made = run("APA", "board", config_dict={**options, **IA3, "workers": workers}, run_dir=tmp_path / "run")
    assert state(made.run_dir) == state(scaled.run_dir)
    unlearn(tmp_path / "run", users=["u3"])
    verified = verify(tmp_path / "run")
    assert verified.holds, verified.differences


@pytest.mark.slow
def test_fused_shards_are_what_they_are_alone(options, work_folder, scaled, tmp_path):
    run("APA", "board", config_dict={**options, **IA3, "fused_shards": 3}, run_dir=tmp_path / "run")
    for k in range(3):
        one, other = (read_adapter(folder / "shards" / f"00{k}") for folder in (scaled.run_dir, tmp_path / "run"))
        for name in one:
            torch.testing.assert_close(one[name][0], other[name][0], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("change", [{"use_rslora": True}, {"lora_dropout": 0.1}])
def test_what_is_about_factors_is_refused(change, options):
    with pytest.raises(SettingsError, match="need adapter_type: lora"):
        APAConfig("APA", "board", None, {**options, **IA3, **change})


def test_lora_plus_is_refused(options, work_folder, tmp_path):
    with pytest.raises(SettingsError, match="use adapter_type: lora"):
        run("APA", "board", config_dict={**options, **IA3, "loraplus_lr_ratio": 16}, run_dir=tmp_path / "run")
