"""Slices of a shard's users: one after another, from where the last one ended, in the same bits from any of them."""

from dataclasses import fields, replace

import pytest
import torch

from recbole_apa.adapters.moments import Moment
from recbole_apa.core.errors import SettingsError
from recbole_apa.core.places import Slices
from recbole_apa.core.seeding import hash_order
from recbole_apa.next_item.differences import differences
from recbole_apa.next_item.fit import fit
from recbole_apa.next_item.generation.draft_students import EXIT_MAP
from recbole_apa.next_item.settings import NextItemSettings
from recbole_apa.next_item.title_adapters import Left, RestartPoint, Span
from recbole_apa.next_item.title_course import Schedule
from recbole_apa.next_item.title_slices import DECIDE, first_slices, lineage_of_prefix
from recbole_apa.next_item.title_training import TitleTrainer
from tests.helpers.small_adapters import adapted_by
from tests.helpers.threads import on_one_and_three_threads


@pytest.fixture(scope="module")
def sliced(read):
    """Options, data and reader of the small dataset, with adapters on the upper layer and three slices."""
    return adapted_by(read, adapter_epochs=2, adapter_batch=2, shard_slices=3)


def trainer_of(sliced, **changes) -> TitleTrainer:
    settings, data, reader = sliced
    return TitleTrainer(reader.states, data.catalogue, replace(settings, **changes))


def point_of(left: Left) -> RestartPoint:
    return RestartPoint.of(left, "00")


def same(one, other) -> bool:
    """Whether two adapters are the same, bit for bit."""
    return (
        differences(point_of(Left(one, dict.fromkeys(one, ()))), point_of(Left(other, dict.fromkeys(other, ())))) == []
    )


def test_one_slice_is_a_training_without_slices(sliced):
    """All users of the shard in one order of batches, with one schedule."""
    _, data, _ = sliced
    trainer = trainer_of(sliced, shard_slices=1)
    found = trainer(2, data.sequences)
    settings, users = trainer.settings, trainer._users(data.sequences)
    schedule = Schedule(settings.adapter_epochs, settings.adapter_learning_rate, settings.adapter_batch)
    with trainer._bank() as bank:
        below, names = trainer._below(users), [user.sequence.user for user in users]
        course = schedule.course(bank.parameters(), len(users), 2)
        bank.train(True)
        for epoch in range(settings.adapter_epochs):
            order = hash_order(names, settings.seed, "title batches", 2, epoch)
            for i in range(0, len(order), settings.adapter_batch):
                rows = order[i : i + settings.adapter_batch]
                trainer._step(course, bank, [users[row].sample for row in rows], [below[row] for row in rows])
        expected = bank.extract(0)
    assert same(found.pairs, expected) and found.left == ()


def test_a_slice_is_trained_through_all_epochs_before_the_next(sliced, monkeypatch):
    settings, data, _ = sliced
    seen, real = [], TitleTrainer._step

    def watched(self, course, bank, samples, below):
        seen.append((course.place.cut, course.step, float(course.optimizer.param_groups[0]["lr"])))
        return real(self, course, bank, samples, below)

    monkeypatch.setattr(TitleTrainer, "_step", watched)
    trainer_of(sliced)(0, data.sequences)
    slices = Slices(3, settings.seed)
    users = [s.user for s in data.sequences if s.user not in ("u0", "u1")]
    sizes = [sum(slices.of(user) == cut for user in users) for cut in range(3)]
    assert min(sizes) >= 1 and sum(sizes) == len(users)
    expected = [(cut, step) for cut, size in enumerate(sizes) for step in range(2 * -(-size // 2))]
    assert [(cut, step) for cut, step, _ in seen] == expected
    for cut in range(3):  # warm-up and decay begin anew, and look at the slice alone
        rates = [rate for place, _, rate in seen if place == cut]
        assert rates[-1] < max(rates) and max(rates) == pytest.approx(settings.adapter_learning_rate)


@pytest.mark.quick(1)
@pytest.mark.parametrize("begin", [1, 2])
def test_a_restart_gives_the_bits_of_the_whole_training(sliced, begin):
    _, data, _ = sliced
    trainer = trainer_of(sliced)
    whole = trainer(0, data.sequences)
    assert len(whole.left) == 2 and not same(whole.left[0].pairs, whole.left[1].pairs)
    again = trainer(0, data.sequences, Span(begin, None, point_of(whole.left[begin - 1])))
    assert same(again.pairs, whole.pairs) and torch.equal(again.draft[EXIT_MAP], whole.draft[EXIT_MAP])
    assert [differences(point_of(a), point_of(b)) for a, b in zip(again.left, whole.left[begin:], strict=True)] == (
        [[]] * (2 - begin)
    )
    point = point_of(whole.left[begin - 1])
    zeros = tuple(Moment(*map(torch.zeros_like, moment)) for moment in point.moments)
    without = trainer(0, data.sequences, Span(begin, None, replace(point, moments=zeros)))
    assert not same(without.pairs, whole.pairs)  # moments go on


def test_a_training_that_ends_early_has_seen_nobody_of_later_slices(sliced):
    settings, data, _ = sliced
    trainer, slices = trainer_of(sliced), Slices(3, settings.seed)
    whole = trainer(0, data.sequences)
    for end in (1, 2):
        few = [s for s in data.sequences if slices.of(s.user) < end]
        for sequences in (data.sequences, few):
            found = trainer(0, sequences, Span(end=end))
            assert found.draft is None and len(found.left) == end
            assert same(found.pairs, whole.left[end - 1].pairs)


def test_an_empty_slice_leaves_what_was_there(sliced):
    settings, data, _ = sliced
    slices = Slices(3, settings.seed)
    lacking = [s for s in data.sequences if slices.of(s.user) != 0]
    first, second = trainer_of(sliced)(0, lacking).left
    start = trainer_of(sliced)(0, [])
    assert same(first.pairs, start.pairs) and not same(second.pairs, first.pairs)
    assert all(not bool(x.any()) for moments in first.moments.values() for m in moments for x in m)
    assert same(
        trainer_of(sliced)(0, lacking, Span(1, None, point_of(first))).pairs, trainer_of(sliced)(0, lacking).pairs
    )


def test_the_number_of_threads_changes_no_bit(sliced):
    _, data, _ = sliced
    found = on_one_and_three_threads(lambda: trainer_of(sliced)(0, data.sequences))
    assert [differences(point_of(a), point_of(b)) for a, b in zip(*(f.left for f in found), strict=True)] == [[], []]
    assert same(found[0].pairs, found[1].pairs)


def test_a_state_has_the_points_of_every_shard_and_what_is_behind_them(sliced):
    settings, data, reader = sliced
    state = fit(data, reader, settings)
    learnt = state.learnt
    assert [len(points) for points in learnt.points] == [2] * settings.n_shards
    for shard, points in enumerate(learnt.points):
        for cut, point in enumerate(points, start=1):
            assert point.adapter.lineage == lineage_of_prefix(shard, cut, learnt, settings)
    lineages = {
        lineage_of_prefix(0, 2, learnt, changed)
        for changed in (settings, replace(settings, seed=5), replace(settings, adapter_epochs=1))
    }
    slices = Slices(3, settings.seed)
    for user in learnt.lineage:
        other = replace(learnt, lineage={**learnt.lineage, user: ("0", "0")})
        hit = learnt.shard_of.get(user) == 0 and slices.of(user) < 2
        assert (lineage_of_prefix(0, 2, other, settings) not in lineages) == hit
        lineages.add(lineage_of_prefix(0, 2, other, settings))
    assert len(lineages) >= 4


def test_every_option_that_decides_an_adapter_is_behind_its_points():
    own = {f.name for f in fields(NextItemSettings) if f.name.startswith("adapter")}
    assert own <= set(DECIDE) <= {f.name for f in fields(NextItemSettings)}


def test_the_first_slice_that_holds_one_of_some_users(sliced):
    settings, _, _ = sliced
    slices = Slices(3, settings.seed)
    users = [(f"u{n}", n % 2) for n in range(14)]
    expected = {k: min(slices.of(user) for user, shard in users if shard == k) for k in (0, 1)}
    assert first_slices(users, settings) == expected and first_slices([], settings) == {}
    assert first_slices(users, replace(settings, shard_slices=1)) == {0: 0, 1: 0}


def test_heads_alone_take_no_slices(read):
    with pytest.raises(SettingsError, match="sums of heads need no slices"):
        replace(read[0].settings, shard_slices=2)
