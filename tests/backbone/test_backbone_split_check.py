"""The check at start: it sees a wrong mask even in a bfloat16 run, and leaves every weight as it was."""

import logging
from dataclasses import replace

import pytest
import torch
from torch import nn
from transformers import AutoConfig

from recbole_apa.backbone import split_check
from recbole_apa.backbone.answer_head import AnswerHead
from recbole_apa.backbone.candidate_scoring import ListScorer
from recbole_apa.backbone.engine import ScoringEngine
from recbole_apa.backbone.family import Family
from recbole_apa.backbone.load import load_backbone
from recbole_apa.backbone.shared_prefix import PartCache
from recbole_apa.backbone.split_check import check_split, probe_length
from recbole_apa.backbone.split_decoder import SplitDecoder
from recbole_apa.core.errors import BackboneError
from recbole_apa.core.execution import PlacementSettings
from recbole_apa.core.settings import PromptSettings
from tests.helpers.backbone_families import FAMILIES, GEMMA3N, WINDOW, write_model
from tests.helpers.engines import ADAPTERS, CPU, SAMPLES, fill_adapters, settings

LONG_WINDOW = {**FAMILIES["Gemma3Text"], "initializer_range": 0.02, "sliding_window": 64}
"""Whose prompts of 8 tokens never reach the window."""


@pytest.fixture(scope="module")
def gemma(backbone_folder, tmp_path_factory):
    return write_model("Gemma3Text", LONG_WINDOW, backbone_folder, tmp_path_factory.mktemp("gemma"))


@pytest.fixture(scope="module")
def gemma3n(backbone_folder, tmp_path_factory):
    return write_model("Gemma3nText", GEMMA3N, backbone_folder, tmp_path_factory.mktemp("gemma3n"))


def start(folder, placement=None, max_tokens=300, **changes):
    s = settings(folder, **changes)
    return ScoringEngine(load_backbone(s, CPU, placement), s, PromptSettings("list", None, max_tokens), ADAPTERS, 1e9)


def cut_list(self, activations, cache=None):
    """The upper layers in a list of their own: each gets the mask and rotary base of another number."""
    own = list(self.decoder.layers)
    self.decoder.layers = nn.ModuleList(own[self.n_trunk :])
    try:
        return self.decoder(inputs_embeds=activations, use_cache=False).last_hidden_state
    finally:
        self.decoder.layers = nn.ModuleList(own)


@pytest.mark.quick(1)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_a_cut_list_is_refused_whatever_the_runs_dtype(gemma, dtype, monkeypatch):
    monkeypatch.setattr(SplitDecoder, "upper_pass", cut_list)
    with pytest.raises(BackboneError, match=r"trunk_layers = 2: on 80 tokens scores differ .*; set trunk_layers: 0"):
        start(gemma, dtype=dtype)


@pytest.mark.quick(1)
@pytest.mark.parametrize("placed", [{"quantization": "int8"}, {"quantization": "nf4"}, {"dtype": "bfloat16"}])
def test_weights_that_cannot_be_cast_are_looked_at_in_their_own_type(gemma, placed, monkeypatch):
    offloaded = "quantization" not in placed
    placement = PlacementSettings(device_map="auto", max_memory={"cpu": 60_000}) if offloaded else None
    e = start(gemma, placement, **placed)
    assert e.offloaded == offloaded and e.decoder.caches_keys
    monkeypatch.setattr(SplitDecoder, "upper_pass", cut_list)
    with pytest.raises(BackboneError, match="set trunk_layers: 0"):
        start(gemma, placement, **placed)


@pytest.mark.parametrize("fails", [False, True])
def test_every_weight_is_the_same_tensor_afterwards(gemma, fails, monkeypatch):
    loaded = load_backbone(settings(gemma, dtype="bfloat16"), CPU)
    decoder, answers = SplitDecoder(loaded.model, 2), start(gemma).encoder.answers
    head = AnswerHead(loaded.model, answers)
    before = {name: (id(t), t.data_ptr(), t.dtype, t.clone()) for name, t in tensors(loaded.model)}
    seen = []
    loaded.model.model.layers[5].mlp.register_forward_hook(lambda module, given, out: seen.append(out.dtype))
    if fails:
        monkeypatch.setattr(loaded.model.model.layers[5].mlp.down_proj, "forward", lambda x: x.no_such_thing)
        with pytest.raises(AttributeError, match="no_such_thing"):
            check_split(decoder, head, 300, True)
    else:
        check_split(decoder, head, 300, True)
        assert set(seen) == {torch.float32}
    for name, tensor in tensors(loaded.model):
        own, place, dtype, value = before[name]
        assert (id(tensor), tensor.data_ptr(), tensor.dtype) == (own, place, dtype) and torch.equal(tensor, value)
    assert "forward" not in head.head.__dict__
    hooks = (h for m in loaded.model.modules() for h in (*m._forward_hooks, *m._forward_pre_hooks))
    assert len(list(hooks)) == 1


def tensors(model):
    return [*model.named_parameters(), *model.named_buffers()]


def test_the_prompt_is_longer_than_every_window_that_prompts_reach(gemma):
    def config(**changes):
        out = AutoConfig.from_pretrained(gemma)
        for name, value in changes.items():
            setattr(out, name, value)
        return out

    assert probe_length(config(), 300) == 64 + 16
    assert probe_length(config(), 70) == 70
    assert probe_length(config(), 64) == 16  # a window of 64 hides nothing from a prompt of 64
    assert probe_length(config(sliding_window=None), 300) == 16
    assert probe_length(config(sliding_window=None, attention_chunk_size=100), 300) == 116
    longrope = {"rope_type": "longrope", "original_max_position_embeddings": 200}
    assert probe_length(config(rope_parameters=longrope), 300) == 216
    assert probe_length(config(rope_parameters={"full_attention": longrope}), 300) == 216
    assert probe_length(config(rope_parameters={**longrope, "rope_type": "llama3"}), 300) == 80


def test_a_family_that_cannot_be_divided_runs_undivided(gemma3n):
    with pytest.raises(BackboneError, match=r"Gemma3nTextModel.*set trunk_layers: 0"):
        start(gemma3n, trunk_layers=4)
    e = start(gemma3n, trunk_layers=0)
    prompt = e.encode(SAMPLES[:1])[0]
    z = e.backbone.model(input_ids=torch.tensor([prompt.ids])).logits[0, -1]
    expected = torch.sigmoid(z[e.encoder.answers.yes] - z[e.encoder.answers.no])
    torch.testing.assert_close(e.scores([prompt], None, "decomposition")[0], expected, rtol=0, atol=1e-5)


def test_where_keys_cannot_be_kept_beginnings_are_read_again_and_it_is_said(gemma, monkeypatch, caplog):
    kept = PartCache.update
    monkeypatch.setattr(
        PartCache, "update", lambda self, k, v, *rest, **named: kept(self, k, v * 1.001, *rest, **named)
    )
    with caplog.at_level(logging.WARNING):
        e = start(gemma)
    assert "shared_prefixes: with cached keys and values" in caplog.text and not e.decoder.caches_keys
    fill_adapters(e, 2)
    prompts = e.encode([replace(SAMPLES[0], target=f"A film {i} (1990)") for i in range(9, 12)])
    lists = ListScorer(e)
    read, w = lists.read(prompts), torch.tensor([[0.3, 0.7]])
    found = lists.scores(read, [w], "decomposition")
    torch.testing.assert_close(found, e.scores(prompts, w.expand(3, -1), "decomposition"), rtol=0, atol=1e-6)
    caplog.clear()
    assert start(gemma, shared_prefixes=False).decoder.caches_keys and not caplog.text


def test_logits_scaled_in_an_unknown_way_are_refused(gemma, monkeypatch):
    monkeypatch.setattr(Family, "logit_scale", lambda self, model: lambda logits: logits * 1.01)
    with pytest.raises(BackboneError, match=r"Gemma3ForCausalLM.* scales its logits in an unsupported way"):
        start(gemma, trunk_layers=0)


def test_the_bounds_are_those_of_the_promise():
    assert split_check.SCORE == 1e-5 and WINDOW < split_check.BEYOND
