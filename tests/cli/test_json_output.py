"""``--json``: one object on standard output, and nothing else there."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_apa import audit
from recbole_apa.cli.main import main
from recbole_apa.cli.output import plain


@pytest.fixture
def printed(capsys):
    def run(*words):
        status = main([*words, "--json"])
        found = json.loads(capsys.readouterr().out)
        assert found.pop("format") == 1 and found.pop("status") == status
        return status, found

    return run


def test_an_audit_that_holds_and_one_that_does_not(finished, tmp_path, printed):
    status, found = printed(f"--run={finished.run_dir}", "--audit")
    expected = audit(finished.run_dir)
    assert status == 0 and found["audit"]["holds"] is True and found["audit"]["findings"] == []
    assert (found["audit"]["checked"], found["audit"]["ledger_head"]) == (expected.checked, expected.head)
    copy = shutil.copytree(finished.run_dir, tmp_path / "copy")
    (copy / "shards" / "000" / "stranger.txt").write_text("who left this?")
    status, found = printed(f"--run={copy}", "--audit")
    assert status == 1 and found["audit"]["holds"] is False and "stranger.txt" in found["audit"]["findings"][0]


def test_a_plan_counts_and_names_nobody(finished, printed):
    status, found = printed(f"--run={finished.run_dir}", "--forget_users=u3", "--dry_run")
    plan = found["unlearn"]["plan"]
    own = [s for split in finished.data.train_set.splits.values() for s in split if s.user_id == "u3"]
    assert status == 0 and found["unlearn"]["outcomes"] == found["unlearn"]["certificates"] == []
    assert sum(n.get("dropped", 0) for n in plan["affected"].values()) == len(own)
    assert plan["exactness"] == "inherited" and 0 < len(plan["shards"]) <= plan["n_shards"] == 3
    assert "u3" not in json.dumps(found)


def test_figures_of_an_evaluation_are_those_of_the_run(finished, printed):
    status, found = printed(f"--run={finished.run_dir}")
    assert status == 0
    assert (
        found["metrics"]["test.aggregated.decomposition.auc"] == finished.metrics["test.aggregated.decomposition.auc"]
    )


@pytest.mark.slow
def test_a_request_and_its_verification(finished, tmp_path, printed):
    copy = shutil.copytree(finished.run_dir, tmp_path / "copy")
    status, found = printed(f"--run={copy}", "--forget_users=u3")
    (outcome,), (certificate,) = found["unlearn"]["outcomes"], found["unlearn"]["certificates"]
    assert status == 0 and outcome["method"] == "exact" and outcome["plan"] == found["unlearn"]["plan"]
    assert json.loads(Path(certificate).read_text())["request"]["position"] == outcome["ledger_lines"][0]
    status, found = printed(f"--run={copy}", "--audit", "--verify")
    assert status == 0 and found["audit"]["holds"] and found["verify"]["holds"] and found["verify"]["comparable"]


def test_a_refusal_is_an_object_too(finished, capsys):
    assert main([f"--run={finished.run_dir}", "--forget_users=nobody", "--json"]) == 2
    told = capsys.readouterr()
    assert (
        json.loads(told.out)["error"]["type"] == "RequestError" and "nobody" in json.loads(told.out)["error"]["message"]
    )
    assert told.err.strip().splitlines()[-1].startswith("RequestError: ")


@pytest.mark.parametrize(
    ("words", "json_asked"),
    [
        (["--json", "nonsense"], True),
        (["tune", "--json"], True),
        (["--json"], True),
        (["--audit", "--json", "True"], True),
        (["--audit", "--json=maybe"], False),
        (["--audit", "--json=False"], False),
        (["--audit"], False),
        (["--json", "--audit", "--audit=no"], True),
    ],
)
def test_errors_of_the_command_line_itself_are_objects_if_json_is_asked(words, json_asked, capsys):
    assert main(words) == 2
    told = capsys.readouterr()
    assert bool(told.out) == json_asked and told.err.startswith("SettingsError: ")
    if json_asked:
        found = json.loads(told.out)
        assert found == {"format": 1, "status": 2, "error": {"type": "SettingsError", "message": told.err.strip()[15:]}}


def test_help_is_text(capsys):
    assert main(["--help=json", "--json"]) == 0
    assert capsys.readouterr().out.startswith("  --json")


@pytest.mark.parametrize(
    ("raised", "status", "name"),
    [(ZeroDivisionError("a fault"), 70, "ZeroDivisionError"), (KeyboardInterrupt(), 130, "KeyboardInterrupt")],
)
def test_an_interruption_and_a_fault_of_ours_are_objects(raised, status, name, monkeypatch, capsys):
    def broken(*args, **kwargs):
        print("something that a library prints")
        raise raised

    monkeypatch.setattr("recbole_apa.pipeline.quick_start.run", broken)
    assert main(["--dataset=ml-100k", "--json"]) == status
    told = capsys.readouterr()
    found = json.loads(told.out)
    assert (found["status"], found["error"]["type"]) == (status, name) and "something that a library" in told.err


@pytest.mark.slow
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.builds(Path, st.just("a/b")),
        lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner),
    )
)
def test_any_result_can_be_printed(value):
    json.dumps(plain(value), allow_nan=False)


def test_numbers_of_numpy_are_numbers_and_what_is_no_number_is_null():
    found = plain({"a": np.float32(0.5), "b": np.int64(3), "c": (math.nan, -math.inf), 4: Path("x"), "d": True})
    assert found == {"a": 0.5, "b": 3, "c": [None, None], "4": "x", "d": True} and type(found["b"]) is int
