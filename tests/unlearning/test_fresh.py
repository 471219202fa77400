"""``exactness: fresh`` equals a new run on rows deleted by hand, in every byte of the state but what is exempt here."""

import random
from zlib import crc32

import pytest

from recbole_apa import audit, evaluate_run, run, unlearn, verify
from recbole_apa.core.errors import RequestError, SettingsError
from recbole_apa.core.files.whole import read_json
from recbole_apa.evidence.exactness import DEFINITIONS
from recbole_apa.runs.store import MANIFEST
from recbole_apa.unlearning.plan import ADDED, LEFT_OUT, plan_text
from tests.helpers.fresh_states import PARTS, dataset_digest, differences, sample_ids, scores, state
from tests.helpers.kills import completed, killed
from tests.helpers.runs import copy_run, shown_interaction, tree

USERS, ITEMS = [f"u{k}" for k in range(14)], [f"i{k}" for k in range(22)]


def split_of(rule, group_by="user", order="TO", mode="labeled"):
    return {"eval_args": {"split": rule, "order": order, "group_by": group_by, "mode": mode}}


RS, LOO = {"RS": [0.8, 0.1, 0.1]}, {"LS": "valid_and_test"}
ALL_ROWS = {"train_samples": None, "valid_samples": None, "test_samples": None}
RANKING = {**split_of(RS, mode="uni5"), "metrics": ["Recall"], "topk": [3], "valid_metric": "Recall@3"}
USER, ITEM, SHOWN, TESTED = {"users": ["u3"]}, {"items": ["i4"]}, "a pair of histories alone", "a target of a test"
TIMELESS = {"load_col": {"inter": ["user_id", "item_id", "rating"], "item": ["item_id", "title", "year"]}}
CASES = {
    "users": ({}, {"users": ["u3", "u8"]}),
    "interactions": ({}, SHOWN),
    "k-core": ({"user_inter_num_interval": "[12,inf)"}, {"interactions": [("u5", "i1"), ("u5", "i4")]}),
    "duplicates": ({"rm_dup_inter": "first"}, {"interactions": [("u2", "i7")], "users": ["u6"]}),
    "repeated rows": ({}, {"interactions": [("u2", "i7")], "users": ["u6"]}),
    "no timestamps": (TIMELESS, {"users": ["u3"], "interactions": [("u2", "i7")]}),
    "early stopping": (
        {"stopping_patience": 1, "stopping_min_delta": 0.005, "lora_dropout": 0.1, "epochs": 4, "learning_rate": 0.05},
        USER,
    ),
    "cut prompts": ({"max_prompt_tokens": 60}, USER),
    "items": ({}, ITEM),
    "item k-core": ({"item_inter_num_interval": "[9,inf)"}, {"users": ["u3", "u4"], "items": ["i2"]}),
    "leave one out": ({**split_of(LOO), **ALL_ROWS}, TESTED),
    "group_by none": (split_of(RS, None), USER),
    "random order": (split_of(RS, order="RO"), USER),
    "by time": (split_of({"TS": [0.8, 0.1, 0.1]}), USER),
    "tallrec": ({"protocol": "tallrec", "train_samples": 20}, USER),
    "replacements": ({"train_samples": 12, "valid_samples": 5, "test_samples": 5}, {"users": ["u3", "u8", "u9"]}),
    "all rows": (ALL_ROWS, ITEM),
    "number of shards": ({"n_shards": None, "shard_size": 25, **ALL_ROWS}, {"users": ["u3", "u8", "u9", "u10"]}),
    "semantic weights": ({"weight_rule": "semantic"}, ITEM),
    "item centres": ({"partition_fit": "items"}, ITEM),
    "user partition": ({"partition": "user"}, USER),
    "whole users by meaning": ({"partition": "semantic_user"}, USER),
    "kept states": ({"keep_states": True}, ITEM),
    "ranking": (RANKING, ITEM),
    "two workers": ({"workers": 2}, ITEM),
    "files split beforehand": ({"benchmark_filename": list(PARTS)}, USER),
}
MOVING = ("items", "item k-core", "leave one out", "group_by none", "tallrec", "replacements")
"""Where a new training splits or draws otherwise: ``strict`` does not come to the same."""


@pytest.fixture
def rows():
    """User, item, rating, time; users' rows lie between one another's, item x1 has no line of its own."""
    chance = random.Random(5)
    out = []
    for number, user in enumerate(USERS):
        chosen = chance.sample(ITEMS, 12 + number % 5)
        if user == "u3":
            chosen += ["x1", "i21"]
        out += [(user, item, chance.choice((5, 4, 2, 1)), chance.randrange(100_000)) for item in chosen]
    out = [row for row in out if row[1] != "i21" or row[0] == "u3"]
    out += [("u2", "i7", 5, 100_001), ("u2", "i7", 2, 100_005), ("u5", "i1", 5, 7), ("u5", "i4", 1, 8)]
    chance.shuffle(out)
    return list(dict.fromkeys(out))


@pytest.fixture
def settings(options):
    return {**options, "train_samples": 40, "valid_samples": 14, "test_samples": 14, "epochs": 1}


def write(folder, rows):
    (folder / "some").mkdir(parents=True)
    head = "user_id:token\titem_id:token\trating:float\ttimestamp:float"
    lines = ["\t".join(map(str, row)) for row in rows]
    (folder / "some" / "some.inter").write_text("\n".join([head, *lines]) + "\n")
    for name in PARTS:  # the same rows, each in a file of its own choice
        part = [line for line in lines if PARTS[max(0, crc32(line.encode()) % 8 - 5)] == name]
        (folder / "some" / f"some.{name}.inter").write_text("\n".join([head, *part]) + "\n")
    items = ["item_id:token\ttitle:token_seq\tyear:float"]
    items += [f"{item}\tFilm {item}\t{1980 + k}" for k, item in enumerate(ITEMS)]
    (folder / "some" / "some.item").write_text("\n".join(items) + "\n")
    return {"data_path": str(folder)}


def cleaned(rows, asked):
    """The rows without what a request names, by hand."""
    users, items = set(asked.get("users", ())), set(asked.get("items", ()))
    pairs = set(asked.get("interactions", ()))
    return [row for row in rows if row[0] not in users and row[1] not in items and row[:2] not in pairs]


def trained(name, rows, settings, tmp_path):
    """A run on all rows, what it is asked, and a new run on the rows that are left, with where these lie."""
    changes, asked = CASES[name]
    given = {**settings, **changes}
    made = run("APA", "some", config_dict={**given, **write(tmp_path / "whole", rows)}, run_dir=tmp_path / "run")
    if asked == SHOWN:
        asked = {"interactions": [shown_interaction(made)]}
    if asked == TESTED:
        asked = {"interactions": [(s.user_id, s.item_id) for s in made.data[2]._dataset.samples[:2]]}
    left = cleaned(rows, asked)
    assert len(left) < len(rows)
    places = write(tmp_path / "cleaned", left)
    return asked, run("APA", "some", config_dict={**given, **places}, run_dir=tmp_path / "new"), places


@pytest.mark.quick("items")
@pytest.mark.parametrize("name", CASES)
def test_fresh_is_a_new_run_on_rows_deleted_by_hand(name, rows, settings, tmp_path):
    asked, expected, places = trained(name, rows, settings, tmp_path)
    before = state(tmp_path / "run")

    result = unlearn(tmp_path / "run", **asked, exactness="fresh")

    assert differences(state(tmp_path / "run"), state(tmp_path / "new")) == {}
    now = result.outcomes[0].result
    assert sample_ids(now) == sample_ids(expected) and scores(now) == scores(expected)
    assert dataset_digest(now) == dataset_digest(expected)
    assert state(tmp_path / "run") != before
    audited, verified = audit(tmp_path / "run"), verify(tmp_path / "run")
    assert audited.findings == [] and "split and draw" in audited.checked
    assert verified.differences == [] and "split and draw" in verified.compared
    again = evaluate_run(tmp_path / "run", places)  # cleaned files, and the new roles
    assert sample_ids(again) == sample_ids(expected)
    if name in MOVING:
        assert any(a.change in (ADDED, LEFT_OUT) for a in result.plan.affected)
    if name == "replacements":
        assert len(again.data[0]._dataset.samples) == 12


@pytest.mark.slow
@pytest.mark.parametrize("name", MOVING)
def test_strict_is_not_where_split_or_draw_move(name, rows, settings, tmp_path):
    """Otherwise the comparison above would show nothing of ``fresh``."""
    asked, _, _ = trained(name, rows, settings, tmp_path)
    unlearn(tmp_path / "run", **asked, exactness="strict")
    found = differences(state(tmp_path / "run"), state(tmp_path / "new"))
    assert "lineage.json" in found and verify(tmp_path / "run").holds


@pytest.fixture
def small(rows, settings, tmp_path):
    """A run whose draw takes replacements."""
    given = {**settings, **CASES["replacements"][0], **write(tmp_path / "whole", rows)}
    return run("APA", "some", config_dict=given, run_dir=tmp_path / "run")


@pytest.mark.slow
def test_two_requests_come_to_what_both_at_once_come_to(small, tmp_path):
    one_by_one, at_once = copy_run(small, tmp_path / "a"), copy_run(small, tmp_path / "b")
    unlearn(one_by_one, users=["u8"], exactness="fresh")
    unlearn(one_by_one, users=["u3"], exactness="fresh")
    unlearn(at_once, users=["u3", "u8"], exactness="fresh")
    assert differences(state(one_by_one), state(at_once)) == {}


@pytest.mark.slow
def test_a_later_request_takes_over_the_new_draw(small, tmp_path):
    unlearn(small.run_dir, users=["u8"], exactness="fresh")
    drawn = sample_ids(evaluate_run(small.run_dir))
    plan = unlearn(small.run_dir, users=["u3"]).plan
    left = sample_ids(evaluate_run(small.run_dir))
    dropped = {a.sample_id for a in plan.affected if a.change == "dropped"}
    assert dropped and left == {name: [i for i in ids if i not in dropped] for name, ids in drawn.items()}
    audited, verified = audit(small.run_dir), verify(small.run_dir)
    assert audited.findings == [] and verified.differences == []
    assert "split and draw" not in audited.checked + verified.compared  # they are no longer those of a new training


@pytest.mark.slow
def test_requests_that_wait_are_carried_out_at_the_level_that_takes_over_least(small, tmp_path):
    apart, folder = copy_run(small, tmp_path / "a"), copy_run(small, tmp_path / "b")
    for asked, level in (({"users": ["u8"]}, "fresh"), ({"users": ["u3"]}, "inherited")):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("recbole_apa.unlearning.exact.carry_out", stopped)
            patch.setattr("recbole_apa.runs.ledger.Ledger.waiting", lambda ledger: [])
            with pytest.raises(InterruptedError):
                unlearn(folder, **asked, exactness=level)
    unlearn(folder)
    unlearn(apart, users=["u3", "u8"], exactness="fresh")
    assert differences(state(folder), state(apart)) == {}


def stopped(*args, **named):
    raise InterruptedError


@pytest.mark.slow
def test_the_plan_says_what_changes_and_the_request_does_it(small):
    before = tree(small.run_dir)
    asked = {"users": ["u3", "u8"], "exactness": "fresh"}
    planned = unlearn(small.run_dir, **asked, dry_run=True).plan
    assert tree(small.run_dir) == before
    result = unlearn(small.run_dir, **asked)
    done, certificate = result.plan, read_json(result.certificates[0])
    assert (done.affected, done.shards, done.n_train_samples) == (
        planned.affected,
        planned.shards,
        planned.n_train_samples,
    )
    assert certificate["affected"]["train"]["added"] == done.count("train", ADDED) > 0
    text, page = plan_text(planned), result.certificates[0].with_suffix(".html").read_text()
    assert f"exactness: fresh, {DEFINITIONS['fresh']}" in text and DEFINITIONS["fresh"] in page
    assert f"{done.count('train', ADDED)} train samples in" in text and "taken in by the new split and draw" in page


@pytest.mark.slow
def test_a_new_training_that_would_be_refused_refuses_the_request(small):
    before = tree(small.run_dir)
    with pytest.raises(
        RequestError, match=r"a new training on what remains is not possible \(.*no interaction is left.*use strict"
    ):
        unlearn(small.run_dir, users=USERS, exactness="fresh")
    assert tree(small.run_dir) == before
    with pytest.raises(SettingsError, match="exactness: fresh needs unlearn_method: exact, found NPO"):
        unlearn(small.run_dir, users=["u3"], exactness="fresh", method="NPO")


@pytest.mark.slow
def test_a_draw_that_is_not_a_new_one_is_found(small):
    """A state that ``strict`` left, called one of ``fresh``."""
    unlearn(small.run_dir, users=["u3", "u8"], exactness="strict")
    path = small.run_dir / MANIFEST
    path.write_text(path.read_text().replace('"draw_of": "inherited"', '"draw_of": "this data"'))
    found = [f for f in audit(small.run_dir).findings if "new split and draw" in f]
    assert any(f.startswith("the train samples are not those of a new split and draw") for f in found)


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.parametrize("kill_at", range(3, 80, 4))
def test_killed_anywhere_it_ends_where_it_would_have(kill_at, small, server, work_folder, tmp_path):
    asked = {"users": ["u3", "u8"], "exactness": "fresh"}
    at_once = copy_run(small, tmp_path / "undisturbed")
    unlearn(at_once, **asked)
    killed(server, small.run_dir, work_folder, asked, kill_at)
    completed(small.run_dir, asked)
    assert differences(state(small.run_dir), state(at_once)) == {}
    assert audit(small.run_dir).findings == []
