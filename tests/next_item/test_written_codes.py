"""Codes that the language model writes: every search, the training of a shard, and what forgetting a user moves."""

import random
from dataclasses import replace

import pytest
import torch

from recbole_apa.adapters.merging import merged_changes
from recbole_apa.core.errors import SettingsError
from recbole_apa.core.system.threads import one_thread
from recbole_apa.next_item.differences import differences
from recbole_apa.next_item.fit import fit
from recbole_apa.next_item.generation import BeamDraft, HeadGuess, ItemCodes, beam_search, best_first, rank_all
from recbole_apa.next_item.identifiers import alphabet_of, codes_of, identifiers_of, refuse_long
from recbole_apa.next_item.merged_titles import MergedTitles
from recbole_apa.next_item.sequences import targets_of
from recbole_apa.next_item.title_adapters import SCALE
from recbole_apa.next_item.title_training import TitleTrainer
from recbole_apa.next_item.titles import TitleModel
from tests.helpers.small_adapters import adapted_by, changed_state, loss_of, without_user
from tests.helpers.threads import on_one_and_three_threads

ALL = [True] * 18


@pytest.fixture(scope="module")
def adapted(read):
    """With codes of two levels that items share."""
    return adapted_by(read, adapters="codes", code_levels=2, code_size=3, adapter_epochs=3)


@pytest.fixture(scope="module")
def codes(adapted) -> ItemCodes:
    settings, data, reader = adapted
    return codes_of(reader.states, data.catalogue, reader.grid, settings)


@pytest.fixture(scope="module")
def model(adapted, codes) -> TitleModel:
    _, data, reader = adapted
    return TitleModel(reader.states.decoder, reader.states.encoder, data.catalogue, codes)


def test_a_code_is_a_token_a_level_and_one_more_where_items_share_it(adapted, codes, model):
    _, data, reader = adapted
    written, encoder = model.identifiers.tokens, reader.states.encoder
    rows = [tuple(row) for row in codes.numbers.tolist()]
    assert len(set(rows)) < 18 == len(set(written))  # 9 codes at most
    assert all(
        len(code) == 2 + (rows.count(row) > 1) + (rows.count(row) > 3) for row, code in zip(rows, written, strict=True)
    )
    alphabet = alphabet_of(encoder, 2, 3)
    assert len(set(alphabet)) == 9 and all(code[0] in alphabet[:3] and code[1] in alphabet[3:6] for code in written)
    text = encoder._tokenizer.decode(list(model.identifiers.lines[0]))
    assert text.endswith(data.catalogue.texts[0] + "\n") and text[:2].isalnum()


def test_the_ranking_is_a_distribution_and_equals_plain_scores(adapted, model):
    """Against transformers' own pass of the history, as it shows codes, and each code."""
    _, _, reader = adapted
    chances = model.after([3, 17, 5])
    scores = rank_all(chances)
    assert abs(float(scores.exp().sum()) - 1) < 1e-9 and chances.n_passes == 1
    items, trie = model.identifiers, model.trie
    prompt = list(reader.states.encoder.encode_lines(items.lines_of([3, 17, 5])).ids)
    for column, code in enumerate(items.tokens):
        with torch.no_grad():
            logits = reader.states.decoder.model(torch.tensor([[*prompt, *code]])).logits[0].double()
        told, node = 0.0, 0
        for place, token in enumerate(code):
            below = [trie.tokens[child] for child in trie.children[node]]
            told += float(torch.log_softmax(logits[len(prompt) - 1 + place, below], 0)[below.index(token)])
            node = trie.children[node][below.index(token)]
        assert trie.item_of[node] == column and told == pytest.approx(float(scores[column]), abs=1e-4)


@pytest.mark.slow
def test_best_first_wide_beams_and_drafted_ones_give_the_exact_list(model):
    assert model.keeps_bits()
    draw, saved = random.Random(3), 0
    for _ in range(4):
        history = [draw.randrange(18) for _ in range(draw.randint(1, 5))]
        scores = rank_all(model.after(history))
        order = sorted(range(18), key=lambda c: (-float(scores[c]), c))
        first = best_first(model.after(history), 10, ALL)
        assert [(model.trie.item_of[one.node], one.score) for one in first] == [
            (c, float(scores[c])) for c in order[:10]
        ]
        assert beam_search(model.after(history), 18, 10, ALL) == first
        plain = model.after(history)
        expected = beam_search(plain, 4, 4, ALL)
        for chances in (scores.exp().tolist(), [draw.random() for _ in range(18)]):
            ahead = plain.fresh()
            draft = BeamDraft(model.trie, HeadGuess(model.trie, model.trie.sums_below(chances)), 8, 3)
            assert beam_search(ahead, 4, 4, ALL, draft) == expected  # scores in every bit
            assert ahead.n_passes <= plain.n_passes
            saved += plain.n_passes - ahead.n_passes
    assert saved >= 4


def test_the_loss_is_minus_the_log_chance_of_the_ranking(adapted, codes, model):
    settings, data, reader = adapted
    trainer = TitleTrainer(reader.states, data.catalogue, settings, codes)
    sequence = data.of_user["u10"]
    shown = sequence.shown(settings.history_length)
    targets = data.catalogue.columns(targets_of(shown, sequence.n_held_out))
    assert len(targets) >= 3
    expected = 0.0
    with torch.no_grad(), one_thread():
        for n, column in enumerate(targets, start=1):
            expected -= float(rank_all(model.after(data.catalogue.columns(shown[:n])))[column])
        assert loss_of(trainer, sequence) == pytest.approx(expected, abs=1e-3)


@pytest.mark.slow
def test_training_raises_the_chance_of_what_the_shard_chose(adapted, state, model):
    settings, data, _ = adapted
    before, after = 0.0, 0.0
    for user, shard in state.learnt.shard_of.items():
        sequence = data.of_user[user]
        shown = sequence.shown(settings.history_length)
        targets = targets_of(shown, sequence.n_held_out)
        merged = model.merged(merged_changes([state.learnt.adapters[shard].pairs], [1.0], SCALE))
        history, target = data.catalogue.columns(shown[: len(targets)]), data.catalogue.column(targets[-1])
        before += float(rank_all(model.after(history))[target])
        after += float(rank_all(merged.after(history))[target])
    assert after > before + 1


@pytest.mark.slow
def test_without_a_user_no_code_moves_and_one_adapter_has_the_bits_of_a_training_without_him(adapted, state):
    settings, data, reader = adapted
    new = without_user(data, "u8")
    found = changed_state(state, data, new, reader, settings)
    again = fit(new, reader, settings, found.learnt.shard_of)
    assert differences(found, again) == [] and again.codes is not found.codes
    assert differences(found.codes, state.codes) == []
    touched = state.learnt.shard_of["u8"]
    for k in range(settings.n_shards):
        changed = differences(found.learnt.adapters[k].factors, state.learnt.adapters[k].factors)
        assert bool(changed) == (k == touched)


@pytest.mark.slow
def test_the_number_of_threads_moves_no_code_and_no_bit_of_an_adapter(adapted, codes):
    settings, data, reader = adapted

    def made():
        own = codes_of(reader.states, data.catalogue, reader.grid, settings)
        taught = TitleTrainer(reader.states, data.catalogue, settings, own)(0, data.sequences)
        return own, tuple(part for name in sorted(taught.pairs) for part in taught.pairs[name])

    found = on_one_and_three_threads(made)
    assert differences(found[0], found[1]) == [] and differences(found[0][0], codes) == []


def test_merged_adapters_write_the_users_own_codes_and_an_exit_drafts_the_same_list(adapted, state):
    _, data, reader = adapted
    model = TitleModel(reader.states.decoder, reader.states.encoder, data.catalogue, state.codes)
    known = state.learnt.test
    at = known.states[known.users.index("u9")]
    target, early = MergedTitles(model, state, 3).of("u9", at).after_with_exit([0, 1, 2])
    scores = rank_all(target.fresh())
    assert abs(float(scores.exp().sum()) - 1) < 1e-9 and not torch.equal(scores, rank_all(model.after([0, 1, 2])))
    draft = BeamDraft(model.trie, early, 8, 3)
    assert beam_search(target.fresh(), 4, 4, ALL, draft) == beam_search(target.fresh(), 4, 4, ALL)


def test_what_cannot_be_written_is_refused(adapted, codes, monkeypatch):
    settings, data, reader = adapted
    with pytest.raises(SettingsError, match=r"found 3 and 40, which take 160 tokens .* has 72"):
        codes_of(reader.states, data.catalogue, reader.grid, replace(settings, code_levels=3, code_size=40))
    items = identifiers_of(data.catalogue, reader.states.encoder, codes)
    shown = data.of_user["u10"].shown(settings.history_length)
    n_titles = len(reader.states.encoder.encode(data.catalogue.texts_of(shown)).ids)
    monkeypatch.setattr(reader.states, "_most", n_titles)  # as titles it just fits
    reader.states.refuse_long([data.catalogue.texts_of(shown)])
    with pytest.raises(SettingsError, match="show fewer items"):
        refuse_long(items, reader.states, data.catalogue, data.sequences)
    with pytest.raises(SettingsError, match="show fewer items"):
        fit(data, reader, settings)
    assert codes_of(reader.states, data.catalogue, reader.grid, replace(settings, adapters="titles")) is None
