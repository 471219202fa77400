"""A draft model of each shard's own, and drafts aligned along their own beams: what they learn, in which bits."""

from collections import Counter
from dataclasses import replace

import pytest
import torch

from recbole_apa.core.errors import SettingsError
from recbole_apa.next_item.differences import differences
from recbole_apa.next_item.draft_training import DraftGround, DraftLesson, draws_of, first_draft
from recbole_apa.next_item.fit import fit
from recbole_apa.next_item.generation import BeamDraft, NodeChances, beam_search
from recbole_apa.next_item.generation.alignment import OBJECTIVES
from recbole_apa.next_item.generation.draft_rows import DraftRows, draft_loss, taken_by_beams
from recbole_apa.next_item.generation.draft_students import ExitStudent, ModelStudent, OwnReader
from recbole_apa.next_item.generation.item_network import ItemNetwork, SumsBelow
from recbole_apa.next_item.merged_titles import MergedTitles
from recbole_apa.next_item.settings import ALONG_BEAMS
from recbole_apa.next_item.title_drafts import lineage_of_draft
from recbole_apa.next_item.title_training import TitleTrainer
from recbole_apa.next_item.titles import TitleModel
from tests.helpers.small_adapters import adapted_by, changed_state, users_of_shard, without_user
from tests.helpers.threads import on_one_and_three_threads


@pytest.fixture(scope="module")
def adapted(read):
    return adapted_by(
        read,
        draft_kind="model",
        draft_objective="atspeed-r",
        draft_beams=3,
        draft_epochs=4,
        draft_model_size=6,
        draft_model_learning_rate=0.01,
    )


def lesson_of(adapted, state, shard=0, **more) -> tuple[TitleTrainer, DraftLesson]:
    """A shard's trainer and lesson, with some settings changed."""
    settings, data, reader = adapted
    trainer = TitleTrainer(reader.states, data.catalogue, replace(settings, **more))
    return trainer, trainer.lesson(users_of_shard(data, state, shard), state.learnt.adapters[shard].pairs)


def differ(one, other) -> bool:
    return bool(differences(one, other))


@pytest.mark.slow
def test_a_model_learns_from_what_its_shard_chose_and_shows_it_to_every_node(adapted, state):
    settings, data, _ = adapted
    trainer, lesson = lesson_of(adapted, state)
    own = users_of_shard(data, state, 0)
    assert [*lesson.chosen] == [s.user for s in own]
    user = next(s for s in own if len(s.items) > 4)
    shown = data.catalogue.columns(user.shown(settings.history_length))
    assert lesson.chosen[user.user] == tuple(shown[:-1])  # the last one is for validation
    pupil = next(pupil for pupil in lesson.pupils if pupil.user == user.user)
    assert pupil.history == tuple(shown[:-2]) and set(pupil.choices.histories) == {tuple(shown)}
    assert sorted(set(pupil.choices.n_read)) == [*range(1, len(shown) - 1)]
    before = ItemNetwork(len(data.catalogue), settings.history_length, 6, settings.seed).tensors()
    assert trainer.draft(0, lesson).keys() == before.keys()
    assert differ(trainer.draft(0, lesson), before)


def test_the_number_of_threads_changes_no_bit_of_a_model(adapted, state):
    def made():
        trainer, lesson = lesson_of(adapted, state, draft_student=0.5)
        return trainer.draft(0, lesson)

    assert not differ(*on_one_and_three_threads(made))


@pytest.mark.slow
def test_without_a_user_one_model_has_the_bits_of_a_training_without_him(adapted, state):
    settings, data, reader = adapted
    new = without_user(data, "u8")
    found = changed_state(state, data, new, reader, settings)
    assert not differ(found, fit(new, reader, settings, found.learnt.shard_of))
    for k in range(settings.n_shards):
        changed = set(differences(found.learnt.drafts[k], state.learnt.drafts[k]))
        assert changed == ({"tensors", "lineage"} if k == state.learnt.shard_of["u8"] else set())


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.quick("atspeed-s", "word-kd")
def test_alignment_lowers_its_own_loss(adapted, state, name):
    """Judged at the very rows that are trained on."""
    settings, seen = replace(adapted[0], draft_objective=name, draft_epochs=8), []
    trainer, lesson = lesson_of(adapted, state, draft_objective=name, draft_epochs=8)
    choices = DraftRows.together([pupil.choices for pupil in lesson.pupils])
    rows = DraftRows.together(lesson.written) if OBJECTIVES[name].on_beams else choices
    for objective in ("none", name):
        tensors = trainer.draft(0, lesson, replace(settings, draft_objective=objective))
        draft = ModelStudent(ItemNetwork.of(tensors), SumsBelow(trainer.identifiers.trie))
        seen.append(float(draft_loss(draft, choices, rows, OBJECTIVES[name], 3, trainer.logits).detach()))
    assert seen[1] < seen[0] - 0.005


def test_a_model_without_an_objective_needs_no_state_of_the_teacher(adapted, monkeypatch):
    settings, data, reader = adapted
    settings = replace(settings, draft_objective="none", adapter_layers=reader.states.decoder.n_layers)
    with monkeypatch.context() as patch:
        patch.setattr(TitleTrainer, "_choices", None)
        state = fit(data, reader, settings)
    assert all(draft.exit_map is None for draft in state.learnt.drafts)


@pytest.mark.slow
def test_a_model_is_aligned_where_all_layers_have_adapters(adapted):
    """There is no state below them, and none is needed."""
    settings, data, reader = adapted
    settings = replace(settings, adapter_layers=reader.states.decoder.n_layers, draft_student=0.3, draft_true=0.3)
    state = fit(data, reader, settings)
    plain = fit(data, reader, replace(settings, draft_objective="none", draft_student=0.0, draft_true=0.0))
    for one, other in zip(state.learnt.drafts, plain.learnt.drafts, strict=True):
        assert differ(one.tensors, other.tensors)


def test_merged_models_guess_by_the_users_weights_and_change_no_list(adapted, state):
    """Beams, scores and their bits: with the models, with wrong ones, and with one gone."""
    settings, data, reader = adapted
    model = TitleModel(reader.states.decoder, reader.states.encoder, data.catalogue)
    known, titles, allowed = state.learnt.test, MergedTitles(model, state, 3), [True] * len(data.catalogue)
    wrong = tuple(
        replace(draft, tensors={name: -part for name, part in draft.tensors.items()}) for draft in state.learnt.drafts
    )
    wrongly = MergedTitles(model, replace(state, learnt=replace(state.learnt, drafts=wrong)), 3)
    saved = 0
    for user in ("u9", "u10"):
        row = known.users.index(user)
        at, columns = known.states[row], data.catalogue.columns(data.of_user[user].shown(settings.history_length))
        plain = titles.after(user, at, columns)
        expected = beam_search(plain, 10, 10, allowed)
        weights = state.weights(at[None], state.own_rows([user]))[0]
        each = [ItemNetwork.of(draft.tensors).chances(columns) for draft in state.learnt.drafts]
        mean = sum(float(weight) * chances for weight, chances in zip(weights, each, strict=True))
        guess = titles.drafted(user, at, columns)
        assert torch.allclose(torch.tensor(guess.chances), torch.tensor(model.trie.sums_below(mean.tolist())))
        for guessed in (guess, wrongly.drafted(user, at, columns)):
            ahead = plain.fresh()
            assert beam_search(ahead, 10, 10, allowed, BeamDraft(model.trie, guessed, 20, 5)) == expected
            saved += plain.n_passes - ahead.n_passes
    assert saved > 0
    lacking = replace(state, learnt=replace(state.learnt, drafts=(None, *state.learnt.drafts[1:])))
    with pytest.raises(ValueError, match="one is gone"):
        MergedTitles(model, lacking, 3).drafted(user, at, columns)
    with pytest.raises(ValueError, match="no early exit"):
        titles.of(user, at).after_with_exit(columns)


@pytest.mark.parametrize("kind", ["exit", "model"])
def test_a_drafts_own_beams_are_those_of_its_own_search(adapted, state, kind):
    """An exit's against the search of a run with that exit; a model's against a search by its chances of items."""
    _, data, reader = adapted
    trainer, lesson = lesson_of(adapted, state, draft_kind=kind, draft_objective="atspeed-s")
    ground = DraftGround(
        trainer.identifiers.trie, len(data.catalogue), reader.states.decoder.hidden_size, trainer.logits
    )
    draft, pupil = first_draft(lesson, 0, trainer.settings, ground), lesson.pupils[2]
    found = lesson.written_by(draft, 2)
    allowed = [column not in pupil.history for column in range(len(data.catalogue))]
    if isinstance(draft, ExitStudent):
        model = TitleModel(reader.states.decoder, reader.states.encoder, data.catalogue)
        maps = tuple(replace(known, tensors=draft.tensors()) for known in state.learnt.drafts)
        alone = (state.learnt.adapters[0],) * len(maps)
        learnt = replace(state.learnt, drafts=maps, adapters=alone)
        titles = MergedTitles(model, replace(state, learnt=learnt), reader.states.decoder.n_layers - 1)
        _, guess = titles.of(pupil.user, state.learnt.valid.states[0]).after_with_exit(pupil.history)
        ends = [one.node for one in beam_search(guess, 3, 3, allowed)]
    else:
        assert isinstance(draft, ModelStudent)
        chances = draft.network.chances(pupil.history)
        best = (-chances.masked_fill(~torch.tensor(allowed), 0)).argsort(stable=True).tolist()
        ends = [ground.trie.item_of.index(column) for column in best]
        wide = beam_search(
            NodeChances(ground.trie, OwnReader(draft, lesson._readers[2], pupil.history)), 18, 18, allowed
        )
        assert [one.node for one in wide] == ends[: len(wide)]
        ends = [one.node for one in beam_search(NodeChances(ground.trie, _Told(draft, pupil)), 3, 3, allowed)]
    taken = taken_by_beams(ground.trie, ends)
    assert dict(zip(found.nodes, found.taken, strict=True)) == taken
    teacher = lesson.teacher().start(pupil)
    teacher.read(sorted({row for node in taken for row in ground.trie.path(node)}))
    assert torch.allclose(found.final, teacher.states(found.nodes)[1], atol=1e-5)


class _Told:
    """Says of nodes what a model's chances of items sum up to."""

    def __init__(self, draft, pupil):
        self._scores = draft.network.scores(draft.network.after_each([pupil.history])[0, -1:]).detach()
        self._below = draft._below

    def read(self, nodes):
        raise AssertionError("nothing is to be read")

    def has(self, node):
        return True

    def logits(self, node, tokens):
        return self._below(self._scores, node)[0]


@pytest.mark.quick(1)
@pytest.mark.parametrize("kind", ["exit", "model"])
def test_where_a_draft_is_aligned_is_drawn_by_user_and_epoch(adapted, state, monkeypatch, kind):
    more = {"draft_kind": kind, "draft_student": 0.4, "draft_true": 0.3, "draft_epochs": 5, "draft_learning_rate": 0.05}
    trainer, lesson = lesson_of(adapted, state, **more)
    seen, real = [], DraftLesson.written_by

    def watched(self, draft, at):
        seen.append((self.pupils[at].user, draft.tensors()))
        return real(self, draft, at)

    monkeypatch.setattr(DraftLesson, "written_by", watched)
    mixed = trainer.draft(0, lesson)
    expected = Counter()
    for pupil in lesson.pupils:
        for epoch in range(5):
            original, student = draws_of(pupil.user, epoch, trainer.settings.seed)
            expected[pupil.user] += original >= 0.3 and student < 0.4
    assert Counter(user for user, _ in seen) == +expected and 2 < len(seen) < 5 * len(lesson.pupils)
    assert differ(seen[0][1], seen[-1][1])  # beams of the draft as it is then
    shares = {"all true": (1.0, 0.0), "all of its own": (0.0, 1.0), "all the teacher's": (0.0, 0.0)}
    found = {}
    for name, (true, student) in shares.items():
        seen.clear()
        settings = replace(trainer.settings, draft_true=true, draft_student=student)
        found[name] = trainer.draft(0, lesson, settings)
        assert len(seen) == (5 * len(lesson.pupils) if student else 0)
    kinds = [*found.values(), mixed]
    assert all(differ(one, other) for i, one in enumerate(kinds) for other in kinds[:i])


def test_draws_are_even_and_of_their_own():
    draws = [draws_of(f"u{user}", epoch, 1) for user in range(60) for epoch in range(10)]
    for numbers in zip(*draws, strict=True):
        assert min(numbers) >= 0 and max(numbers) < 1 and abs(sum(numbers) / 600 - 0.5) < 0.05
    assert len(set(draws)) == 600 and draws_of("u1", 0, 2) != draws_of("u1", 0, 1)


def test_older_drafts_keep_their_lineage(adapted, state):
    """The digest of before there were kinds of drafts: worked out by that code, at commit d0a36db."""
    settings, _, _ = adapted
    zeros = replace(state.learnt.adapters[0], layers=("layer",), factors=(torch.zeros(2, 3), torch.ones(4, 2)))
    old = replace(
        settings,
        draft_kind="exit",
        draft_objective="tvd",
        draft_beams=3,
        draft_epochs=3,
        draft_learning_rate=0.01,
    )
    lineage = lineage_of_draft(1, replace(zeros, lineage="ab"), old)
    assert lineage == "f41617b475ba6594793035d1119fbab13b9f7d7cceba1add30f657ce35426c7e"
    assert lineage == lineage_of_draft(1, replace(zeros, lineage="ab"), replace(old, draft_model_size=9))
    model = replace(old, draft_kind="model", draft_objective="atspeed-s")
    others = [old, model, replace(model, draft_model_size=9), replace(model, draft_model_learning_rate=0.5)]
    others += [replace(model, draft_student=0.5), replace(model, draft_true=0.5)]
    assert len({lineage_of_draft(1, zeros, one) for one in others}) == len(others)


def test_what_does_not_go_together_is_refused(adapted):
    settings, _, _ = adapted
    assert tuple(name for name, one in OBJECTIVES.items() if one.on_beams) == ALONG_BEAMS
    with pytest.raises(SettingsError, match="draft_kind: found model without adapters"):
        replace(settings, adapters="none", draft_objective="none")
    for name in ("draft_student", "draft_true"):
        with pytest.raises(SettingsError, match=f"{name}: found 0.5 with draft_objective: word-kd"):
            replace(settings, draft_objective="word-kd", **{name: 0.5})
        with pytest.raises(SettingsError, match=name):
            replace(settings, **{name: 1.5})
