"""The benchmarks of drafts on a run of the small dataset: every kind is trained and judged, and what was kept stays."""

import json
import sys
from dataclasses import replace

import pytest

from benchmarks import kept_values, next_item_draft_models, next_item_draft_rates, next_item_drafts, next_item_titles
from benchmarks.kept_values import KeptValues
from benchmarks.protocol import commit
from recbole_apa.next_item.differences import differences
from recbole_apa.next_item.fit import fit
from tests.helpers.next_item_runs import train
from tests.helpers.small_adapters import adapted_by

DRAFTED = {"adapters": "titles", "adapter_layers": 1, "adapter_rank": 2, "title_users": 0, "draft_epochs": 2}
DRAFTED |= {"draft_model_size": 4}


@pytest.fixture(scope="module")
def folder(next_options, work_folder):
    return train(next_options, work_folder / "draft_benchmarks", **DRAFTED).folder


def told(module, monkeypatch, tmp_path, *arguments) -> dict:
    """The record of a call."""
    out = tmp_path / "out.json"
    monkeypatch.setattr(sys, "argv", ["benchmark", *arguments, f"--kept={tmp_path / 'kept'}", f"--out={out}"])
    module.main()
    return json.loads(out.read_text())


def test_kept_values_say_the_commit_that_they_were_measured_on(tmp_path, monkeypatch):
    path = tmp_path / "kept"
    path.write_text(json.dumps({"of": "this", "row": 0, "values": {"x": [0]}}) + "\n")  # by a version before
    monkeypatch.setattr(kept_values, "commit", lambda: "aaa")
    assert KeptValues(path, "this").get(1, lambda: {"x": [1]}) == {"x": [1]}
    monkeypatch.setattr(kept_values, "commit", lambda: "bbb")
    kept = KeptValues(path, "this")
    assert [kept.get(row, lambda: {"x": [2]})["x"] for row in range(3)] == [[0], [1], [2]]
    assert kept.measured_on == ["aaa", "bbb", kept_values.UNKNOWN]
    other = KeptValues(path, "that")
    assert other.get(1, lambda: {"x": [3]}) == {"x": [3]} and other.measured_on == ["bbb"]
    assert [json.loads(line).get("commit") for line in path.read_text().splitlines()] == [None, "aaa", "bbb", "bbb"]


@pytest.mark.slow
def test_accepted_steps_of_every_draft(folder, monkeypatch, tmp_path):
    found = told(next_item_drafts, monkeypatch, tmp_path, f"--run={folder}", "--users=2", "--pupils=3")
    names = [next_item_drafts.HEAD, *next_item_drafts.DRAFTS]
    assert all(found["figures"][f"10, 2K, {name}: same list"] == 1 for name in names)
    assert all(found["figures"][f"10, 2K, {name}: passes"] <= found["figures"]["10: passes"] for name in names)
    monkeypatch.setattr(next_item_drafts, "taught", None)  # what was measured is not measured again
    again = told(next_item_drafts, monkeypatch, tmp_path, f"--run={folder}", "--users=2", "--pupils=3")
    assert again["figures"] == found["figures"] and again["measured_on"] == [commit()]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name"), [("exit", "early exit"), ("model", "model")])
def test_titles_with_the_draft_that_a_run_has(next_options, monkeypatch, tmp_path, kind, name):
    train(next_options, tmp_path / "run", **DRAFTED, draft_kind=kind)
    found = told(next_item_titles, monkeypatch, tmp_path, f"--run={tmp_path / 'run'}", "--users=2")["figures"]
    drafted = {column.removeprefix("10: same list, ") for column in found if column.startswith("10: same list")}
    assert drafted == {"head 2K", "head 4K", f"{name} 2K", "frozen 2K"}
    assert all(found[f"10: same list, {draft}"] == 1 for draft in drafted)


@pytest.mark.slow
def test_rates_of_every_kind(folder, monkeypatch, tmp_path):
    arguments = (f"--run={folder}", "--pupils=3", "--held=2")
    found = told(next_item_draft_rates, monkeypatch, tmp_path, *arguments)["figures"]
    assert len(found) == 1 + 5 * 4 + 6 * 3 and all(0 <= float(apart) <= 1 for _, apart, _ in found)
    assert len({tuple(values) for name, *values in found if name.startswith("model")}) > 5
    monkeypatch.setattr(next_item_draft_rates.Judge, "of", None)
    assert told(next_item_draft_rates, monkeypatch, tmp_path, *arguments)["figures"] == found


@pytest.mark.slow
def test_a_record_of_models_says_the_commits_of_its_figures(chains, next_options, monkeypatch, tmp_path):
    monkeypatch.setattr(next_item_draft_models, "SIZES", (2,))
    monkeypatch.setattr(next_item_draft_models, "RATES", (1e-3,))
    real = next_item_draft_models.read_options
    small = {**next_options, "draft_epochs": 1}
    monkeypatch.setattr(next_item_draft_models, "read_options", lambda name, given: real(name, (), {**small, **given}))
    arguments = ("--dataset=chains", f"--data_path={chains}")
    monkeypatch.setattr(kept_values, "commit", lambda: "aaa")
    assert told(next_item_draft_models, monkeypatch, tmp_path, *arguments)["measured_on"] == ["aaa"]
    monkeypatch.setattr(kept_values, "commit", lambda: "bbb")
    again = told(next_item_draft_models, monkeypatch, tmp_path, *arguments)
    assert again["measured_on"] == ["aaa"] and len(again["figures"]) == 1 and again["commit"] == commit()


@pytest.mark.slow
def test_models_that_are_judged_are_those_of_runs(read):
    settings, data, reader = adapted_by(
        read, partition="hashed_user", draft_kind="model", draft_model_size=4, draft_model_learning_rate=0.01
    )
    drafts = fit(data, reader, settings).learnt.drafts
    for shard, draft in enumerate(drafts):
        own = next_item_draft_models.trained_network(data, shard, settings).tensors()
        assert differences(own, draft.tensors) == []
    few = next_item_draft_models.judged(data, replace(settings, draft_epochs=1))
    many = next_item_draft_models.judged(data, settings)
    assert many["nats"] < few["nats"] and 0 < many["NDCG@10"][0] <= 1
