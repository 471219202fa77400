"""Candidates that share the user's part of the prompt score as each does alone."""

import itertools

import pytest
import torch
from transformers import AutoTokenizer, MistralConfig, MistralForCausalLM, Qwen2Config, Qwen2ForCausalLM

from recbole_apa import run
from recbole_apa.backbone.candidate_scoring import ListScorer
from recbole_apa.backbone.shared_prefix import group_by_prefix
from recbole_apa.core.errors import PromptError, SettingsError
from recbole_apa.data.prompts import PromptInput
from tests.helpers.engines import engine, fill_adapters

HISTORIES = [
    (("Alien (1979)", 1), ("Crash (1996)", 0), ("Heat (1995)", 1)),
    (("A much longer title than all of the others (2001)", 0),),
]
TARGETS = ["Babe (1995)", "Dave (1993)", "Fargo (1996)", "A title of more words than the three others have (1990)"]
# two users' candidates, mixed
CANDIDATES = [PromptInput(history, target) for target, history in itertools.product(TARGETS, HISTORIES)]


def weights_for(n, k, seed=0):
    return torch.softmax(torch.randn(n, k, generator=torch.Generator().manual_seed(seed)), 1)


def test_groups_are_the_users_and_hold_every_token_once(backbone_folder):
    prompts = engine(backbone_folder).encode(CANDIDATES)
    groups = group_by_prefix(prompts)
    assert len(groups) == len(HISTORIES)
    assert sorted(p for g in groups for p in g.places) == list(range(len(prompts)))
    for group in groups:
        assert len(group.prefix) > 5
        for place, rest in zip(group.places, group.rests, strict=True):
            assert group.prefix + rest == prompts[place].ids and rest


@pytest.mark.quick(4)
@pytest.mark.parametrize("embedding", ["trunk", "final"])
@pytest.mark.parametrize("pooling", ["last", "mean", "history"])
@pytest.mark.parametrize("trunk", [0, 2])
def test_embeddings_are_those_of_each_alone(trunk, pooling, embedding, backbone_folder):
    e = engine(backbone_folder, trunk_layers=trunk, embedding_pooling=pooling, embedding=embedding)
    prompts = e.encode(CANDIDATES)
    lists = ListScorer(e)
    read = lists.read(prompts)
    torch.testing.assert_close(lists.spread(read, [x.embeddings for x in read]), e.embeddings(prompts))
    assert all((len(x.embeddings) == 1) == (pooling == "history") for x in read)


@pytest.mark.quick(1)
@pytest.mark.parametrize("mode", ["decomposition", "non_decomposition"])
@pytest.mark.parametrize("in_common", [False, True])
@pytest.mark.parametrize("trunk", [0, 2])
def test_scores_are_those_of_each_alone(trunk, in_common, mode, backbone_folder):
    e = engine(backbone_folder, trunk_layers=trunk)
    fill_adapters(e, 3)
    prompts = e.encode(CANDIDATES)
    lists = ListScorer(e)
    read = lists.read(prompts)
    weights = [weights_for(1 if in_common else len(x.rests), 3, seed) for seed, x in enumerate(read)]
    alone = e.scores(prompts, lists.spread(read, weights), mode)
    torch.testing.assert_close(lists.scores(read, weights, mode), alone)
    assert alone.max() - alone.min() > 1e-3
    torch.testing.assert_close(lists.adapter_scores(read), e.adapter_scores(prompts))


@pytest.mark.parametrize("kind", ["qwen2", "mistral with a sliding window"])
def test_other_decoders_give_the_same(kind, backbone_folder, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(backbone_folder)
    shape = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    }
    torch.manual_seed(0)
    if kind == "qwen2":
        model = Qwen2ForCausalLM(Qwen2Config(**shape))
    else:
        model = MistralForCausalLM(MistralConfig(**shape, sliding_window=6))
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    e = engine(tmp_path)
    fill_adapters(e, 2)
    prompts = e.encode(CANDIDATES)
    read = ListScorer(e).read(prompts)
    weights = [weights_for(1, 2, seed) for seed in range(len(read))]
    alone = e.scores(prompts, ListScorer.spread(read, weights), "decomposition")
    torch.testing.assert_close(ListScorer(e).scores(read, weights, "decomposition"), alone)


def test_a_prompt_without_others_and_one_without_history_are_lists_of_one(backbone_folder):
    e = engine(backbone_folder)
    fill_adapters(e, 2)
    prompts = e.encode([CANDIDATES[0], PromptInput((), "Dave (1993)")])
    read = ListScorer(e).read(prompts)
    assert [len(x.rests) for x in read] == [1, 1]
    weights = weights_for(2, 2)
    found = ListScorer(e).scores(read, list(weights.split(1)), "decomposition")
    torch.testing.assert_close(found, e.scores(prompts, weights, "decomposition"))


def test_no_bit_depends_on_the_number_of_threads(backbone_folder):
    e = engine(backbone_folder)
    fill_adapters(e, 2)
    found, before = [], torch.get_num_threads()
    try:
        for n in (1, 3):
            torch.set_num_threads(n)
            read = ListScorer(e).read(e.encode(CANDIDATES))
            found.append(ListScorer(e).scores(read, [weights_for(1, 2)] * len(read), "decomposition"))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*found)


@pytest.mark.parametrize(("pooling", "n_weights"), [("history", 1), ("last", 100)])
def test_a_hundred_candidates_of_equal_weights_cost_less_than_a_fifth_of_the_tokens(
    pooling, n_weights, backbone_folder
):
    e = engine(backbone_folder, embedding_pooling=pooling)
    fill_adapters(e, 2)
    history = tuple((f"Title number {i} of the history (1990)", i % 2) for i in range(10))
    prompts = e.encode([PromptInput(history, f"Title {i} (1990)") for i in range(100)])
    seen = {"trunk": 0, "upper": 0}
    for name, layer in (("trunk", 0), ("upper", 3)):
        e.decoder.decoder.layers[layer].register_forward_hook(
            lambda module, given, out, name=name: seen.update({name: seen[name] + given[0].shape[:2].numel()})
        )
    read = ListScorer(e).read(prompts)
    ListScorer(e).scores(read, [weights_for(1, 2).expand(n_weights, -1)], "decomposition")
    alone = sum(len(p.ids) for p in prompts)
    assert 0 < seen["trunk"] < alone / 5 and 0 < seen["upper"] < alone / 5


def test_a_frame_with_the_target_before_the_history_has_no_embedding_of_the_history(backbone_folder):
    from recbole_apa.backbone.engine import ScoringEngine
    from recbole_apa.backbone.load import load_backbone
    from recbole_apa.core.settings import PromptSettings
    from tests.helpers.engines import ADAPTERS, CPU, settings

    words = PromptSettings("custom", {"frame": "{target}? {history}So:", "line": "{item}:{answer}\n"}, 300)
    s = settings(backbone_folder, embedding_pooling="history")
    with pytest.raises(PromptError, match=r"frame in which \{target\} comes last"):
        ScoringEngine(load_backbone(s, CPU), s, words, ADAPTERS, 1e9)


RANKING = {
    "eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "TO", "group_by": "user", "mode": "uni5"},
    "metrics": ["Recall", "NDCG"],
    "topk": [3],
    "valid_metric": "NDCG@3",
    "epochs": 1,
    "n_shards": 2,
}


@pytest.mark.slow
@pytest.mark.parametrize("aggregation", ["decomposition", "prediction"])
@pytest.mark.parametrize("pooling", ["last", "history"])
def test_a_ranking_run_gives_the_same_with_and_without_sharing(pooling, aggregation, options, tmp_path):
    asked = {**options, **RANKING, "embedding_pooling": pooling, "aggregation": aggregation, "tau": 10.0}
    made = [
        run("APA", "board", config_dict={**asked, "shared_prefixes": on}, run_dir=tmp_path / str(on))
        for on in (True, False)
    ]
    shared, alone = (dict(result.metrics) for result in made)
    assert shared["recbole.test.ndcg@3"] == alone["recbole.test.ndcg@3"]
    rows = made[0].data[2]._dataset.labelled[[0, 1]]
    torch.testing.assert_close(*(result.model.full_sort_predict(rows) for result in made))


def test_item_texts_alone_have_no_history_to_look_at(options, tmp_path):
    asked = {**options, "partition_fit": "items", "embedding_pooling": "history"}
    with pytest.raises(SettingsError, match="partition_fit: items embeds item texts without a history"):
        run("APA", "board", config_dict=asked, run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()
