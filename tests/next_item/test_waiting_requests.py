"""A request is refused before it is taken, or can be carried out: none waits for ever."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from recbole_apa.cli.main import main
from recbole_apa.core.errors import DataError, RequestError, RunError, SettingsError
from recbole_apa.next_item import backbone_states
from recbole_apa.next_item.run import refusals, session
from recbole_apa.next_item.run.add import add_next_items
from recbole_apa.next_item.run.forget import forget_next_items
from recbole_apa.next_item.run.proof import audit_next_items, verify_next_items
from recbole_apa.next_item.run.train import open_next_items
from tests.helpers.next_item_runs import kill
from tests.helpers.runs import tree


@pytest.fixture(scope="module")
def made(head_run):
    return head_run


def kill_before_the_new_state(folder, monkeypatch, **asked):
    with monkeypatch.context() as patch:
        patch.setattr(session, "put_new_state", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            forget_next_items(folder, **asked)


def test_another_machine_is_refused_before_the_request_is_taken(folder, monkeypatch):
    before, kind = tree(folder), type(refusals.machine_kind("cpu"))
    with monkeypatch.context() as patch:
        patch.setattr(refusals, "machine_kind", lambda device: kind("X", "Y", "Z", "L", "cpu", "P"))
        with pytest.raises(SettingsError, match="another kind of machine"):
            forget_next_items(folder, users=["u5"])
        assert tree(folder) == before
        forget_next_items(folder, users=["u5"], exactness="fresh")
    assert audit_next_items(folder).holds


def test_nothing_left_to_train_on_is_refused_before_the_request_is_taken(made, folder):
    """Users of three items have a validation and a test target, and no training row."""
    before = tree(folder)
    whole = [s.user for s in made.data.sequences if s.user != "u7"]
    pairs = [("u7", item) for item in made.data.of_user["u7"].items[3:]]
    with pytest.raises(DataError, match="no training row is left"):
        forget_next_items(folder, users=whole, interactions=pairs)
    assert tree(folder) == before


@pytest.mark.parametrize("part", [slice(-7, -1), slice(None, -7)], ids=["last pass", "earlier pass"])
def test_a_history_that_becomes_too_long_is_refused_before_the_request_is_taken(made, folder, monkeypatch, part):
    """Without a row the items of a pass reach further back, perhaps to a longer text."""
    before, history = tree(folder), made.data.of_user["u4"]
    *_, lost = history.shown(6)
    left = [item for item in history.items if item != lost][part]
    assert left
    real = backbone_states.HistoryEncoder.encode_lines

    def longer(encoder, lines):
        ids, texts = real(encoder, lines), made.data.catalogue.texts_of(left)
        return replace(ids, ids=ids.ids * 1000) if lines == [encoder.line(text) for text in texts] else ids

    monkeypatch.setattr(backbone_states.HistoryEncoder, "encode_lines", longer)
    with pytest.raises(SettingsError, match="show fewer items"):
        forget_next_items(folder, interactions=[("u4", lost)])
    assert tree(folder) == before


@pytest.mark.slow
def test_states_that_do_not_come_again_are_forgotten_by_training_again(folder, monkeypatch):
    real = backbone_states.HistoryStates._read
    with monkeypatch.context() as patch:
        patch.setattr(backbone_states.HistoryStates, "_read", lambda self, h: real(self, h) + torch.tensor(0.5))
        with pytest.raises(RunError, match="again with --exactness=fresh"):
            forget_next_items(folder, users=["u5"])
        forget_next_items(folder, exactness="fresh")
        assert verify_next_items(folder).holds
    assert open_next_items(folder).data.of_user.keys().isdisjoint({"u5"})
    told = json.loads(next((folder / "certificates").iterdir()).read_text())
    assert told["exactness"] == "fresh" and "nothing is taken over" in told["means"]


@pytest.mark.slow
def test_a_waiting_request_that_is_asked_for_afresh_is_carried_out_so(folder, monkeypatch):
    kill_before_the_new_state(folder, monkeypatch, users=["u5"])
    result = forget_next_items(folder, users=["u5"], exactness="fresh")
    told = json.loads(Path(result.certificates[0]).read_text())
    assert told["exactness"] == "fresh" and len(result.certificates) == 1
    assert audit_next_items(folder).holds and verify_next_items(folder).means.endswith("nothing is taken over")


@pytest.mark.slow
def test_a_waiting_fresh_request_stays_so(folder, monkeypatch):
    kill_before_the_new_state(folder, monkeypatch, users=["u5"], exactness="fresh")
    result = forget_next_items(folder)
    assert json.loads(Path(result.certificates[0]).read_text())["exactness"] == "fresh"


@pytest.mark.parametrize("is_request", [True, False], ids=["request", "addition"])
def test_last_steps_that_were_missing_are_named(folder, monkeypatch, capsys, is_request):
    with monkeypatch.context() as patch:
        kill(patch, session, "finish_request", 1)  # the first call is for what waits
        with pytest.raises(KeyboardInterrupt):
            forget_next_items(folder, users=["u5"]) if is_request else add_next_items(folder, [("u8", "i2", 4, 9000)])
    copy = Path(shutil.copytree(folder, folder.with_name("copy")))
    assert main([f"--run={folder}", "--resume"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "line 1 of the ledger: its last steps were missing, and are done now"
    assert [line.partition(":")[0] for line in told[1:]] == ["certificate"] * is_request
    assert main([f"--run={copy}", "--resume", "--json"]) == 0
    fields = json.loads(capsys.readouterr().out)["next_items_unlearn"]
    assert fields["last_steps"] == [1] and fields["finished_additions"] == ([] if is_request else [1])
    assert fields["without_adapter"] is None and len(fields["certificates"]) == is_request
    assert audit_next_items(folder).holds


@pytest.mark.slow
def test_what_was_forgotten_before_is_refused_after_a_waiting_request_too(folder, monkeypatch):
    forget_next_items(folder, users=["u5"])
    kill_before_the_new_state(folder, monkeypatch, users=["u6"])
    with pytest.raises(RequestError, match="was forgotten before"):
        forget_next_items(folder, users=["u6", "u5"])
    assert audit_next_items(folder).holds and "u6" not in open_next_items(folder).data.of_user


def test_a_request_comes_from_a_file(folder, tmp_path):
    file = tmp_path / "asked.csv"
    file.write_text("user_id,item_id\nu5,\n")
    assert main([f"--run={folder}", f"--unlearn={file}"]) == 0
    assert "u5" not in open_next_items(folder).data.of_user


@pytest.mark.parametrize("words", [["--allow_pending"], ["--other_machine=accept", "--forget_users=u5"]])
def test_what_the_mode_does_not_have_is_refused(folder, capsys, words):
    before = tree(folder)
    assert main([f"--run={folder}", *words]) == 2
    assert "does not go with a run of APANext" in capsys.readouterr().err
    assert tree(folder) == before
