"""``--predict`` on the command line."""

import json

import pytest

from recbole_apa import predict
from recbole_apa.cli.main import main


def ran(capsys, *words):
    status = main(list(words))
    return status, capsys.readouterr()


def test_predictions_as_a_table_and_as_json(finished, capsys):
    run = f"--run={finished.run_dir}"
    status, said = ran(capsys, run, "--predict=u1:i2,nobody:i2")
    known = predict(finished, "u1", "i2")
    lines = said.out.splitlines()
    assert status == 0 and lines[0].split() == ["user", "item", "probability", "history"]
    assert lines[2].split()[:3] == ["u1", "i2", f"{known.score:.4f}"]
    assert "unknown user" not in lines[2] and "unknown user: judged by the item alone" in lines[3]
    status, said = ran(capsys, run, "--predict=u1:i2", "--json")
    (found,) = json.loads(said.out)["predictions"]
    assert status == 0 and found["score"] == known.score and found["weights"] == list(known.weights)
    assert found["n_history"] == known.n_history


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--predict="], "found nothing after it"),
        (["--predict=u1"], "expected USER:ITEM"),
        (["--predict=u1:i1:3"], "expected USER:ITEM"),
        (["--predict=u1:no"], "does not have, e.g. 'no'"),
        (["--predict=u1:i1", "--audit"], "does not go with"),
        (["--predict=u1:i1", "--forget_users=u1"], "does not go with"),
    ],
)
def test_what_cannot_be_predicted_is_refused(finished, capsys, words, says):
    status, said = ran(capsys, f"--run={finished.run_dir}", *words)
    assert status == 2 and says in said.err and not said.out.strip()


def test_a_prediction_needs_a_run(capsys):
    status, said = ran(capsys, "--predict=u1:i1")
    assert status == 2 and "--run" in said.err
