"""Requests at once and catching up, killed at every boundary of a stage."""

import pytest

from recbole_apa.cli.main import main
from recbole_apa.cli.next_item_texts import forget_text
from recbole_apa.core.errors import RunError, SettingsError
from recbole_apa.core.files.whole import read_json
from recbole_apa.next_item import change, fit
from recbole_apa.next_item.run import put_in_force, refusals, session
from recbole_apa.next_item.run import train as run_train
from recbole_apa.next_item.run.catch_up import catch_up_next_items
from recbole_apa.next_item.run.forget import forget_next_items
from recbole_apa.next_item.run.proof import audit_next_items, verify_next_items
from recbole_apa.next_item.run.store import NextItemStore
from recbole_apa.next_item.run.train import open_next_items
from recbole_apa.next_item.title_training import TitleTrainer
from recbole_apa.runs.ledger_lines import CAUGHT_UP, DONE, REQUEST
from tests.helpers.next_item_runs import assert_holds, forbid_training, kill, kinds, state_of


@pytest.fixture(scope="module")
def made(title_run):
    return title_run


@pytest.mark.parametrize(
    "where, name, after",
    [
        (session, "delete_drafts", 0),
        (change, "derive", 0),
        (run_train, "left_at_once", 0),
        (put_in_force, "write_state", 0),
        (NextItemStore, "put_in_force", 0),
        (session, "finish_request", 1),
    ],
)
@pytest.mark.quick(1)
def test_a_request_at_once_that_is_killed_is_finished_as_it_was_made(folder, monkeypatch, where, name, after):
    before = NextItemStore(folder).manifest()
    with monkeypatch.context() as patch:
        kill(patch, where, name, after)
        with pytest.raises(KeyboardInterrupt):
            forget_next_items(folder, users=["u5"], at_once=True)
    assert (NextItemStore(folder).check() == before) == (name != "finish_request")
    with pytest.raises(RunError, match="--resume"):
        open_next_items(folder)
    with monkeypatch.context() as patch:
        forbid_training(patch)
        assert main([f"--run={folder}", "--resume"]) == 0
        assert open_next_items(folder).later
    told = read_json(folder / "certificates" / "0001.json")
    assert told["title"].endswith("(exact, at once)")
    assert audit_next_items(folder).holds and not (folder / "state-0001").exists()


@pytest.mark.parametrize(
    "where, name, after",
    [
        (TitleTrainer, "_step", 1),
        (run_train, "trained_titles", 0),
        (session.Ledger, "append", 0),
        (put_in_force, "write_state", 0),
        (NextItemStore, "put_in_force", 0),
        (session, "finish_request", 1),
    ],
)
@pytest.mark.slow
def test_catching_up_that_is_killed_leaves_the_state_before_or_the_new_one(
    folder, plain, monkeypatch, capsys, where, name, after
):
    forget_next_items(plain, users=["u5"])
    forget_next_items(folder, users=["u5"], at_once=True)
    before = NextItemStore(folder).manifest()
    with monkeypatch.context() as patch:
        kill(patch, where, name, after)
        with pytest.raises(KeyboardInterrupt):
            catch_up_next_items(folder)
    assert (NextItemStore(folder).check() == before) == (name != "finish_request")
    if name in ("_step", "trained_titles", "append"):  # nothing waits: what is there goes on being served
        assert open_next_items(folder).later and audit_next_items(folder).holds
        catch_up_next_items(folder)
    else:
        with pytest.raises(RunError, match="--resume"):
            open_next_items(folder)
        capsys.readouterr()
        assert main([f"--run={folder}", "--resume"]) == 0
        told = capsys.readouterr().out
        assert ("line 3 of the ledger: its last steps" if name == "finish_request" else "caught up: adapters") in told
    assert state_of(folder) == state_of(plain)
    assert_holds(folder)


@pytest.mark.slow
def test_catching_up_that_waits_is_finished_afresh_on_another_machine(folder, monkeypatch):
    """Its line is in the ledger, so it would stand in the way of every request there."""
    forget_next_items(folder, users=["u5"], at_once=True)
    with monkeypatch.context() as patch:
        kill(patch, put_in_force, "write_state")
        with pytest.raises(KeyboardInterrupt):
            catch_up_next_items(folder)
    kind = type(refusals.machine_kind("cpu"))
    with monkeypatch.context() as patch:
        patch.setattr(refusals, "machine_kind", lambda device: kind("X", "Y", "Z", "L", "cpu", "P"))
        with pytest.raises(SettingsError, match="another kind of machine"):
            forget_next_items(folder)
        assert forget_next_items(folder, exactness="fresh").caught_up is not None
    assert kinds(folder) == [REQUEST, DONE, CAUGHT_UP, DONE] and open_next_items(folder).is_whole
    assert_holds(folder)
    assert verify_next_items(folder).means.endswith("nothing is taken over")


@pytest.mark.slow
def test_what_waits_is_finished_before_catching_up_and_before_a_request(folder, monkeypatch):
    forget_next_items(folder, users=["u5"], at_once=True)
    with monkeypatch.context() as patch:
        kill(patch, put_in_force, "write_state")
        with pytest.raises(KeyboardInterrupt):
            catch_up_next_items(folder)
    result = forget_next_items(folder, users=["u9"], at_once=True)
    assert result.caught_up is not None and sorted(result.run.state.learnt.ends) == list(result.change.shards)
    told = forget_text(result)
    assert "caught up: adapters" in told and "nothing is missing" not in told and result.run.later in told
    with monkeypatch.context() as patch:
        kill(patch, fit, "with_adapters")
        with pytest.raises(KeyboardInterrupt):
            forget_next_items(folder, users=["u7"])
    assert len(catch_up_next_items(folder).certificates) == 1
    assert kinds(folder) == [REQUEST, DONE, CAUGHT_UP, DONE, REQUEST, DONE, REQUEST, DONE]
    assert_holds(folder)
