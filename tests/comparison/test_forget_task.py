"""What a comparison of forgetting asks for: a request, drawn by hash, and its parts of the samples, step by step."""

from dataclasses import replace
from itertools import pairwise

import pytest

from recbole_apa.comparison.forget_task import ForgetRequest, open_task
from recbole_apa.core.errors import SettingsError


def users_of(part):
    return {name.split(":")[0] for name in part.ids}


def test_a_task_parts_what_goes_from_what_stays(trained):
    method, task, _ = trained
    users = set(task.asked["users"])
    parts = {**task.steps[0].parts, "neighbours": task.judged["neighbours"], "test": task.judged["test"]}
    assert len(users) == 2 and users_of(parts["forget"]) == users
    for name in ("retain", "valid", "test", "neighbours"):
        assert len(parts[name]) and not users_of(parts[name]) & users
    every = {s.sample_id for s in method.made.data[0]._dataset.samples}
    assert set(parts["forget"].ids) | set(parts["retain"].ids) == every
    assert set(parts["neighbours"].ids) <= set(parts["retain"].ids)


def test_a_sample_whose_history_shows_it_is_forgotten_as_it_was_and_kept_as_it_is_rewritten(trained):
    method, _, _ = trained
    asked = ForgetRequest(ratio=0.2)
    task = open_task(method.made, method.context.data[1]._dataset, asked, 2020)
    forget, retain = (task.steps[0].parts[name] for name in ("forget", "retain"))
    both = set(forget.ids) & set(retain.ids)
    assert both
    for name in both:
        old, new = (part.prompts[part.ids.index(name)].ids for part in (forget, retain))
        assert old != new


@pytest.mark.parametrize("asked", [ForgetRequest(n_interactions=4, one_by_one=True), ForgetRequest(n_users=2)])
def test_a_stream_is_a_request_for_each_thing_given_the_ones_before(trained, asked):
    method, _, _ = trained
    task = open_task(method.made, method.context.data[1]._dataset, asked, 2020)
    things = next(iter(task.asked.values()))
    assert len(things) == max(asked.n_interactions, asked.n_users)
    assert [step.asked for step in task.steps] == asked.requests(task.asked)
    assert len(task.steps) == (len(things) if asked.one_by_one else 1)
    # a step sees what the steps before it left, and the last leaves what all of them at once leave
    for before, after in pairwise(task.steps):
        kept, seen = before.parts["retain"], after.parts["forget"]
        assert {(i, kept.prompts[kept.ids.index(i)].ids) for i in seen.ids} == {
            (i, p.ids) for i, p in zip(seen.ids, seen.prompts, strict=True)
        }
    whole = open_task(method.made, method.context.data[1]._dataset, replace(asked, one_by_one=False), 2020)
    left = [p.ids for p in whole.steps[0].parts["retain"].prompts]
    assert [p.ids for p in task.steps[-1].parts["retain"].prompts] == left
    assert task.judged["forget"].ids == whole.judged["forget"].ids


def test_more_than_there_is_cannot_be_forgotten(trained):
    with pytest.raises(SettingsError, match="found 10000 users to forget, expected fewer than the"):
        ForgetRequest(n_users=10_000).draw(trained[0].made.data[0]._dataset, 0)


def test_active_users_come_first_or_last_as_asked(trained):
    part = trained[0].made.data[0]._dataset
    samples = part.samples
    counts = {u: sum(s.user_id == u for s in samples) for u in {s.user_id for s in samples}}
    core, edge = (ForgetRequest(users_ratio=0.25, who=who).draw(part, 1)["users"] for who in ("core", "edge"))
    assert min(counts[u] for u in core) >= max(counts[u] for u in edge) and not set(core) & set(edge)
    drawn = [ForgetRequest(users_ratio=0.25).draw(part, seed)["users"] for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"ratio": 0.1, "users_ratio": 0.1},
        {"ratio": 0.1, "n_users": 1},
        {"n_interactions": -1},
        {"ratio": 1.5},
        {"ratio": 0.1, "who": "some"},
        {"items_with": "Horror"},
    ],
)
def test_a_request_is_one_thing(given):
    with pytest.raises(SettingsError, match="forget_"):
        ForgetRequest(**given)


def test_items_of_a_word_are_found_as_the_file_has_it(trained):
    part = trained[0].made.data[0]._dataset
    items = ForgetRequest(items_with="title=1").draw(part, 0)["items"]
    assert items and all("1" in part.item_texts[part.token2id(part.iid_field, i)].split() for i in items)
    with pytest.raises(SettingsError, match="found no column 'genre' of items, expected one of title, year"):
        ForgetRequest(items_with="genre=1").draw(part, 0)
    with pytest.raises(SettingsError, match="found no item with 'Horror' in its title"):
        ForgetRequest(items_with="title=Horror").draw(part, 0)
