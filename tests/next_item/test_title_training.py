"""An adapter for titles of each shard: what it learns, in which bits, and how it is merged."""

from dataclasses import replace

import pytest
import torch

from recbole_apa.adapters.bank import AdapterBank
from recbole_apa.adapters.merging import merged_changes
from recbole_apa.backbone.load import load_backbone
from recbole_apa.backbone.merged_layers import merged_layers
from recbole_apa.backbone.path_decoder import PathDecoder
from recbole_apa.backbone.split_decoder import SplitDecoder
from recbole_apa.core.errors import BackboneError, SettingsError
from recbole_apa.core.settings import AdapterSettings, BackboneSettings
from recbole_apa.core.system.threads import one_thread
from recbole_apa.next_item.differences import differences
from recbole_apa.next_item.exit_map import fit_exit_map, merged_map, through
from recbole_apa.next_item.fit import fit
from recbole_apa.next_item.generation import BeamDraft, Trie, beam_search, rank_all, title_tokens
from recbole_apa.next_item.generation.objective import TitleDecisions
from recbole_apa.next_item.merged_titles import MergedTitles
from recbole_apa.next_item.sequences import targets_of
from recbole_apa.next_item.title_adapters import SCALE, TitleAdapter
from recbole_apa.next_item.title_training import MODULES, TitleTrainer
from tests.helpers.small_adapters import adapted_by, changed_state, loss_of, without_user
from tests.helpers.threads import on_one_and_three_threads


@pytest.fixture(scope="module")
def adapted(read):
    return adapted_by(read, adapter_epochs=2)


def test_the_loss_is_minus_the_log_chance_of_the_ranking(adapted, model):
    """One pass over a history against one exact ranking for each of its prefixes."""
    settings, data, reader = adapted
    trainer = TitleTrainer(reader.states, data.catalogue, settings)
    sequence = data.of_user["u10"]
    shown = sequence.shown(settings.history_length)
    targets = data.catalogue.columns(targets_of(shown, sequence.n_held_out))
    assert len(targets) >= 3
    expected = 0.0
    with torch.no_grad(), one_thread():
        for n, column in enumerate(targets, start=1):
            expected -= float(rank_all(model.after(data.catalogue.columns(shown[:n])))[column])
        assert loss_of(trainer, sequence) == pytest.approx(expected, abs=1e-3)


def test_what_tells_repeated_titles_apart_is_not_learnt():
    line = lambda text: [*map(ord, text), 10]  # noqa: E731
    texts, items = ("ab", "ab", "ac", "b"), ("i", "j", "k", "l")
    trie = Trie.of(title_tokens(texts, items, line))
    decisions = TitleDecisions(trie, [line(text) for text in texts])
    ids = [*line("b"), *line("ab"), *line("ac")]
    sample = decisions.sample(ids, [1, 4, 7], [0, 2])
    places = [(step.place, trie.tokens[trie.children[step.node][step.child]]) for step in sample.decisions]
    # root; b or c after a; the two "ab (" part only at the id, which the history does not spell
    assert places == [(1, ord("a")), (2, ord("b")), (4, ord("a")), (5, ord("c"))]
    assert sample.ids == tuple(ids[:6]) and sample.n_targets == 2


def test_training_raises_the_chance_of_what_the_shard_chose(adapted, state, model):
    settings, data, _ = adapted
    before, after = 0.0, 0.0
    for sequence in data.sequences:
        if sequence.user not in state.learnt.shard_of:
            continue
        shard, shown = state.learnt.shard_of[sequence.user], sequence.shown(settings.history_length)
        merged = model.merged(merged_changes([state.learnt.adapters[shard].pairs], [1.0], SCALE))
        target = data.catalogue.column(targets_of(shown, sequence.n_held_out)[-1])
        history = data.catalogue.columns(shown[: len(targets_of(shown, sequence.n_held_out))])
        before += float(rank_all(model.after(history))[target])
        after += float(rank_all(merged.after(history))[target])
    assert after > before + 1


@pytest.mark.slow
def test_the_number_of_threads_changes_no_bit_of_an_adapter(adapted):
    settings, data, reader = adapted
    found = on_one_and_three_threads(lambda: TitleTrainer(reader.states, data.catalogue, settings)(0, data.sequences))
    other = TitleTrainer(reader.states, data.catalogue, replace(settings, seed=2))(0, data.sequences)
    one, again, other = (TitleAdapter.of(taught.pairs, "") for taught in (*found, other))
    assert differences(one, again) == [] and differences(one.factors, other.factors)
    assert torch.equal(found[0].draft["exit_map"], found[1].draft["exit_map"])
    assert any(bool(factor.any()) for factor in one.factors[1::2])  # B starts at zero


def test_training_leaves_the_backbone_as_it_was(adapted):
    settings, data, reader = adapted
    model = reader.states.decoder.model
    before = {name: (id(module), type(module)) for name, module in model.named_modules()}
    read = reader.states.after_each(data.catalogue.texts[:4])
    TitleTrainer(reader.states, data.catalogue, settings)(0, data.sequences[:3])
    assert before == {name: (id(module), type(module)) for name, module in model.named_modules()}
    assert torch.equal(read, reader.states.after_each(data.catalogue.texts[:4]))


def test_without_a_user_one_adapter_has_the_bits_of_a_training_without_him(adapted, state):
    settings, data, reader = adapted
    new = without_user(data, "u8")
    found = changed_state(state, data, new, reader, settings)
    assert differences(found, fit(new, reader, settings, found.learnt.shard_of)) == []
    touched = state.learnt.shard_of["u8"]
    for k in range(settings.n_shards):
        for part in ("adapters", "drafts"):
            changed = differences(getattr(found.learnt, part)[k], getattr(state.learnt, part)[k])
            assert bool(changed) == (k == touched)
    assert differences(found.learnt.adapters[touched].factors, state.learnt.adapters[touched].factors)


def test_one_adapter_of_all_the_weight_is_that_adapter_as_peft_applies_it(adapted, state, backbone_folder):
    """Against transformers' own pass through the stacked layers that adapters are trained in."""
    _, data, reader = adapted
    pairs = [adapter.pairs for adapter in state.learnt.adapters]
    settings = BackboneSettings(str(backbone_folder), "float32", None, None, False, 0, "trunk", "last", True, None)
    backbone = load_backbone(settings, torch.device("cpu"))
    split = SplitDecoder(backbone.model, SplitDecoder(backbone.model, 0).n_layers - 1)
    bank = AdapterBank(backbone.model, split.layer_prefixes(), AdapterSettings("lora", 2, 4.0, False, 0.0, MODULES, ()))
    bank.resize(3)
    for k, pair in enumerate(pairs):
        bank.load(k, pair)
    ids = reader.states.encoder.encode(data.catalogue.texts[:3]).ids
    plain = reader.states.decoder
    for weights in ([0.0, 1.0, 0.0], [0.2, 0.5, 0.3]):
        changes = merged_changes(pairs, weights, SCALE)
        ours = PathDecoder(plain, 8, merged_layers(plain, changes)).start(ids).root
        with torch.no_grad(), bank.mixed(torch.tensor([weights])):
            theirs = split.upper(split.trunk([ids]))[0, -1]
        assert torch.allclose(ours, theirs, atol=1e-4)
        assert not torch.allclose(ours, PathDecoder(plain, 8).start(ids).root, atol=1e-3)
    one = merged_changes(pairs, [0.0, 1.0, 0.0], SCALE)
    alone = merged_changes(pairs[1:2], [1.0], SCALE)
    assert all(torch.equal(one[name], alone[name]) for name in one)


def test_merged_titles_keep_bits_and_are_the_users_own(state, model):
    titles, known = MergedTitles(model, state, 3), state.learnt.test
    assert titles.of("u9", known.states[known.users.index("u9")]).keeps_bits()
    history = [0, 1, 2]
    scores = rank_all(titles.after("u9", known.states[known.users.index("u9")], history))
    assert abs(float(scores.exp().sum()) - 1) < 1e-9 and not torch.equal(scores, rank_all(model.after(history)))


def test_what_does_not_fit_is_refused(adapted, state):
    settings, data, reader = adapted
    with pytest.raises(SettingsError, match="adapter_layers"):
        TitleTrainer(reader.states, data.catalogue, replace(settings, adapter_layers=99))
    attention = reader.states.decoder.layers[0].self_attn
    attention.q_norm = torch.nn.Identity()
    with pytest.raises(BackboneError, match="plain attention"):
        TitleTrainer(reader.states, data.catalogue, settings)
    del attention.q_norm
    plain, changes = reader.states.decoder, merged_changes([state.learnt.adapters[0].pairs], [1.0], SCALE)
    name = next(iter(changes))
    for wrong in ({"model.layers.77.x": changes[name]}, {name: changes[name][:-1]}):
        with pytest.raises(BackboneError, match="does not fit the backbone"):
            merged_layers(plain, wrong)
    with pytest.raises(ValueError, match="like layers"):
        merged_changes([state.learnt.adapters[0].pairs], [0.5, 0.5], SCALE)


def test_an_early_exit_guesses_better_than_chance_and_changes_no_list(adapted, state, model):
    _, data, _ = adapted
    titles, known, apart = MergedTitles(model, state, 3), state.learnt.test, []
    for user in ("u9", "u10"):
        history = data.catalogue.columns(data.of_user[user].shown(6))
        target, early = titles.of(user, known.states[known.users.index(user)]).after_with_exit(history)
        expected = beam_search(target.fresh(), 4, 4, [True] * len(data.catalogue))
        draft = BeamDraft(model.trie, early.fresh(), 8, 5)
        assert beam_search(found := target.fresh(), 4, 4, [True] * len(data.catalogue), draft) == expected
        assert found.n_passes <= target.n_passes + len(expected)
        scores, guessed = rank_all(target.fresh()), rank_all(early.fresh())
        apart.append((float((scores - guessed).abs().mean()), float((scores - scores.mean()).abs().mean())))
        assert early.n_passes == 0  # a fresh one was read
    assert all(error < spread for error, spread in apart)


def test_an_exit_map_is_the_regression_of_its_rows():
    x, y = torch.randn(200, 5), torch.randn(5, 5)
    found = fit_exit_map([(x[:70], x[:70] @ y + 1), (x[70:], x[70:] @ y + 1)], 5)
    assert torch.allclose(found[:, :-1].T, y, atol=0.1) and torch.allclose(found[:, -1], torch.ones(5), atol=0.1)
    assert torch.allclose(through(found, x[0]), x[0] @ y + 1, atol=0.3)
    assert torch.equal(through(fit_exit_map([], 5), x[0]), x[0])
    assert torch.allclose(merged_map([found, 2 * found], [0.5, 0.25]), found)


def test_what_an_exit_says_is_what_its_layers_and_map_say(adapted, state, model):
    """Against transformers' own pass of the lower layers."""
    _, data, reader = adapted
    user = "u9"
    known = state.learnt.test
    merged = MergedTitles(model, state, 3).of(user, known.states[known.users.index(user)])
    _, early = merged.after_with_exit([0, 1, 2])
    assert merged._early is not None
    trunk = SplitDecoder(reader.states.decoder.model, 3)
    ids = reader.states.encoder.encode(data.catalogue.texts[:3]).ids
    node = model.trie.branching[0]
    path = [model.trie.tokens[step] for step in model.trie.path(node)]
    below = trunk.trunk([[*ids, *path]])[0][-1]
    at = through(merged._early[0].exit_map, reader.states.decoder.decoder.norm(below))
    head = reader.states.decoder.model.get_output_embeddings().weight
    expected = torch.log_softmax(head[[model.trie.tokens[c] for c in model.trie.children[node]]] @ at, 0)
    early.fetch([node])
    assert torch.allclose(torch.tensor(early.log_chances(node)).float(), expected.detach(), atol=1e-4)
    with pytest.raises(ValueError, match="no early exit"):
        model.after_with_exit([0])
