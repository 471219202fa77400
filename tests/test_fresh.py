"""``exactness: fresh`` equals a new run on rows deleted by hand, in every byte of the state but what is exempt here."""

import random
from pathlib import Path

import pytest

from recbole_apa import audit, evaluate_run, run, unlearn, verify
from recbole_apa.errors import RequestError, SettingsError
from recbole_apa.files import file_digest, read_json
from recbole_apa.run_store import MANIFEST, METRICS, RunStore
from recbole_apa.unlearning.plan import ADDED, LEFT_OUT
from tests.unlearning_helpers import shown_interaction, tree

EXEMPT = {
    "report.html",  # times, served requests; its figures are compared where they are read from
    "metrics.json: *_seconds, *_bytes",
    "training.json: train_seconds",
    "manifest.json: salt",
    "manifest.json: options.data_path",
    "manifest.json: full_training",  # times
    "manifest.json: outside",  # paths
    "manifest.json: code",  # of a first training alone
    "manifest.json: files",  # digests of the files above; the files are compared themselves
    "manifest.json: forgotten",
    "manifest.json: served",
    "manifest.json: served_requests",
    "manifest.json: exactness",
    "manifest.json: partition_of",
    "manifest.json: draw_of",
    "manifest.json: centres_of",
    "manifest.json: ready",
}
"""What may differ. Ledger and certificates are no part of a state at all."""

USERS, ITEMS = [f"u{k}" for k in range(14)], [f"i{k}" for k in range(22)]


def split_of(rule, group_by="user", order="TO", mode="labeled"):
    return {"eval_args": {"split": rule, "order": order, "group_by": group_by, "mode": mode}}


RS, LOO = {"RS": [0.8, 0.1, 0.1]}, {"LS": "valid_and_test"}
ALL_ROWS = {"train_samples": None, "valid_samples": None, "test_samples": None}
RANKING = {**split_of(RS, mode="uni5"), "metrics": ["Recall"], "topk": [3], "valid_metric": "Recall@3"}
USER, ITEM, PAIR = {"users": ["u3"]}, {"items": ["i4"]}, "a pair"
TIMELESS = {"load_col": {"inter": ["user_id", "item_id", "rating"], "item": ["item_id", "title", "year"]}}
CASES = {
    "users": ({}, {"users": ["u3", "u8"]}),
    "interactions": ({}, PAIR),
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
    "leave one out": ({**split_of(LOO), **ALL_ROWS}, PAIR),
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
    "kept states": ({"keep_states": True}, ITEM),
    "ranking": (RANKING, ITEM),
    "two workers": ({"workers": 2}, ITEM),
}
QUICK = ("users", "items", "k-core", "leave one out", "replacements")


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
    items = ["item_id:token\ttitle:token_seq\tyear:float"]
    items += [f"{item}\tFilm {item}\t{1980 + k}" for k, item in enumerate(ITEMS)]
    (folder / "some" / "some.item").write_text("\n".join(items) + "\n")
    return {"data_path": str(folder)}


def cleaned(rows, asked):
    """The rows without what a request names, by hand."""
    users, items = set(asked.get("users", ())), set(asked.get("items", ()))
    pairs = set(asked.get("interactions", ()))
    return [row for row in rows if row[0] not in users and row[1] not in items and row[:2] not in pairs]


def state(folder):
    """Everything of a run but what is exempt: file, or entry of the manifest -> digest, or content."""
    assert len(EXEMPT) == 17  # each of them is spelt out below or is an entry of the manifest
    out = {}
    for name in RunStore(folder).state_files():
        content = read_json(folder / name) if name.endswith((METRICS, "training.json")) else None
        if name.endswith("training.json"):
            out[name] = {k: v for k, v in content.items() if f"training.json: {k}" not in EXEMPT}
        elif name == METRICS:
            out[name] = {k: v for k, v in content.items() if not k.endswith(("_seconds", "_bytes"))}
        elif name not in EXEMPT:
            out[name] = file_digest(folder / name)
    manifest = read_json(folder / MANIFEST)
    manifest["options"] = {k: v for k, v in manifest["options"].items() if f"{MANIFEST}: options.{k}" not in EXEMPT}
    return out | {k: v for k, v in manifest.items() if f"{MANIFEST}: {k}" not in EXEMPT}


def differences(one, other):
    return {k: (one.get(k), other.get(k)) for k in one.keys() | other.keys() if one.get(k) != other.get(k)}


def sample_ids(made):
    return {name: [s.sample_id for s in part] for name, part in made.data[0]._dataset.splits.items()}


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in CASES])
def test_fresh_is_a_new_run_on_rows_deleted_by_hand(name, rows, settings, tmp_path):
    changes, asked = CASES[name]
    given = {**settings, **changes}
    made = run("APA", "some", config_dict={**given, **write(tmp_path / "whole", rows)}, run_dir=tmp_path / "run")
    if asked == PAIR:
        asked = {"interactions": [shown_interaction(made)]}
    left = cleaned(rows, asked)
    assert len(left) < len(rows)
    places = write(tmp_path / "cleaned", left)
    expected = run("APA", "some", config_dict={**given, **places}, run_dir=tmp_path / "new")
    before = state(tmp_path / "run")

    result = unlearn(tmp_path / "run", **asked, exactness="fresh")

    assert differences(state(tmp_path / "run"), state(tmp_path / "new")) == {}
    assert sample_ids(result.outcomes[0].result) == sample_ids(expected)
    assert state(tmp_path / "run") != before
    audited, verified = audit(tmp_path / "run"), verify(tmp_path / "run")
    assert audited.findings == [] and "split and draw" in audited.checked
    assert verified.differences == [] and "split and draw" in verified.compared
    again = evaluate_run(tmp_path / "run", places)  # cleaned files, and the new roles
    assert sample_ids(again) == sample_ids(expected)
    if name == "replacements":
        assert result.plan.count("train", ADDED) and len(again.data[0]._dataset.samples) == 12
    if name == "leave one out":
        assert any(a.change in (ADDED, LEFT_OUT) for a in result.plan.affected)
