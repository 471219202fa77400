"""``--json``: one object on standard output, and nothing else there."""

import json
import shutil
from pathlib import Path

import pytest

from recbole_apa import audit
from recbole_apa.cli.main import main


@pytest.fixture
def printed(capsys):
    def run(*words):
        status = main([*words, "--json"])
        found = json.loads(capsys.readouterr().out)
        assert found.pop("format") == 1
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


def test_a_refusal_prints_no_object(finished, capsys):
    assert main([f"--run={finished.run_dir}", "--forget_users=nobody", "--json"]) == 2
    told = capsys.readouterr()
    assert told.out == "" and "nobody" in told.err
