"""Forgetting from the command line, as a data officer would."""

import pytest

from benchmarks.board import write_board
from recbole_apa import evaluate_run, run, unlearn
from recbole_apa.cli.main import main
from recbole_apa.core.errors import RequestError
from recbole_apa.core.files.whole import read_json
from tests.helpers.commands import words
from tests.helpers.runs import copy_run, tree


@pytest.mark.slow
def test_train_and_forget_in_one_command(options, tmp_path, capsys):
    (tmp_path / "requests.csv").write_text("user_id,item_id\nu3,\nu5,i6\n")
    given = words(options, epochs=1, run_dir=tmp_path / "run", unlearn=tmp_path / "requests.csv")
    assert main(["--model=APA", "--dataset=board", *given]) == 0
    out = capsys.readouterr().out
    assert "17 interactions to forget affect" in out and "shards to train again" in out
    assert "before" in out and "the first training of the whole state took" in out
    certificate = read_json(tmp_path / "run" / "certificates" / "0001.json")
    assert certificate["request"]["n_interactions"] == 17
    assert (tmp_path / "run" / "certificates" / "0001.html").read_text().count("u3") == 0
    assert 'href="certificates/0001.html"' in (tmp_path / "run" / "report.html").read_text()


@pytest.mark.slow
def test_an_approximate_request_is_called_so(finished, tmp_path, capsys):
    folder = copy_run(finished, tmp_path / "run")
    assert main([f"--run={folder}", "--forget_users=u3", "--unlearn_method=NPO"]) == 0
    assert "shards moved by NPO, which is approximate" in capsys.readouterr().out
    assert main([f"--run={folder}", "--audit"]) == 1
    assert "was moved by NPO, not trained again" in capsys.readouterr().out
    assert main([f"--run={folder}", "--forget_users=u4", "--unlearn_method=npo"]) == 2
    assert "found 'npo', expected exact or one of" in capsys.readouterr().err


def test_a_data_officers_day(finished, tmp_path, capsys):
    folder = copy_run(finished, tmp_path / "run")
    before = tree(folder)
    assert main([f"--run={folder}", "--forget_users=u3", "--dry_run"]) == 0
    assert "its target is forgotten" in capsys.readouterr().out and tree(folder) == before
    assert main([f"--run={folder}", "--forget_users=u3", "--forget_interactions=u5:i6,u5:i9"]) == 0
    assert "certificate: " in capsys.readouterr().out
    assert main([f"--run={folder}", "--audit", "--verify"]) == 0
    out = capsys.readouterr().out
    assert "the audit holds; ledger head" in out and "equal, bit for bit, to training from scratch" in out
    path = folder / "certificates" / "0001.json"
    path.write_text(path.read_text().replace('"exactness": "inherited"', '"exactness": "strict"'))
    assert main([f"--run={folder}", "--audit"]) == 1
    assert "FOUND: certificates/0001.json was changed after it was written" in capsys.readouterr().out
    path.write_text(path.read_text().replace('"exactness": "strict"', '"exactness": "inherited"'))
    memory = folder / "memory.safetensors"
    content = memory.read_bytes()
    memory.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert main([f"--run={folder}", "--audit"]) == 1
    assert "memory.safetensors was changed" in capsys.readouterr().out
    assert main([f"--run={folder}"]) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--forget_users="], "--forget_users: found no value"),
        (["--forget_interactions= , "], "--forget_interactions: found no value"),
        (["--unlearn="], "--unlearn: found no value"),
        (["--forget_users=u5", "--audit"], "--audit does not go with a request"),
        (["--verify", "--unlearn=r.csv"], "--verify does not go with a request"),
        (["--exactness=foo"], "--exactness: found no request"),
        (["--exactness=foo", "--forget_users=u5"], "exactness: found 'foo'"),
        (["--unlearn_method=NPO"], "--unlearn_method: found no request"),
        (["--dry_run"], "--dry_run: found no request"),
        (["--skip_unknown"], "--skip_unknown: found no request"),
        (["--unlearn_columns={user_id: uid}"], "--unlearn_columns: found no request"),
    ],
)
def test_no_request_is_dropped_without_a_word(given, says, finished, tmp_path, capsys):
    """Each of these ended with status 0, and nothing was forgotten."""
    folder = copy_run(finished, tmp_path / "run")
    before = tree(folder)
    assert main([f"--run={folder}", *given]) == 2
    assert says in capsys.readouterr().err and tree(folder) == before


@pytest.mark.slow
@pytest.mark.parametrize("named", ["u3", "u5"])
def test_a_request_that_waits_is_finished_and_the_one_named_is_not_dropped(named, finished, tmp_path, capsys):
    folder = copy_run(finished, tmp_path / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recbole_apa.unlearning.exact.carry_out", stopped)
        with pytest.raises(InterruptedError):
            unlearn(folder, users=["u3"])
    assert main([f"--run={folder}", f"--forget_users={named}"]) == 0
    assert len(list((folder / "certificates").glob("*.json"))) == (1 if named == "u3" else 2)
    left = evaluate_run(folder).data[0]._dataset
    assert {"u3", named}.isdisjoint(left.interactions.users)
    assert main([f"--run={folder}", "--audit"]) == 0


def stopped(*args, **named):
    raise InterruptedError


def test_bad_requests_change_nothing_and_exit_with_2(finished, tmp_path, capsys):
    folder = copy_run(finished, tmp_path / "run")
    before = tree(folder)
    (tmp_path / "bad.csv").write_text("user_id,item_id\nu3,i2\nu99,\n")
    (tmp_path / "empty.csv").write_text("")
    for given, says in (
        (f"--unlearn={tmp_path / 'bad.csv'}", "bad.csv, line 3: no such user in the data"),
        (f"--unlearn={tmp_path / 'empty.csv'}", "expected user_id, item_id or both"),
        (f"--unlearn={tmp_path / 'none.csv'}", "cannot read the request"),
        ("--forget_users=u99", "no such user in the data"),
        ("--forget_interactions=u1", "expected (user, item)"),
        ("--resume", "found no request"),
    ):
        assert main([f"--run={folder}", given]) == 2
        assert says in capsys.readouterr().err
    assert tree(folder) == before
    assert main([f"--run={folder}", f"--unlearn={tmp_path / 'bad.csv'}", "--skip_unknown"]) == 0
    assert "left out: bad.csv, line 3" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--model=APA", "--dataset=ml-100k", "--audit"], "expected on a finished run"),
        (["--model=BPR", "--dataset=ml-100k", "--forget_users=1"], "expected --model=APA"),
        (["--model=APA", "--dataset=ml-100k", "--unlearn=/none.csv"], "cannot read the request"),
        (["--run=/nowhere", "--audit"], "is not a run folder"),
        (["--run=/nowhere", "--forget_users=1"], "is not a run folder"),
        (["--model=APA", "--dataset=ml-100k", "--unlern=x.csv"], "did you mean 'unlearn'"),
    ],
)
def test_misused_options_are_named(given, says, capsys):
    assert main(given) == 2
    assert says in capsys.readouterr().err


@pytest.mark.slow
def test_no_name_of_the_forgotten_reaches_a_log(finished, tmp_path, caplog):
    caplog.set_level("DEBUG")
    folder = copy_run(finished, tmp_path / "run")
    main([f"--run={folder}", "--forget_users=u3"])
    assert caplog.text and "u3:" not in caplog.text


@pytest.mark.slow
def test_the_same_command_again_goes_on_where_it_was_interrupted(options, tmp_path, capsys, monkeypatch):
    given = ["--model=APA", "--dataset=board", *words(options, epochs=1, run_dir=tmp_path / "run"), "--forget_users=u3"]
    with monkeypatch.context() as patch:
        patch.setattr("recbole_apa.unlearning.exact.commit_state", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
        assert main(given) == 130
    assert main([f"--run={tmp_path / 'run'}", "--allow_pending"]) == 2
    assert "half in place" in capsys.readouterr().err
    assert main(given) == 0
    assert "resuming it" in capsys.readouterr().out
    assert main([f"--run={tmp_path / 'run'}", "--audit"]) == 0


@pytest.mark.slow
def test_a_pair_is_asked_for_although_one_of_its_rows_waits(options, tmp_path):
    """The pair that was named covers the row; the row does not cover the pair."""
    write_board(tmp_path / "twice", timestamps=True)
    path = tmp_path / "twice" / "twice.inter"
    path.write_text(path.read_text() + "u3\ti1\t5\t3002.5\nu3\ti1\t2\t3100\n")
    folder = tmp_path / "run"
    run("APA", "twice", config_dict={**options, "data_path": str(tmp_path), "epochs": 1}, run_dir=folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recbole_apa.unlearning.exact.carry_out", stopped)
        with pytest.raises(InterruptedError):
            unlearn(folder, interactions=[("u3", "i1", 3100)])
    done = unlearn(folder, interactions=[("u3", "i1")])
    assert len(done.outcomes) == 2 and done.plan.n_interactions >= 1
    left = evaluate_run(folder).data[0]._dataset.raw_interactions
    assert ("u3", "i1") not in set(zip(left.users, left.items, strict=True))
    with pytest.raises(RequestError, match="was forgotten before"):
        unlearn(folder, interactions=[("u3", "i1", 3002.5)])
