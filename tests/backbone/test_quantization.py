"""Frozen weights in 8 and 4 bits: near the plain ones, and forgetting is exact all the same."""

import sys

import pytest
import torch

from recbole_apa import run, unlearn, verify
from recbole_apa.backbone.load import load_backbone
from recbole_apa.core.errors import BackboneError, SettingsError
from tests.helpers.engines import CPU, SAMPLES, engine, fill_adapters, settings, train_settings


@pytest.mark.parametrize(("kind", "share"), [("int8", 0.6), ("nf4", 0.4)])
def test_weights_take_fewer_bytes_and_scores_stay_near(kind, share, backbone_folder):
    plain, small = (engine(backbone_folder, quantization=q) for q in (None, kind))

    def n_bytes(e):
        return sum(p.nbytes for name, p in e.decoder.decoder.layers.named_parameters() if "lora" not in name)

    assert n_bytes(small) < share * n_bytes(plain)
    for e in (plain, small):
        fill_adapters(e, 2)
    found = [e.adapter_scores(e.encode(SAMPLES)) for e in (plain, small)]
    assert not torch.equal(*found)
    torch.testing.assert_close(*found, atol=0.05, rtol=0)
    assert plain.backbone.digest != small.backbone.digest
    assert small.backbone.digest == load_backbone(settings(backbone_folder, quantization=kind), CPU).digest


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["int8", "nf4"])
def test_forgetting_is_exact(kind, options, tmp_path):
    made = run("APA", "board", config_dict={**options, "quantization": kind, "epochs": 2}, run_dir=tmp_path / "run")
    losses = made.trainer.record.shards[0]["epoch_losses"]
    assert losses[1] < losses[0]
    unlearn(tmp_path / "run", users=["u3"])
    verified = verify(tmp_path / "run")
    assert verified.holds, verified.differences


@pytest.mark.parametrize("kind", ["int8", "nf4"])
def test_gradients_reach_the_lowest_adapter_after_passes_without_any(kind, backbone_folder):
    """bitsandbytes' own 4-bit layers lose them on some CPUs."""
    e = engine(backbone_folder, quantization=kind, trunk_layers=0)
    prompts, labels = e.encode(SAMPLES), torch.tensor([1.0, 0.0, 1.0])

    def gradient():
        fill_adapters(e, 1)
        e.bank.train(True)
        e.training_losses(prompts, labels, [0, 0, 0], train_settings())[0].backward()
        lowest = e.bank.layers["model.layers.0.self_attn.q_proj"]
        return lowest.lora_B.grad.clone()

    before = gradient()
    e.bank.train(False)
    e.adapter_scores(prompts)
    torch.testing.assert_close(gradient(), before)
    assert before.abs().max() > 0


def test_without_bitsandbytes_the_extra_is_named(backbone_folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    monkeypatch.setattr("recbole_apa.backbone.quantization.find_spec", lambda name: None)
    with pytest.raises(BackboneError, match=r"recbole-apa\[quantize\]"):
        load_backbone(settings(backbone_folder, quantization="nf4"), CPU)


def test_unknown_kinds_are_refused(backbone_folder):
    with pytest.raises(SettingsError, match="expected one of int8, nf4"):
        settings(backbone_folder, quantization="fp4")
