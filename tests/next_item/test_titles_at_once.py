"""Forgotten at once: adapters of the hit shards are dropped, nothing is trained; caught up, the run is what an ordinary
request leaves."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from recbole_apa.cli.main import main
from recbole_apa.cli.next_item_texts import forget_text
from recbole_apa.core.errors import RequestError, RunError, SettingsError
from recbole_apa.core.files.whole import file_digest, read_json, write_json
from recbole_apa.core.system import devices
from recbole_apa.next_item.merged_titles import MergedTitles
from recbole_apa.next_item.run import refusals
from recbole_apa.next_item.run.add import add_next_items
from recbole_apa.next_item.run.catch_up import catch_up_next_items
from recbole_apa.next_item.run.forget import forget_next_items
from recbole_apa.next_item.run.proof import audit_next_items, verify_next_items
from recbole_apa.next_item.run.store import NextItemStore
from recbole_apa.next_item.run.train import open_next_items
from recbole_apa.next_item.titles import TitleModel
from recbole_apa.runs.ledger_lines import ADDED, CAUGHT_UP, DONE, REQUEST
from recbole_apa.runs.names import TO_MAKE
from tests.helpers.next_item_runs import assert_holds, forbid_training, kinds, state_of
from tests.helpers.runs import tree

NEW = [("u8", "i2", 4, 9000), ("u8", "i3", 4, 9001), ("new", "i3", 4, 9002), ("new", "i4", 4, 9003)]


@pytest.fixture(scope="module")
def made(title_run):
    return title_run


@pytest.fixture
def stranger(made) -> str:
    """A user of another shard than u5."""
    shard_of = made.state.learnt.shard_of
    return next(user for user in sorted(shard_of) if shard_of[user] != shard_of["u5"])


def test_a_request_at_once_trains_nothing_and_catches_up_to_the_same_bytes(folder, plain, monkeypatch):
    forget_next_items(plain, users=["u5"])
    with monkeypatch.context() as patch:
        forbid_training(patch)
        result = forget_next_items(folder, users=["u5"], at_once=True)
        opened = open_next_items(folder)
    (shard,) = result.change.shards
    gone = {f"adapters/{shard:03d}.safetensors", f"drafts/{shard:03d}.safetensors"}
    assert set(state_of(plain)) - set(state_of(folder)) == gone
    same = {name for name in state_of(folder) if state_of(folder)[name] == state_of(plain)[name]}
    assert set(state_of(folder)) - same == {"lineage.json", "metrics.json"}  # heads, sums, weights and fusion are there
    assert not [row for row in opened.figures if "drawn users" in row] and opened.figures["APANext"]
    assert f"shards {shard:03d}" in opened.table and "--catch_up" in opened.table
    told = read_json(Path(result.certificates[0]))
    assert told["title"].endswith("(exact, at once)") and told["at_once"]["without_adapter"] == [shard]
    assert "No adapter and no draft was trained" in told["kept"] and f"shards {shard:03d} are left out" in told["means"]
    assert "2 drawn users" in told["at_once"]["to_make"] and told["files"][sorted(gone)[0]]["after"] is None
    audit, verified = audit_next_items(folder), verify_next_items(folder)
    assert audit.findings == [] and verified.differences == [] and "left out" in verified.means
    assert any("2 adapters" in line for line in audit.checked) and any("--catch_up" in n for n in audit.notices)
    caught = catch_up_next_items(folder)
    assert caught.caught_up == [shard] and caught.run.is_whole and TO_MAKE not in NextItemStore(folder).manifest()
    assert state_of(folder) == state_of(plain) and kinds(folder) == [REQUEST, DONE, CAUGHT_UP, DONE]
    assert_holds(folder)
    with pytest.raises(RequestError, match="nothing to catch up with"):
        catch_up_next_items(folder)


@pytest.mark.slow
def test_an_ordinary_request_after_one_at_once_trains_what_is_missing(folder, plain, stranger):
    for users in (["u5"], [stranger]):
        forget_next_items(plain, users=users)
    first = forget_next_items(folder, users=["u5"], at_once=True).change.shards
    second = forget_next_items(folder, users=[stranger])
    assert first != second.change.shards and second.run.is_whole
    told = read_json(Path(second.certificates[0]))
    assert "at_once" not in told and told["caught_up"] == second.caught_up == list(first)
    assert f"caught up: adapters of shards {first[0]:03d}" in forget_text(second)
    assert state_of(folder) == state_of(plain)
    assert_holds(folder)


@pytest.mark.slow
def test_two_requests_at_once_drop_the_adapters_of_both(folder, plain, stranger):
    for users in (["u5"], [stranger]):
        forget_next_items(plain, users=users)
    ends = set(forget_next_items(folder, users=["u5"], at_once=True).change.shards)
    result = forget_next_items(folder, users=[stranger], at_once=True)
    ends |= set(result.change.shards)
    assert set(result.run.state.learnt.ends) == ends and len(ends) == 2
    assert_holds(folder)
    catch_up_next_items(folder)
    assert state_of(folder) == state_of(plain)
    assert_holds(folder)


@pytest.mark.parametrize("order", [(ADDED, REQUEST), (REQUEST, ADDED)])
@pytest.mark.slow
def test_additions_before_and_after(folder, plain, order):
    for place, at_once in ((plain, False), (folder, True)):
        for act in order:
            add_next_items(place, NEW) if act == ADDED else forget_next_items(place, users=["u5"], at_once=at_once)
    if order[-1] == REQUEST:
        assert open_next_items(folder).later
        assert_holds(folder)
        catch_up_next_items(folder)
    assert state_of(folder) == state_of(plain)
    assert_holds(folder)


@pytest.mark.slow
def test_with_no_adapter_left_no_titles_are_written(folder, made):
    users = {shard: user for user, shard in sorted(made.state.learnt.shard_of.items())}
    result = forget_next_items(folder, users=sorted(users.values()), at_once=True)
    assert sorted(result.run.state.learnt.ends) == [0, 1, 2] and "no titles are written" in result.run.later
    assert result.run.state.title_weights is None
    reader = made.reader
    model = TitleModel(reader.states.decoder, reader.states.encoder, made.data.catalogue)
    with pytest.raises(RunError, match="--catch_up"):
        MergedTitles(model, result.run.state, 1)
    assert_holds(folder)
    catch_up_next_items(folder)
    assert_holds(folder)


def test_the_weights_of_the_adapters_that_are_left_sum_to_one(folder, made):
    state = forget_next_items(folder, users=["u5"], at_once=True).run.state
    (gone,) = state.learnt.ends
    states, own = state.learnt.test.states, state.own_rows(state.learnt.test.users)
    whole, left = state.weights(states, own), state.title_weights(states, own)
    expected = whole.clone()
    expected[:, gone] = 0
    assert float(whole[:, gone].min()) > 0 and not bool(left[:, gone].any())
    assert torch.allclose(left, expected / expected.sum(1, keepdim=True))
    assert torch.equal(made.state.title_weights(states, own), made.state.weights(states, own))
    reader = made.reader
    merged = MergedTitles(
        TitleModel(reader.states.decoder, reader.states.encoder, made.data.catalogue), state, n_below=1
    ).of(state.learnt.test.users[0], states[0])
    assert merged._early is not None  # the drafts of the adapters that are left are all there


@pytest.mark.slow
def test_where_no_shard_is_hit_only_rows_are_left_for_later(folder, plain, monkeypatch):
    """u1 has two items: a validation or test target, and no training row."""
    forget_next_items(plain, users=["u1"])
    with monkeypatch.context() as patch:
        forbid_training(patch)
        result = forget_next_items(folder, users=["u1"], at_once=True)
    assert result.change.shards == () and not result.run.is_whole and not result.run.state.learnt.ends
    assert_holds(folder)
    assert catch_up_next_items(folder).caught_up == []
    assert state_of(folder) == state_of(plain)


def test_an_adapter_that_is_put_back_is_found(folder, made):
    (shard,) = forget_next_items(folder, users=["u5"], at_once=True).change.shards
    store = NextItemStore(folder)
    state = store.state_folder(store.manifest())
    for name in (f"adapters/{shard:03d}.safetensors", f"drafts/{shard:03d}.safetensors"):
        shutil.copyfile(made.folder / "state-0001" / name, state / name)
        assert any("not listed" in finding for finding in audit_next_items(folder).findings)
        manifest = store.manifest()
        manifest["files"][name] = file_digest(state / name)
        store.put_in_force(manifest)
        assert any("manifest.json was changed" in finding for finding in audit_next_items(folder).findings)
        with pytest.raises(RunError, match="not to have"):
            open_next_items(folder)
        del manifest["files"][name]
        (state / name).unlink()
        store.put_in_force(manifest)
    assert audit_next_items(folder).findings == []


@pytest.mark.quick(1)
@pytest.mark.parametrize("told", [None, {}, {"shards": {"1": 1}}, {"shards": {"9": 0}}, {"shards": {}}])
def test_a_manifest_that_says_something_else_is_found(folder, told):
    """Also to whoever opens the run without comparing manifest and ledger."""
    forget_next_items(folder, users=["u5"], at_once=True)
    store = NextItemStore(folder)
    manifest = store.manifest()
    manifest.pop(TO_MAKE)
    store.put_in_force(manifest if told is None else {**manifest, TO_MAKE: told})
    with pytest.raises(RunError, match="restore"):
        open_next_items(folder)
    assert audit_next_items(folder).findings


def test_an_adapter_that_no_request_dropped_is_missed(folder):
    """The manifest of a whole run lists it; without that, the lineage does."""
    store = NextItemStore(folder)
    manifest = store.manifest()
    state = store.state_folder(manifest)
    for name in ("adapters/001.safetensors", "drafts/001.safetensors"):
        (state / name).unlink()
        del manifest["files"][name]
    store.put_in_force(manifest)
    assert any("001.safetensors" in finding for finding in audit_next_items(folder).findings)
    lineage = read_json(state / "lineage.json")
    lineage["adapters"][1] = None
    write_json(state / "lineage.json", lineage)
    manifest["files"]["lineage.json"] = file_digest(state / "lineage.json")
    store.put_in_force(manifest)
    assert any("other adapters are missing" in finding for finding in audit_next_items(folder).findings)


def test_heads_alone_have_nothing_to_leave(head_run, tmp_path, capsys):
    run, plain = (Path(shutil.copytree(head_run.folder, tmp_path / name)) for name in ("run", "plain"))
    forget_next_items(plain, users=["u5"])
    assert main([f"--run={run}", "--forget_users=u5", "--at_once"]) == 0
    assert "nothing is left for later" in capsys.readouterr().out
    assert state_of(run) == state_of(plain) and TO_MAKE not in NextItemStore(run).manifest()
    assert "at_once" not in read_json(run / "certificates" / "0001.json")
    assert main([f"--run={run}", "--catch_up"]) == 2
    assert "nothing to catch up with" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_line_leaves_and_catches_up(folder, capsys):
    before = tree(folder)
    assert main([f"--run={folder}", "--forget_users=u5", "--at_once", "--dry_run"]) == 0
    assert "left to --catch_up" in capsys.readouterr().out and tree(folder) == before
    for more, told in (("--exactness=fresh", "nothing is trained at once"), ("--catch_up", "does not go with")):
        assert main([f"--run={folder}", "--forget_users=u5", "--at_once", more]) == 2
        assert told in capsys.readouterr().err and tree(folder) == before
    assert main([f"--run={folder}", "--forget_users=u5", "--at_once", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["next_items_unlearn"]
    assert len(told["without_adapter"]) == 1 and "drawn users" in told["to_make"] and told["caught_up"] is None
    assert main([f"--run={folder}", "--recommend=u4", "--k=2"]) == 0
    assert main([f"--run={folder}"]) == 0
    assert "after a request at once" in capsys.readouterr().out
    assert main([f"--run={folder}", "--catch_up"]) == 0
    assert "nothing is missing any more" in capsys.readouterr().out
    assert main([f"--run={folder}", "--audit", "--verify"]) == 0


def test_catching_up_needs_a_machine_and_a_device_that_train_adapters(folder, monkeypatch):
    forget_next_items(folder, users=["u5"], at_once=True)
    before, kind = tree(folder), type(refusals.machine_kind("cpu"))
    with monkeypatch.context() as gpu, pytest.raises(SettingsError, match="--device=cpu"):
        gpu.setattr(devices, "_what_is_missing", lambda *given: "")  # as if there were one
        catch_up_next_items(folder, {"device": "cuda"})
    monkeypatch.setattr(refusals, "machine_kind", lambda device: kind("X", "Y", "Z", "L", "cpu", "P"))
    with pytest.raises(SettingsError, match="another kind of machine"):
        catch_up_next_items(folder)
    assert tree(folder) == before


@pytest.mark.slow
def test_fresh_makes_a_run_whole(folder):
    forget_next_items(folder, users=["u5"], at_once=True)
    assert forget_next_items(folder, users=["u9"], exactness="fresh").run.is_whole
    assert_holds(folder)
