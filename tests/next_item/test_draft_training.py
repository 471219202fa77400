"""A draft of each shard, aligned with the shard's own adapter: what it learns, from whom, and in which bits."""

from dataclasses import replace
from math import log

import pytest
import torch

from recbole_apa.adapters.merging import merged_changes
from recbole_apa.backbone.merged_layers import merged_layers
from recbole_apa.backbone.path_decoder import PathDecoder
from recbole_apa.backbone.split_decoder import SplitDecoder
from recbole_apa.core.errors import SettingsError
from recbole_apa.core.system.threads import one_thread
from recbole_apa.next_item.differences import differences
from recbole_apa.next_item.draft_training import TeacherBeams
from recbole_apa.next_item.fit import fit
from recbole_apa.next_item.generation import BeamDraft, Trie, beam_search
from recbole_apa.next_item.generation.alignment import ALPHA, OBJECTIVES
from recbole_apa.next_item.generation.draft_rows import DraftRows, draft_loss, taken_by_beams
from recbole_apa.next_item.generation.draft_students import ExitStudent
from recbole_apa.next_item.generation.objective import Decision, TitleSample
from recbole_apa.next_item.merged_titles import MergedTitles
from recbole_apa.next_item.sequences import targets_of
from recbole_apa.next_item.title_adapters import SCALE
from recbole_apa.next_item.title_training import TitleTrainer
from recbole_apa.next_item.titles import PromptReader, TitleModel
from tests.helpers.small_adapters import adapted_by, changed_state, users_of_shard, without_user
from tests.helpers.threads import on_one_and_three_threads


@pytest.fixture(scope="module")
def adapted(read):
    return adapted_by(read, draft_objective="atspeed-s", draft_beams=3, draft_epochs=3, draft_learning_rate=0.01)


def draft_of(trainer, shard, sequences, pairs):
    return trainer.draft(shard, trainer.lesson(sequences, pairs))["exit_map"]


def rows(nodes, taken, early, final):
    n = len(nodes)
    return DraftRows(nodes, taken, torch.tensor(early), torch.tensor(final), ((7,),) * n, (1,) * n)


def test_a_loss_is_the_mean_over_what_was_taken():
    """One state number, which is the logit of the first of two children; the other one's is 0."""
    logits = lambda states, node: torch.cat([states, torch.zeros_like(states)], 1)  # noqa: E731
    identity = ExitStudent(torch.tensor([[1.0, 0.0]]), logits)
    choices = rows((0, 4), ({0: 1}, {1: 1}), [[log(3.0)], [log(4.0)]], [[0.0], [0.0]])
    beams = rows((0, 4), ({0: 2, 1: 1}, {1: 1}), [[log(3.0)], [log(4.0)]], [[0.0], [log(1 / 4)]])
    chosen = -(log(3 / 4) + log(1 / 5)) / 2
    varied = (3 * 0.25 + 1 * 0.6) / 4
    found = draft_loss(identity, choices, beams, OBJECTIVES["atspeed-r"], 1, logits)
    assert float(found.detach()) == pytest.approx((1 - ALPHA) * chosen + ALPHA * varied)
    of_beams = -(2 * log(3 / 4) + log(1 / 4) + log(1 / 5)) / 4
    found = draft_loss(identity, choices, beams, OBJECTIVES["seq-kd"], 1, logits)
    assert float(found.detach()) == pytest.approx((1 - ALPHA) * chosen + ALPHA * of_beams)
    at_choices = (0.25 + 0.3) / 2
    found = draft_loss(identity, choices, choices, OBJECTIVES["tvd"], 1, logits)
    assert float(found.detach()) == pytest.approx((1 - ALPHA) * chosen + ALPHA * at_choices)


def test_rows_of_choices_and_of_beams():
    trie = Trie.of([(1, 2), (1, 3), (4, 5, 6), (4, 5, 7)])
    ends = [trie.item_of.index(item) for item in (1, 2, 0)]
    root, after_1, after_5 = 0, 1, 5
    assert taken_by_beams(trie, ends) == {root: {0: 2, 1: 1}, after_1: {0: 1, 1: 1}, after_5: {0: 1}}
    sample = TitleSample((), (Decision(3, root, 1), Decision(4, after_5, 0)), (1, 2), 2)
    found = DraftRows.of_choices(sample, (5, 6, 8), torch.zeros(2, 3), torch.ones(2, 3))
    assert found.nodes == (root, after_5) and found.taken == ({1: 1}, {0: 1})
    assert found.histories == ((5, 6, 8),) * 2 and found.n_read == (1, 2)
    both = DraftRows.together([found, found])
    assert both.nodes == found.nodes * 2 and both.early.shape == (4, 3) and both.n_read == (1, 2, 1, 2)


def test_states_below_the_adapters_are_those_of_the_lower_layers_alone(adapted, state):
    _, data, reader = adapted
    plain = SplitDecoder(reader.states.decoder.model, 0)
    trie = TitleModel(plain, reader.states.encoder, data.catalogue).trie
    layers = merged_layers(plain, merged_changes([state.learnt.adapters[0].pairs], [1.0], SCALE))
    ids = reader.states.encoder.encode(data.catalogue.texts[:3]).ids
    nodes = [0, *trie.path(trie.branching[-1])]
    with one_thread():
        decoder = PathDecoder(plain, trie.depth, layers, 3)
        whole = PromptReader(decoder, trie, decoder.start(ids))
        whole.read(nodes[1:])
        lower = PathDecoder(plain, trie.depth, layers[:3])
        below = PromptReader(lower, trie, lower.start(ids))
        below.read(nodes[1:])
    early, final = whole.states(nodes)
    assert torch.equal(early, torch.stack([below._cache.states[node] for node in nodes]))
    assert not torch.allclose(early, final, atol=1e-2)


def test_the_teachers_beams_are_the_searchs_own(adapted, state):
    """Its rows are of the branching nodes on the way to the best items, of which the user has read none."""
    settings, data, reader = adapted
    trainer = TitleTrainer(reader.states, data.catalogue, settings)
    user = trainer._users(users_of_shard(data, state, 0))[0]
    pupil = trainer._pupil(user, rows((), (), [], []))
    pairs = state.learnt.adapters[0].pairs
    plain = SplitDecoder(reader.states.decoder.model, 0)
    layers = merged_layers(plain, merged_changes([pairs], [1.0], SCALE))
    decoder = PathDecoder(plain, trainer._trie.depth, layers, 3)
    found = TeacherBeams(decoder, trainer._trie, len(data.catalogue), 3)(pupil)
    shown = user.sequence.shown(settings.history_length)
    before = shown[: user.sample.n_targets]
    assert targets_of(shown, user.sequence.n_held_out)[-1] == shown[len(before)]
    model = TitleModel(plain, reader.states.encoder, data.catalogue)
    chances = model.merged(merged_changes([pairs], [1.0], SCALE)).after(data.catalogue.columns(before))
    allowed = [item not in before for item in data.catalogue.items]
    expected = beam_search(chances, 3, 3, allowed)
    assert len(expected) == 3 and sum(allowed) == len(data.catalogue) - len(set(before))
    taken = taken_by_beams(model.trie, [one.node for one in expected])
    assert found.nodes == tuple(taken) and found.taken == tuple(taken.values())
    assert found.early.shape == found.final.shape == (len(taken), reader.states.decoder.hidden_size)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_alignment_lowers_its_own_loss(adapted, state, name):
    """Judged at the very rows that are trained on."""
    settings, data, reader = adapted
    settings = replace(settings, draft_objective=name, draft_epochs=8)
    seen = []
    trainer, shard = TitleTrainer(reader.states, data.catalogue, settings), 0
    pairs, own = state.learnt.adapters[shard].pairs, users_of_shard(data, state, shard)
    closed = TitleTrainer(reader.states, data.catalogue, replace(settings, draft_objective="none"))
    start, found = draft_of(closed, shard, own, pairs), draft_of(trainer, shard, own, pairs)
    users = trainer._users(own)
    with trainer._bank() as bank:
        bank.load(0, pairs)
        choices = trainer._choices(bank, users, trainer._below(users))
    plain = SplitDecoder(reader.states.decoder.model, 0)
    layers = merged_layers(plain, merged_changes([pairs], [1.0], SCALE))
    decoder = PathDecoder(plain, trainer._trie.depth, layers, 3)
    write = TeacherBeams(decoder, trainer._trie, len(data.catalogue), settings.draft_beams)
    with torch.no_grad():
        pupils = [trainer._pupil(user, one) for user, one in zip(users, choices, strict=True)]
        together = DraftRows.together(choices)
        beams = DraftRows.together([write(pupil) for pupil in pupils]) if OBJECTIVES[name].on_beams else together
        for exit_map in (start, found):
            draft = ExitStudent(exit_map, trainer.logits)
            seen.append(float(draft_loss(draft, together, beams, OBJECTIVES[name], 3, trainer.logits)))
    assert seen[1] < seen[0] - 0.005


def test_a_training_ends_with_the_draft_that_its_adapter_gives(adapted, state):
    settings, data, reader = adapted
    trainer = TitleTrainer(reader.states, data.catalogue, settings)
    adapter, draft = state.learnt.adapters[1], state.learnt.drafts[1]
    assert torch.equal(draft_of(trainer, 1, users_of_shard(data, state, 1), adapter.pairs), draft.exit_map)
    other = draft_of(trainer, 1, users_of_shard(data, state, 1), state.learnt.adapters[0].pairs)
    assert not torch.equal(other, draft.exit_map)


@pytest.mark.parametrize("name", ["atspeed-s", "word-kd"])
def test_the_number_of_threads_changes_no_bit_of_a_draft(adapted, state, name):
    settings, data, reader = adapted
    trainer = TitleTrainer(reader.states, data.catalogue, replace(settings, draft_objective=name))
    own, pairs = users_of_shard(data, state, 0), state.learnt.adapters[0].pairs
    assert torch.equal(*on_one_and_three_threads(lambda: draft_of(trainer, 0, own, pairs)))


def test_users_who_teach_a_draft_are_drawn_by_their_names(adapted, state):
    settings, data, reader = adapted
    few = TitleTrainer(reader.states, data.catalogue, replace(settings, draft_users=2))
    own, pairs = users_of_shard(data, state, 0), state.learnt.adapters[0].pairs
    assert len(own) > 3
    all_of_them = draft_of(TitleTrainer(reader.states, data.catalogue, settings), 0, own, pairs)
    assert not torch.equal(draft_of(few, 0, own, pairs), all_of_them)
    assert torch.equal(draft_of(few, 0, own, pairs), draft_of(few, 0, own, pairs))


def test_without_a_user_one_draft_has_the_bits_of_a_training_without_him(adapted, state):
    settings, data, reader = adapted
    new = without_user(data, "u8")
    found = changed_state(state, data, new, reader, settings)
    assert differences(found, fit(new, reader, settings, found.learnt.shard_of)) == []
    touched = state.learnt.shard_of["u8"]
    for k in range(settings.n_shards):
        same = torch.equal(found.learnt.drafts[k].exit_map, state.learnt.drafts[k].exit_map)
        assert same == (k != touched)
        assert (found.learnt.drafts[k].lineage == state.learnt.drafts[k].lineage) == (k != touched)


def test_a_missing_draft_is_trained_with_whatever_is_trained_next(adapted, state):
    settings, data, reader = adapted
    lacking = replace(state, learnt=replace(state.learnt, drafts=(None, *state.learnt.drafts[1:])))
    new = without_user(data, next(u for u, k in state.learnt.shard_of.items() if k == 1))
    expected = changed_state(state, data, new, reader, settings)
    assert differences(changed_state(lacking, data, new, reader, settings), expected) == []


def test_answers_are_the_same_with_another_draft_and_with_none(adapted, state, model):
    """Beams, scores and their bits: a draft may be stale, wrong or gone."""
    _, data, _ = adapted
    wrong = tuple(replace(draft, tensors={"exit_map": -draft.exit_map}) for draft in state.learnt.drafts)
    known = state.learnt.test
    for user in ("u9", "u10"):
        at, columns = known.states[known.users.index(user)], data.catalogue.columns(data.of_user[user].shown(6))
        found = []
        for drafts in (state.learnt.drafts, wrong):
            titles = MergedTitles(model, replace(state, learnt=replace(state.learnt, drafts=drafts)), 3)
            target, early = titles.of(user, at).after_with_exit(columns)
            draft = BeamDraft(model.trie, early, 8, 5)
            found.append(beam_search(target, 4, 4, [True] * len(data.catalogue), draft))
            assert early.n_passes > 0
        lacking = replace(state, learnt=replace(state.learnt, drafts=(None, *state.learnt.drafts[1:])))
        titles = MergedTitles(model, lacking, 3)
        with pytest.raises(ValueError, match="no early exit"):
            titles.of(user, at).after_with_exit(columns)
        found.append(beam_search(titles.after(user, at, columns), 4, 4, [True] * len(data.catalogue)))
        assert found[0] == found[1] == found[2]


def test_an_exit_without_layers_below_it_is_refused(adapted):
    settings, data, reader = adapted
    n_layers = reader.states.decoder.n_layers
    with pytest.raises(SettingsError, match="draft_objective"):
        TitleTrainer(reader.states, data.catalogue, replace(settings, adapter_layers=n_layers))
    TitleTrainer(reader.states, data.catalogue, replace(settings, adapter_layers=n_layers, draft_objective="none"))
    with pytest.raises(SettingsError, match="adapters: titles"):
        replace(settings, adapters="none")
