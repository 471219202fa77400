"""docs/json.md describes every field that a command prints with ``--json``, and no other."""

import json
import os
import shutil

import pytest

from recbole_apa.cli.main import main
from tests.helpers.documented_fields import documented, fields_of
from tests.helpers.runs import copy_run

FIELDS = documented()


@pytest.fixture
def fields_found(capsys):
    """Runs a command and gives the documented fields that its object has; an undocumented one is an error."""

    def run(*words, status=0):
        got = main([*words, "--json"])
        printed = capsys.readouterr().out
        assert got == status, printed
        return set(fields_of(json.loads(printed), FIELDS))

    return run


def words(options):
    return [f"--{k}={json.dumps(v) if isinstance(v, (dict, list)) else v}" for k, v in options.items()]


@pytest.mark.parametrize(
    ("printed", "says"),
    [
        ({"format": 1, "audit": {"holds": True, "more": 1}}, "audit.more is not documented"),
        ({"format": "1"}, "format"),
        ({"audit": {"holds": None}}, "audit.holds"),
        ({"audit": {"findings": [1]}}, "audit.findings"),
        ({"audit": []}, "audit"),
        ({"unlearn": {"outcomes": [{"plan": {"n": 1}}]}}, "plan.n is not documented"),
        ({"metrics": {"a": "high"}}, "metrics"),
    ],
)
def test_another_field_or_type_is_noticed(printed, says):
    with pytest.raises(AssertionError, match=says):
        list(fields_of(printed, FIELDS))


def test_what_can_be_empty_or_null_is_found():
    printed = {"unlearn": {"plan": None, "left_out": []}, "tune": {"trials": [{"options": {"a": [1, {"b": 2}]}}]}}
    assert {*fields_of(printed, FIELDS)} == {"unlearn.plan", "tune.trials[].options.<option>"}


@pytest.mark.slow
def test_fields_of_commands_that_change_nothing(finished, fields_found):
    run = f"--run={finished.run_dir}"
    assert {"format", "status", "metrics.<figure>"} == fields_found(run)
    assert {"audit.holds", "audit.checked[]", "audit.ledger_head"} <= fields_found(run, "--audit")
    assert "unlearn.plan.affected.<split>.<change>" in fields_found(run, "--forget_users=u3", "--dry_run")
    assert {n for n in FIELDS if n.startswith("predictions")} < fields_found(run, "--predict=u1:i2,nobody:i2")
    assert {"error.type", "error.message"} < fields_found(run, "--forget_users=nobody", status=2)


def next_item_words(options):
    """A small run of APANext on the same data."""
    shared = ("data_path", "backbone", "dtype", "load_col", "item_text", "MAX_ITEM_LIST_LENGTH", "show_progress")
    return ["--model=APANext", "--dataset=board", *words({name: options[name] for name in shared})]


@pytest.mark.slow
def test_fields_of_next_items(options, tmp_path, fields_found):
    run = tmp_path / "next"
    told = fields_found(*next_item_words(options), f"--run_dir={run}", "--forget_users=u3")
    assert {"next_items.figures.<row>.<figure>", "next_items_unlearn.shards[]"} < told
    told = fields_found(f"--run={run}", "--recommend=u4", "--k=2")
    assert {"recommendations[].score", "recommendations[].terms.<term>"} < told
    assert "audit.holds" in fields_found(f"--run={run}", "--audit")
    (tmp_path / "new.csv").write_text("user_id,item_id,rating,timestamp\nlate,i3,2,99000\n")
    told = fields_found(f"--run={run}", f"--add={tmp_path / 'new.csv'}")
    assert "next_items_add.figures.<when>.<figure>" in told


@pytest.mark.slow
def test_every_field_is_printed_by_some_command(options, finished, served, tmp_path, fields_found, monkeypatch):
    monkeypatch.setenv(
        "RECBOLE_APA_KEY_FILE", str(shutil.copy(os.environ["RECBOLE_APA_KEY_FILE"], tmp_path / "keys.json"))
    )
    data = ["--dataset=board", *words({**options, "epochs": 1})]
    (tmp_path / "ranges.yaml").write_text("lora_rank: [2, 4]\n")
    run, copy = f"--run={finished.run_dir}", f"--run={copy_run(finished, tmp_path / 'copy')}"
    (tmp_path / "copy" / "shards" / "000" / "stranger.txt").write_text("who left this?")
    new = [f"--run_dir={tmp_path / 'new'}", f"--export_samples={tmp_path / 'exports'}", "--forget_users=u3,nobody"]
    search = ["--algo=exhaustive", f"--ranges={tmp_path / 'ranges.yaml'}", f"--tune_dir={tmp_path / 'tuned'}"]
    stream = ["--requests_per_day=500", "--n_samples=100", "--shard_size=50", f"--plan_dir={tmp_path / 'plan'}"]
    compared = [f"--compare_dir={tmp_path / 'compared'}", "--baseline_options={BPR: {learning_rate: .inf}}"]
    found = set()
    found |= fields_found("--model=APA", *data, *new, "--skip_unknown")
    sliced = tmp_path / "sliced"
    found |= fields_found(
        *("--model=APA", "--dataset=board", *words({**options, "epochs": 1, "shard_slices": 3})),
        *(f"--run_dir={sliced}", "--forget_users=u3", "--at_once"),
    )
    found |= fields_found(f"--run={sliced}", "--catch_up")
    found |= fields_found("--model=Pop", *data)
    found |= fields_found(run, f"--copy_to={tmp_path / 'another'}")
    found |= fields_found(copy, "--audit", status=1)
    found |= fields_found(f"--run={tmp_path / 'new'}", "--audit", "--verify")
    found |= fields_found(run, "--forget_users=nobody", "--dry_run", status=2)
    found |= fields_found(run, "--predict=u1:i2") | fields_found(run, "--recommend=u1")
    found |= fields_found(run)
    (tmp_path / "new.csv").write_text("user_id,item_id,rating,timestamp\nu1,i3,2,99000\nnew,i1,5,1\nnew,i2,5,2\n")
    grown = shutil.copytree(served, tmp_path / "grown")
    found |= fields_found(f"--run={grown}", f"--add={tmp_path / 'new.csv'}")
    found |= fields_found("--rotate_key")
    found |= fields_found(f"--run={served}", "--key_digests")
    found |= fields_found("--plan", run, *stream)
    found |= fields_found("tune", "--model=APA", *data, *search)
    found |= fields_found("--compare=BPR,Evidence,APA(D)+Evidence", "--model=APA", *data, *compared, status=1)
    found |= fields_found(
        "--compare=GradAscent", "--forget_n_users=1", "--model=APA", *data, f"--compare_dir={tmp_path / 'f'}"
    )
    next_items = next_item_words(options)
    run = f"--run={tmp_path / 'next'}"
    found |= fields_found(*next_items, f"--run_dir={tmp_path / 'next'}", "--forget_users=u3,nobody", "--skip_unknown")
    found |= fields_found(run, "--verify") | fields_found(run, "--recommend=u4")
    found |= fields_found(run, f"--export_recommendations={tmp_path / 'all.csv'}")
    rows = "".join(f"late,i{item},2,{99000 + item}\n" for item in range(4))  # enough to be trained on
    (tmp_path / "next.csv").write_text(f"user_id,item_id,rating,timestamp\n{rows}")
    found |= fields_found(run, f"--add={tmp_path / 'next.csv'}")
    at_once, titles = (
        f"--run_dir={tmp_path / 'titles'}",
        ["--adapters=titles", "--adapter_layers=1", "--shard_slices=2"],
    )
    found |= fields_found(*next_items, *titles, at_once, "--forget_users=u3", "--at_once")
    grown = shutil.copytree(tmp_path / "titles", tmp_path / "titles_grown")
    found |= fields_found(f"--run={grown}", f"--add={tmp_path / 'next.csv'}")
    found |= fields_found(f"--run={tmp_path / 'titles'}")
    found |= fields_found(f"--run={tmp_path / 'titles'}", "--catch_up")
    # lists that were empty here: an old format's notices, a moved shard, a difference, a measure's fault, what waited
    rare = {"audit.notices[]", "unlearn.plan.moved_shards[]", "unlearn.outcomes[].plan.moved_shards[]"}
    rare |= {"add.finished[]", "add.certificates[]", "unlearn.finished_additions[]"}
    rare |= {f"next_items_unlearn.{name}[]" for name in ("finished_additions", "last_steps")}
    rare |= {"next_items_add.certificates[]"}
    rare |= {"verify.differences[]", "compare.rows[].faults[]"}
    assert {*FIELDS} - found == rare
