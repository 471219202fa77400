"""Unlearned equals trained from scratch on what remains, bit for bit."""

import shutil

import pytest
import torch

from recbole_apa import audit, evaluate_run, run, unlearn, verify
from recbole_apa.core.errors import RequestError
from recbole_apa.core.files.whole import read_json
from recbole_apa.runs.store import RunStore
from tests.helpers.runs import copy_run, shown_interaction, state, tree


def shards_of(finished, **ids):
    """Shards whose training samples hold an interaction of a user or item, by the samples themselves."""
    shard_of = finished.trainer.partition.shard_of
    out = set()
    for sample in finished.data[0]._dataset.samples:
        held = {(sample.user_id, sample.item_id), *((sample.user_id, e.item_id) for e in sample.history)}
        if any(u == ids.get("user") or i == ids.get("item") or (u, i) == ids.get("pair") for u, i in held):
            out.add(shard_of[sample.sample_id])
    return out


@pytest.mark.quick("user-inherited", "several-strict")
@pytest.mark.parametrize("exactness", ["inherited", "strict"])
@pytest.mark.parametrize("what", ["user", "item", "interaction", "several"])
def test_unlearned_equals_trained_from_scratch(what, exactness, finished, tmp_path):
    folder = copy_run(finished, tmp_path / "run")
    pair = shown_interaction(finished)
    asked = {
        "user": {"users": ["u3"]},
        "item": {"items": ["i4"]},
        "interaction": {"interactions": [pair]},
        "several": {"users": ["u1"], "items": ["i7"], "interactions": [pair]},
    }[what]
    before = state(folder)
    result = unlearn(folder, **asked, exactness=exactness)
    assert result.plan.affected
    verified, audited = verify(folder), audit(folder)
    assert verified.holds, verified.differences
    assert audited.holds, audited.findings
    assert state(folder) != before
    assert sum("adapter_model" in name for name in verified.compared) == 3


def test_only_affected_shards_change(finished, tmp_path):
    folder = copy_run(finished, tmp_path / "run")
    user, item = shown_interaction(finished)
    expected = shards_of(finished, pair=(user, item))
    assert expected and len(expected) < 3
    before = state(folder)
    outcome = unlearn(folder, interactions=[(user, item)]).outcomes[0]
    after = state(folder)
    changed = {int(n.split("/")[1]) for n in before if n.startswith("shards/") and before[n] != after[n]}
    assert changed == expected == set(outcome.plan.shards)
    assert set(range(3)) - changed == set(outcome.result.trainer.record.taken_over)
    assert all(a.change == "rewritten" for a in outcome.plan.affected)


@pytest.mark.slow
def test_a_second_request_after_the_first_ends_where_both_at_once_end(finished, tmp_path):
    one_by_one, at_once = (copy_run(finished, tmp_path / name) for name in ("a", "b"))
    unlearn(one_by_one, users=["u5"])
    unlearn(one_by_one, items=["i2"])
    result = unlearn(at_once, users=["u5"], items=["i2"])
    assert state(one_by_one) == state(at_once)
    assert verify(one_by_one).holds and audit(one_by_one).holds
    assert len(result.outcomes) == 1  # each affected shard was trained once
    with pytest.raises(RequestError, match=r"user u5: was forgotten before \(user u5\)"):
        unlearn(one_by_one, users=["u5"])


@pytest.mark.slow
def test_the_run_is_the_same_whether_or_not_the_rows_are_still_in_the_file(finished, options, data_folder, tmp_path):
    """The run hides forgotten rows by digest; a file that was cleaned has to give the very same state."""
    folder = copy_run(finished, tmp_path / "run")
    pair = shown_interaction(finished)
    unlearn(folder, users=["u3"], interactions=[pair])
    shutil.copytree(data_folder, tmp_path / "cleaned")
    path = tmp_path / "cleaned" / "board" / "board.inter"
    lines = path.read_text().splitlines()
    left = [x for x in lines if x.split("\t")[0] != "u3" and tuple(x.split("\t")[:2]) != pair]
    assert len(left) == len(lines) - 17
    path.write_text("\n".join(left) + "\n")
    cleaned = {"data_path": str(tmp_path / "cleaned")}
    verified = verify(folder, cleaned)
    assert verified.holds, verified.differences
    assert audit(folder, cleaned).holds
    figures = read_json(folder / "metrics.json")
    again = evaluate_run(folder, cleaned).metrics
    assert {k: v for k, v in figures.items() if k.startswith("test.")} == {
        k: v for k, v in again.items() if k.startswith("test.")
    }


@pytest.mark.slow
def test_filters_count_as_if_the_rows_had_never_been_there(options, data_folder, tmp_path):
    """Two ratings fewer, and a user falls below user_inter_num_interval: then none of that user's rows may stay."""
    settings = {**options, "epochs": 1, "user_inter_num_interval": "[15,inf)"}
    made = run("APA", "board", config_dict=settings, run_dir=tmp_path / "run")
    user = made.data[0]._dataset.samples[0].user_id
    items = [e.item_id for s in made.data[2]._dataset.splits["train"] if s.user_id == user for e in s.history][:1]
    rows = made.data[0]._dataset.interactions
    items = [rows.items[r] for r in range(len(rows)) if rows.users[r] == user][:2]
    plan = unlearn(tmp_path / "run", interactions=[(user, i) for i in items]).plan
    of_user = [a for a in plan.affected if a.sample_id.startswith(f"{user}:")]
    assert of_user and all(a.change == "dropped" for a in of_user)
    verified = verify(tmp_path / "run")
    assert verified.holds, verified.differences


@pytest.mark.slow
def test_loaded_again_it_gives_the_figures_it_was_left_with(finished, tmp_path):
    folder = copy_run(finished, tmp_path / "run")
    unlearn(folder, users=["u3"])
    figures = read_json(folder / "metrics.json")
    again = evaluate_run(folder).metrics
    assert {k: v for k, v in again.items() if k.startswith(("test.", "valid."))} == {
        k: v for k, v in figures.items() if k.startswith(("test.", "valid."))
    }
    assert all(s.user_id != "u3" for s in evaluate_run(folder).data[0]._dataset.samples)


@pytest.mark.slow
def test_a_shard_left_empty_is_switched_off(options, tmp_path):
    settings = {**options, "epochs": 1, "train_samples": 6, "n_shards": 3}
    made = run("APA", "board", config_dict=settings, run_dir=tmp_path / "run")
    ids = [name for name, k in made.trainer.partition.shard_of.items() if k == 1]
    samples = {s.sample_id: s for s in made.data[0]._dataset.samples}
    result = unlearn(tmp_path / "run", interactions=[(samples[i].user_id, samples[i].item_id) for i in ids])
    assert not (tmp_path / "run" / "shards" / "001").exists()
    weights = evaluate_run(tmp_path / "run").model.rule
    assert weights.active.tolist() == [True, False, True]
    assert read_json(result.certificates[0])["shards"]["switched_off"] == [1]
    verified = verify(tmp_path / "run")
    assert verified.holds and audit(tmp_path / "run").holds, verified.differences


@pytest.mark.slow
def test_forgetting_all_validation_samples_leaves_equal_weights(finished, tmp_path):
    folder = copy_run(finished, tmp_path / "run")
    valid = finished.data[1]._dataset.samples
    unlearn(folder, interactions=[(s.user_id, s.item_id) for s in valid])
    opened = evaluate_run(folder)
    assert len(opened.model.rule.memory.labels) == 0
    prompts = opened.model.prompts(opened.data[2]._dataset.labelled)
    torch.testing.assert_close(opened.model.weights(prompts), torch.full((len(prompts), 3), 1 / 3))
    assert verify(folder).holds and audit(folder).holds


@pytest.mark.slow
def test_forgetting_all_of_one_class_is_defined(finished, tmp_path):
    folder = copy_run(finished, tmp_path / "run")
    disliked = [s for name in ("valid", "test") for s in finished.data[0]._dataset.splits[name] if s.label == 0]
    unlearn(folder, interactions=[(s.user_id, s.item_id) for s in disliked])
    figures = read_json(folder / "metrics.json")
    assert "test.aggregated.decomposition.auc" not in figures and figures["test.yes_share"] == 1.0
    assert figures["test.aggregated.decomposition.logloss"] > 0
    assert verify(folder).holds and audit(folder).holds


def test_a_request_that_leaves_no_data_is_refused(finished, tmp_path):
    folder = copy_run(finished, tmp_path / "run")
    before = tree(folder)
    with pytest.raises(RequestError, match="no data to train on"):
        unlearn(folder, users=[f"u{u}" for u in range(12)])
    assert tree(folder) == before


@pytest.mark.slow
def test_exports_and_tensorboard_outside_the_run_follow(options, tmp_path):
    made = run(
        "APA",
        "board",
        config_dict={**options, "epochs": 1, "export_samples": str(tmp_path / "seen")},
        run_dir=tmp_path / "run",
    )
    board = made.trainer.tensorboard.log_dir
    assert '"user_id": "u3"' in (tmp_path / "seen" / "train.jsonl").read_text()
    result = unlearn(tmp_path / "run", users=["u3"])
    assert not any('"user_id": "u3"' in p.read_text() for p in (tmp_path / "seen").glob("*.jsonl"))
    assert board != result.outcomes[0].result.trainer.tensorboard.log_dir
    from pathlib import Path

    assert not Path(board).exists()
    assert audit(tmp_path / "run").holds


@pytest.mark.slow
def test_shards_trained_at_once_have_the_bytes_of_one_after_another(finished, options, tmp_path):
    """A first training and a request, both with two processes."""
    at_once = run("APA", "board", config_dict={**options, "workers": 2}, run_dir=tmp_path / "at_once")
    assert at_once.trainer.record.trained == [0, 1, 2]
    assert state(tmp_path / "at_once") == state(finished.run_dir)
    one_by_one = copy_run(finished, tmp_path / "one_by_one")
    unlearn(one_by_one, users=["u3"])
    unlearn(tmp_path / "at_once", users=["u3"], config_dict={"workers": 2})
    assert state(tmp_path / "at_once") == state(one_by_one)


@pytest.mark.slow
def test_centres_of_item_texts_do_not_move_when_ratings_are_forgotten(options, tmp_path):
    settings = {**options, "epochs": 1, "partition_fit": "items"}
    run("APA", "board", config_dict=settings, run_dir=tmp_path / "run")
    store = RunStore(tmp_path / "run")
    before = store.load_partition()
    unlearn(tmp_path / "run", users=["u3"], exactness="strict")
    assert torch.equal(before.centres, store.load_partition().centres)
    assert verify(tmp_path / "run").holds


@pytest.mark.slow
def test_a_run_that_is_open_forgets_like_one_on_disk(options, finished, tmp_path):
    """A stream of requests in one process keeps frozen states; the bytes are those of loading anew each time."""
    made = run("APA", "board", config_dict=options, run_dir=tmp_path / "open")
    on_disk = copy_run(finished, tmp_path / "disk")
    for asked in ({"users": ["u3"]}, {"items": ["i2"]}, {"interactions": [shown_interaction(finished)]}):
        made = unlearn(made, **asked).outcomes[-1].result
        unlearn(on_disk, **asked)
    assert state(tmp_path / "open") == state(on_disk)


@pytest.mark.slow
def test_no_token_or_frozen_state_of_the_forgotten_stays_in_memory(options, tmp_path):
    made = run("APA", "board", config_dict={**options, "epochs": 1}, run_dir=tmp_path / "run")
    engine = made.model.engine
    ids = {user: set() for user in ("u3", "others")}
    for loader in made.data:
        part = loader._dataset
        for sample, prompt in zip(part.samples, made.model.prompts(part.labelled), strict=True):
            ids["u3" if sample.user_id == "u3" else "others"].add(prompt.ids)
    own = ids["u3"] - ids["others"]  # two users of the small dataset may have the very same history
    assert own and all(x in engine.cache for x in own)
    unlearn(made, users=["u3"])
    assert not any(x in engine.cache for x in own) and all(x in engine.cache for x in ids["others"])
    assert not own & {p.ids for p in engine._encoded.values()}


@pytest.mark.slow
def test_rows_without_timestamps_and_repeated_ones_are_forgotten_together(options, tmp_path):
    from benchmarks.board import write_board

    write_board(tmp_path / "timeless", timestamps=False)
    path = tmp_path / "timeless" / "timeless.inter"
    with open(path, "a") as file:
        file.write("u3\ti1\t2\nu3\ti4\t5\nu3\ti1\t5\n")
    columns = {"inter": ["user_id", "item_id", "rating"], "item": ["item_id", "title", "year"]}
    settings = {**options, "load_col": columns, "epochs": 1, "data_path": str(tmp_path), "train_samples": None}
    made = run("APA", "timeless", config_dict=settings, run_dir=tmp_path / "run")
    ids = {s.sample_id for samples in made.data[0]._dataset.splits.values() for s in samples}
    assert "u3:i1#2" in ids
    result = unlearn(tmp_path / "run", interactions=[("u3", "i1")])
    assert {"u3:i1#2", "u3:i1#3"} & {a.sample_id for a in result.plan.affected if a.change == "dropped"}
    left = unlearn(tmp_path / "run", users=["u4"]).outcomes[0].result.data[0]._dataset.splits
    held = {i for samples in left.values() for s in samples for i in s.interaction_ids()}
    assert not any(i.startswith("u3:i1#") or i == "u3:i1" for i in held) and "u3:i4#2" in held
    verified = verify(tmp_path / "run")
    assert verified.holds and audit(tmp_path / "run").holds, verified.differences


@pytest.mark.slow
def test_a_run_judged_by_ranking_forgets_too(options, tmp_path):
    ranking = {
        "eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "TO", "group_by": "user", "mode": "uni5"},
        "metrics": ["Recall"],
        "topk": [3],
        "valid_metric": "Recall@3",
        "epochs": 1,
    }
    run("APA", "board", config_dict={**options, **ranking}, run_dir=tmp_path / "run")
    unlearn(tmp_path / "run", users=["u3"])
    assert "recbole.test.recall@3" in read_json(tmp_path / "run" / "metrics.json")
    assert verify(tmp_path / "run").holds and audit(tmp_path / "run").holds


@pytest.mark.slow
def test_a_run_made_by_the_trainer_alone_forgets_too(options, tmp_path):
    """The ten lines of the README: no figures were written, no times are known."""
    from recbole.data import create_dataset, data_preparation

    from recbole_apa import APA, APAConfig, APATrainer

    config = APAConfig("APA", "board", config_dict={**options, "epochs": 1, "checkpoint_dir": str(tmp_path)})
    train, valid, _ = data_preparation(config, create_dataset(config))
    trainer = APATrainer(config, APA(config, train.dataset))
    trainer.fit(train, valid)
    folder = trainer.store.folder
    result = unlearn(folder, users=["u3"])
    assert result.plan.seconds is None and result.outcomes[0].full_seconds is None
    assert verify(folder).holds and audit(folder).holds
