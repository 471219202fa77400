"""Families whose layers differ: masks and rotary bases by layer number are right with any trunk."""

from dataclasses import replace

import pytest
import torch

from recbole_apa.backbone.candidate_scoring import ListScorer
from recbole_apa.backbone.engine import ScoringEngine
from recbole_apa.backbone.load import load_backbone
from recbole_apa.core.settings import PromptSettings
from recbole_apa.data.prompts import PromptInput
from tests.helpers.backbone_families import FAMILIES, FUSED, WINDOW, write_model
from tests.helpers.engines import ADAPTERS, CPU, SAMPLES, fill_adapters, loss_of, settings, train_settings

TRUNKS = (0, 1, 4, 6)
LIST = [
    PromptInput(SAMPLES[0].history, title) for title in ("Babe (1995)", "A film with a long title (2001)", "M (1931)")
]
W = torch.tensor([[0.2, 0.8], [1.0, 0.0], [0.5, 0.5]])


@pytest.fixture(scope="module")
def folders(backbone_folder, tmp_path_factory):
    root = tmp_path_factory.mktemp("families")
    return {name: write_model(name, options, backbone_folder, root / name) for name, options in FAMILIES.items()}


def engine(folders, family, checkpointed=False, **changes):
    s = settings(folders[family], **changes)
    adapters = replace(ADAPTERS, target_modules=FUSED.get(family, ADAPTERS.target_modules))
    out = ScoringEngine(load_backbone(s, CPU), s, PromptSettings("list", None, 300), adapters, 1e9, checkpointed)
    fill_adapters(out, 2)
    return out


def own_scores(e, prompts, weights):
    """What the model's own forward says, adapters and all."""
    out = []
    for prompt, w in zip(prompts, weights, strict=True):
        with e.bank.mixed(w[None], "non_decomposition"):
            z = e.backbone.model(input_ids=torch.tensor([prompt.ids])).logits[0, -1]
        out.append(torch.sigmoid(z[e.encoder.answers.yes] - z[e.encoder.answers.no]))
    return torch.stack(out)


@pytest.mark.quick("Llama-1", "Gemma3Text-4", "Qwen2-6")
@pytest.mark.parametrize("trunk", TRUNKS)
@pytest.mark.parametrize("family", FAMILIES)
def test_scores_are_those_of_the_whole_model(folders, family, trunk):
    e = engine(folders, family, trunk_layers=trunk, forward_batch_size=3)
    prompts = e.encode(SAMPLES)
    lengths = {len(p.ids) for p in prompts}
    assert min(lengths) > WINDOW and len(lengths) == 3
    for weights in (torch.zeros(3, 2), W):
        expected = own_scores(e, prompts, weights)
        torch.testing.assert_close(e.scores(prompts, weights, "non_decomposition"), expected, rtol=0, atol=1e-5)
    assert (expected - own_scores(e, prompts, torch.zeros(3, 2))).abs().max() > 1e-3


@pytest.mark.quick(3)
@pytest.mark.parametrize("trunk", TRUNKS)
@pytest.mark.parametrize("family", FAMILIES)
def test_lists_with_one_beginning_are_scored_alike(folders, family, trunk):
    e = engine(folders, family, trunk_layers=trunk, embedding="final")
    assert e.decoder.caches_keys
    prompts = e.encode(LIST)
    assert prompts[0].n_prefix > WINDOW and max(len(p.ids) - p.n_prefix for p in prompts) > WINDOW
    lists = ListScorer(e)
    read = lists.read(prompts)
    found = lists.scores(read, [W[:1]], "non_decomposition")
    torch.testing.assert_close(found, own_scores(e, prompts, W[:1].expand(3, -1)), rtol=0, atol=1e-5)
    torch.testing.assert_close(lists.spread(read, [read[0].embeddings]), e.embeddings(prompts), rtol=1e-4, atol=1e-4)


@pytest.mark.quick(3)
@pytest.mark.parametrize("checkpointed", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_are_those_of_the_whole_model(folders, family, checkpointed):
    e = engine(folders, family, checkpointed, trunk_layers=3)
    prompts, labels = e.encode(SAMPLES), torch.tensor([1.0, 0.0, 1.0])
    e.bank.train(True)
    loss_of(e, prompts, labels, train_settings()).backward()
    found = [p.grad.clone() for p in e.bank.parameters()]
    e.bank.zero_grad()
    s = own_scores(e, prompts, torch.tensor([[1.0, 0.0]] * 3))
    torch.nn.functional.binary_cross_entropy(s, labels).backward()
    assert max(float(g.abs().max()) for g in found) > 1e-3
    for mine, parameter in zip(found, e.bank.parameters(), strict=True):
        torch.testing.assert_close(mine, parameter.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.quick(1)
@pytest.mark.parametrize("family", ["Gemma3Text", "Qwen2"])
def test_passes_side_by_side_do_not_take_each_others_states(folders, family):
    samples = [PromptInput(SAMPLES[i % 3].history, f"Film {i} (1990)") for i in range(24)]
    weights, before, found = torch.full((24, 2), 0.5), torch.get_num_threads(), []
    try:
        for n in (1, 4):
            torch.set_num_threads(n)
            e = engine(folders, family, trunk_layers=4)
            found.append(e.scores(e.encode(samples), weights, "decomposition"))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*found)
