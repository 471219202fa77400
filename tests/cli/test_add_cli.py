"""``--add``: what is passed on, what is refused, what people and programs are told."""

import json
from pathlib import Path

import pytest

from recbole_apa.cli.fields import unlearn_fields
from recbole_apa.cli.main import main
from recbole_apa.unlearning.additions import AdditionPlan, AddResult
from recbole_apa.unlearning.additions.texts import plan_text, result_text
from recbole_apa.unlearning.outcome import UnlearnResult
from recbole_apa.unlearning.texts import result_text as unlearn_text

PLAN = AdditionPlan(
    n_rows=12,
    n_readmitted=1,
    n_users=1,
    n_items=3,
    roles={"train": 8, "valid": 2, "test": 1},
    samples={"train": 5, "valid": 1, "test": 0},
    piece=2,
    shards={0: 1, 2: 4},
    n_shards=4,
    estimated_seconds=None,
)
RESULT = AddResult(PLAN, 7, [5, 6], [Path("run/certificates/0005.json")], {"AUC": {"before": 0.5, "after": None}}, 2.25)


@pytest.fixture
def asked(monkeypatch):
    """What a command asks of ``add``, which does nothing."""
    calls = []

    def add(*args, **options):
        calls.append((args, options))
        return RESULT

    monkeypatch.setattr("recbole_apa.unlearning.additions.stage.add", add)
    return calls


def test_a_command_is_a_call(asked, capsys):
    assert main(["--run=R", "--add=new.csv"]) == 0
    words = [
        "--add_columns={user_id: uid, ignore: [tag]}",
        "--readmit",
        "--dry_run",
        "--other_machine=accept",
    ]
    assert main(["--run=R", "--add", "new.csv", *words, "--data_path=here"]) == 0
    capsys.readouterr()
    plain = {"columns": None, "readmit": False, "dry_run": False, "config_dict": {}, "other_machine": "refuse"}
    told = {"columns": {"user_id": "uid", "ignore": ["tag"]}, "readmit": True, "dry_run": True}
    more = {"config_dict": {"data_path": "here"}, "other_machine": "accept"}
    assert asked == [(("R", Path("new.csv")), plain), (("R", Path("new.csv")), told | more)]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--run=R", "--add="], "--add: found no value"),
        (["--run=R", "--add= "], "--add: found no value"),
        (["--run=R", "--add_columns={user_id: uid}"], "--add_columns: found no addition; expected together with"),
        (["--run=R", "--readmit"], "--readmit: found no addition"),
        (["--run=R", "--readmit", "--forget_users=1"], "--readmit: found no addition"),
        (["--run=R", "--add=a.csv", "--add_columns=uid"], "--add_columns: found 'uid', expected e.g. {user_id"),
        (["--run=R", "--add=a.csv", "--unlearn=b.csv"], "--unlearn does not go with --add; give one command for each"),
        (["--run=R", "--add=a.csv", "--forget_users=1"], "--forget_users does not go with --add"),
        (["--run=R", "--add=a.csv", "--exactness=strict"], "--exactness does not go with --add"),
        (["--run=R", "--add=a.csv", "--unlearn_method=NPO"], "--unlearn_method does not go with --add"),
        (["--run=R", "--add=a.csv", "--unlearn_columns={user_id: u}"], "--unlearn_columns does not go with --add"),
        (["--run=R", "--add=a.csv", "--skip_unknown"], "--skip_unknown does not go with --add"),
        (["--run=R", "--add=a.csv", "--allow_pending"], "--allow_pending does not go with --add"),
        (["--run=R", "--add=a.csv", "--audit"], "--audit does not go with --add"),
        (["--run=R", "--add=a.csv", "--verify"], "--verify does not go with --add"),
        (["--run=R", "--add=a.csv", "--predict=1:2"], "--predict does not go with --add"),
        (["--run=R", "--add=a.csv", "--copy_to=b"], "--copy_to does not go with --add"),
        (["--run=R", "--add=a.csv", "--key_digests"], "--add does not go with --key_digests"),
        (["--add=a.csv", "--rotate_key"], "--add does not go with --rotate_key"),
        (["--run=R", "--add=a.csv", "--plan", "--requests_per_day=5", "--n_samples=9"], "--add does not go with this"),
        (["--compare=BPR", "--add=a.csv"], "--add does not go with"),
        (["--model=APA", "--dataset=ml-100k", "--add=a.csv"], "--add: expected on a finished run, together with"),
        (["--model=APA", "--dataset=ml-100k", "--add="], "--add: expected on a finished run"),
        (["--model=APA", "--dataset=ml-100k", "--readmit"], "--readmit: expected on a finished run"),
        (["tune", "--dataset=ml-100k", "--add=a.csv"], "--add does not go with tune"),
        (["--run=R", "--addd=a.csv"], "did you mean 'add'?"),
        (["--run=R", "--add=a.csv", "--add=b.csv"], "--add is given twice"),
        (["--run=R", "--add"], "found '--add' without a value, expected --add=value"),
    ],
)  # fmt: skip
def test_nothing_is_dropped_without_a_word(words, says, asked, capsys):
    assert main(words) == 2
    assert says in capsys.readouterr().err and asked == []


def test_flags_that_are_false_are_not_given(asked):
    given = ["--audit=False", "--skip_unknown=False", "--readmit=False", "--dry_run=False"]
    assert main(["--run=R", "--add=a.csv", *given]) == 0 and not asked[0][1]["readmit"]


def test_a_result_in_plain_sentences():
    assert result_text(RESULT).splitlines() == [
        "finished first: line 5 of the ledger",
        "finished first: line 6 of the ledger",
        "certificate: run/certificates/0005.html",
        "12 interactions to add; among them 1 new user and 3 new items",
        "1 interaction of something forgotten is readmitted",
        "split: 8 train, 2 valid, 1 test; 1 in none, as a filter drops them",
        "new samples: 5 train, 1 valid, 0 test",
        "shards to train on: 000 (1 sample), 002 (4 samples); 2 of 4, each after what it has learnt, as piece 2",
        "     before    after",
        "---  --------  -------",
        "AUC  0.5000    -",
        "added: line 7 of the ledger; 2.2 s of training",
    ]


def test_a_plan_in_plain_sentences():
    plain = AdditionPlan(1, 0, 0, 0, {"train": 1, "valid": 0, "test": 0}, {}, 1, {}, 4, 12.4)
    assert result_text(AddResult(plain)).splitlines() == [
        "1 interaction to add; among them 0 new users and 0 new items",
        "split: 1 train, 0 valid, 0 test",
        "new samples: 0 train, 0 valid, 0 test",
        "no new training sample: none of 4 shards is trained",
        "estimated time, evaluation apart: 12 s",
        "nothing was added: this is the plan alone",
    ]
    assert "readmitted" not in plan_text(plain)
    assert result_text(AddResult(None, finished=[3])) == "finished first: line 3 of the ledger"


def test_programs_get_the_same(asked, capsys):
    assert main(["--run=R", "--add=a.csv", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["add"]
    assert found["plan"] == {
        "n_rows": 12,
        "n_readmitted": 1,
        "n_users": 1,
        "n_items": 3,
        "roles": {"train": 8, "valid": 2, "test": 1},
        "samples": {"train": 5, "valid": 1, "test": 0},
        "piece": 2,
        "shards": {"0": 1, "2": 4},
        "n_shards": 4,
        "n_train_samples": 5,
        "estimated_seconds": None,
    }
    del found["plan"]
    assert found == {
        "ledger_line": 7,
        "finished": [5, 6],
        "certificates": ["run/certificates/0005.json"],
        "figures": {"AUC": {"before": 0.5, "after": None}},
        "seconds": 2.25,
    }


def test_an_addition_that_a_request_finished_first_is_told():
    assert unlearn_text(UnlearnResult(None, additions=[5])) == "finished: the addition in line 5 of the ledger"
    assert unlearn_fields(UnlearnResult(None, additions=[5]))["finished_additions"] == [5]
