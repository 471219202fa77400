"""Options as people write them: each is taken, or refused before anything is read or trained."""

import pytest

from recbole_apa.cli import main


@pytest.mark.parametrize("word", ["u1:spotify:track:7", "u1:spotify:track", "u1"])
def test_ids_with_colons_are_sent_to_a_request_file(word, capsys):
    assert main(["--run=/nowhere", f"--forget_interactions=u5:i6,{word}"]) == 2
    err = capsys.readouterr().err
    assert f"found '{word}', expected (user, item) as user:item" in err and "--unlearn=FILE" in err


def test_columns_of_a_request_file_reach_the_stage_and_only_when_given(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr("recbole_apa.unlearning.session.unlearn", lambda *a, **how: seen.append(how))
    monkeypatch.setattr("recbole_apa.unlearning.session.result_text", lambda result: "")
    (tmp_path / "r.csv").write_text("uid,iid,tag\nu1,i1,?\n")
    (tmp_path / "s.csv").write_text("user_id,item_id\nu1,i1\n")
    named = "--unlearn_columns={user_id: uid, item_id: iid, ignore: [tag]}"
    assert main(["--run=r", f"--unlearn={tmp_path / 'r.csv'}", named]) == 0
    assert main(["--run=r", f"--unlearn={tmp_path / 's.csv'}"]) == 0
    assert seen[0]["columns"] == {"user_id": "uid", "item_id": "iid", "ignore": ["tag"]}
    assert "columns" not in seen[1]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--unlearn_columns={user_id: uid}"], "expected together with --unlearn=FILE"),
        (["--unlearn_columns={user: uid}", "--unlearn=FILE"], "'user' is none of user_id, item_id"),
        (["--unlearn=FILE"], "line 1: found the columns uid, item; expected user_id, item_id or both"),
        (["--unlearn_column={user_id: uid}"], "did you mean 'unlearn_columns'"),
    ],
)
def test_columns_that_say_nothing_are_refused(words, says, tmp_path, capsys):
    (tmp_path / "r.csv").write_text("uid,item\nu1,i1\n")
    words = [word.replace("FILE", str(tmp_path / "r.csv")) for word in words]
    assert main(["--model=APA", "--dataset=ml-100k", *words]) == 2
    assert says in capsys.readouterr().err
