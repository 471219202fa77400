"""Runs whose shards are trained in slices: forgotten from the first slice that holds a user, at once by a prefix."""

import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file

from recbole_apa.cli.main import main
from recbole_apa.core.files.whole import read_json
from recbole_apa.next_item.differences import differences
from recbole_apa.next_item.run import put_in_force
from recbole_apa.next_item.run.add import add_next_items
from recbole_apa.next_item.run.catch_up import catch_up_next_items
from recbole_apa.next_item.run.forget import forget_next_items
from recbole_apa.next_item.run.proof import audit_next_items, verify_next_items
from recbole_apa.next_item.run.store import NextItemStore
from recbole_apa.next_item.run.train import open_next_items
from recbole_apa.next_item.title_training import TitleTrainer
from recbole_apa.runs.names import TO_MAKE
from tests.helpers.next_item_runs import (
    SLICED,
    L,
    assert_holds,
    forbid_training,
    kill,
    members,
    points_of,
    spot,
    state_of,
    train,
)


@pytest.fixture(scope="module")
def made(sliced_run):
    return sliced_run


def count_slices(monkeypatch) -> list[tuple[int, int]]:
    """The shards and slices that are trained from now on."""
    seen, real = [], TitleTrainer._slice_trained

    def watched(self, bank, where, *more):
        seen.append((where[0], where[1].cut))
        return real(self, bank, where, *more)

    monkeypatch.setattr(TitleTrainer, "_slice_trained", watched)
    return seen


@pytest.mark.slow
def test_a_run_keeps_a_point_before_every_slice_but_the_first(made):
    files = set(state_of(made.folder))
    expected = {f"points/00{k}/0{cut}.safetensors" for k in (0, 1) for cut in (1, 2)}
    assert expected == {name for name in files if name.startswith("points/")}
    opened = open_next_items(made.folder)
    assert differences(opened.state, made.state) == []
    audit = audit_next_items(made.folder)
    assert audit.findings == [] and any(line.startswith("4 restart points") for line in audit.checked)
    verified = verify_next_items(made.folder)
    assert verified.differences == [] and "restart points" in verified.compared


@pytest.mark.parametrize("cut", [0, 1, 2])
@pytest.mark.quick("2")
def test_a_request_restarts_before_the_slice_of_the_user(made, folder, monkeypatch, cut):
    shard, user = spot(made, cut)
    before = points_of(folder, shard)
    with monkeypatch.context() as patch:
        seen = count_slices(patch)
        result = forget_next_items(folder, users=[user])
    assert {k for k, _ in seen} <= {shard} and min((c for _, c in seen), default=L) >= cut
    after = points_of(folder, shard)
    assert {c for c in after if after[c] == before[c]} == set(range(1, cut + 1)) and set(after) == {1, 2}
    told = read_json(Path(result.certificates[0]))
    assert told["slices"] == {f"{shard:03d}": {"kept": cut, "total": L}} and "at_once" not in told
    assert_holds(folder)


@pytest.mark.slow
def test_several_users_and_further_requests_restart_at_the_earliest(made, folder, plain, monkeypatch):
    (one, first), (_, last) = spot(made, 1), spot(made, 2)
    other = spot(made, 2, not_in=one)[1] if any(all(s) for k, s in members(made).items() if k != one) else None
    users = [first, last, *([other] if other else [])]
    with monkeypatch.context() as patch:
        seen = count_slices(patch)
        forget_next_items(folder, users=users)
    assert min(cut for shard, cut in seen if shard == one) >= 1 and len(seen) == len(set(seen))
    assert_holds(folder)
    for user in users:
        forget_next_items(plain, users=[user])
    assert state_of(plain) == state_of(folder)


@pytest.mark.parametrize("cut", [1, 2])
@pytest.mark.slow
def test_at_once_a_prefix_is_served_and_catching_up_trains_the_rest(made, folder, plain, monkeypatch, cut):
    shard, user = spot(made, cut)
    point = f"points/{shard:03d}/{cut:02d}.safetensors"
    before = points_of(folder, shard)
    forget_next_items(plain, users=[user])
    with monkeypatch.context() as patch:
        forbid_training(patch)
        result = forget_next_items(folder, users=[user], at_once=True)
        opened = open_next_items(folder)
    assert opened.state.learnt.ends == {shard: cut} and opened.without_adapter == []
    assert NextItemStore(folder).manifest()[TO_MAKE]["shards"] == {str(shard): cut}
    assert points_of(folder, shard) == {c: before[c] for c in range(1, cut + 1)}
    assert f"drafts/{shard:03d}.safetensors" not in state_of(folder)
    served = load_file(folder / "state-0002" / "adapters" / f"{shard:03d}.safetensors")
    kept = load_file(made.folder / "state-0001" / point)
    assert served and all(bool((kept[name] == tensor).all()) for name, tensor in served.items())
    told = read_json(Path(result.certificates[0]))
    assert told["at_once"]["prefixes"] == {f"{shard:03d}": {"served": cut, "total": L}}
    assert told["at_once"]["without_adapter"] == [] and f"{shard:03d} before slice {cut + 1}" in told["means"]
    assert f"shard {shard:03d} before slice {cut + 1} of {L}" in opened.later
    assert_holds(folder)
    seen = count_slices(monkeypatch)
    assert catch_up_next_items(folder).caught_up == [shard]
    assert {k for k, _ in seen} <= {shard} and min((c for _, c in seen), default=L) >= cut
    assert state_of(folder) == state_of(plain)
    assert_holds(folder)


@pytest.mark.slow
def test_in_the_first_slice_nothing_is_left_to_serve(made, folder, plain):
    shard, user = spot(made, 0)
    forget_next_items(plain, users=[user])
    result = forget_next_items(folder, users=[user], at_once=True)
    assert result.run.without_adapter == [shard] and points_of(folder, shard) == {}
    assert_holds(folder)
    catch_up_next_items(folder)
    assert state_of(folder) == state_of(plain)


@pytest.mark.slow
def test_where_a_prefix_has_nobody_left_there_is_no_adapter(made, folder, plain):
    """All of the first slice go; one of the second goes at once after them."""
    shard, user = spot(made, 1)
    for place in (folder, plain):
        forget_next_items(place, users=members(made)[shard][0])
    forget_next_items(plain, users=[user])
    assert forget_next_items(folder, users=[user], at_once=True).run.without_adapter == [shard]
    assert_holds(folder)
    catch_up_next_items(folder)
    assert state_of(folder) == state_of(plain)


@pytest.mark.parametrize("then", ["at once, later slice", "at once, earlier slice", "in full", "an addition"])
@pytest.mark.slow
def test_what_comes_after_a_request_at_once(made, folder, plain, then):
    shard, user = spot(made, 1)
    _, later = spot(made, 2)
    if then == "at once, later slice":
        acts, ends = [user, later], {shard: 1}
    elif then == "at once, earlier slice":
        acts, ends = [later, user], {shard: 1}
    else:
        acts, ends = [later, user], {}
    if members(made)[shard][2] == [] or later not in members(made)[shard][2]:
        pytest.fail("both users have to be in one shard")
    forget_next_items(folder, users=[acts[0]], at_once=True)
    forget_next_items(plain, users=[acts[0]])
    if then == "an addition":
        rows = [(acts[1], "i2", 4, 9000), ("new", "i3", 4, 9002), ("new", "i4", 4, 9003), ("new", "i5", 4, 9004)]
        rows.append(("new", "i6", 4, 9005))
        grown = [add_next_items(place, rows) for place in (folder, plain)]
        assert [one.caught_up for one in grown] == [[shard], None]
    else:
        forget_next_items(folder, users=[acts[1]], at_once=then != "in full")
        forget_next_items(plain, users=[acts[1]])
    assert open_next_items(folder).state.learnt.ends == ends
    assert_holds(folder)
    if ends:
        catch_up_next_items(folder)
    assert state_of(folder) == state_of(plain)
    assert_holds(folder)


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.slow
def test_a_run_that_has_grown_forgets_from_the_slice(made, folder, plain, at_once):
    shard, user = spot(made, 2)
    rows = [(user, "i2", 4, 9000), (user, "i3", 4, 9001)]
    grown = [add_next_items(place, rows) for place in (folder, plain)]
    assert [one.slices for one in grown] == 2 * [{f"{shard:03d}": {"kept": 2, "total": L}}]
    assert points_of(folder, shard) == points_of(made.folder, shard)  # the last slice alone was trained again
    assert_holds(folder)
    result = forget_next_items(folder, users=[user], at_once=at_once)
    assert result.slices == {f"{shard:03d}": {"kept": 2, "total": L}}
    assert_holds(folder)
    if at_once:
        forget_next_items(plain, users=[user])
        catch_up_next_items(folder)
        assert state_of(folder) == state_of(plain)


@pytest.mark.slow
def test_killed_at_once_and_while_catching_up(made, folder, plain, monkeypatch):
    _, user = spot(made, 1)
    forget_next_items(plain, users=[user])
    for act in (lambda: forget_next_items(folder, users=[user], at_once=True), lambda: catch_up_next_items(folder)):
        with monkeypatch.context() as patch:
            kill(patch, put_in_force, "write_state")
            with pytest.raises(KeyboardInterrupt):
                act()
        assert main([f"--run={folder}", "--resume"]) == 0
        assert_holds(folder)
    assert state_of(folder) == state_of(plain)


def test_the_command_line_says_which_slices_stay(made, folder, capsys):
    shard, user = spot(made, 2)
    assert main([f"--run={folder}", f"--forget_users={user}", "--dry_run"]) == 0
    assert f"stays as it was, of these shards: {shard:03d} 2 of {L}" in capsys.readouterr().out
    assert main([f"--run={folder}", f"--forget_users={user}", "--at_once", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["next_items_unlearn"]
    assert told["slices"] == {f"{shard:03d}": {"kept": 2, "total": L}} and "before slice 3 of 3" in told["to_make"]


@pytest.mark.slow
def test_the_command_line_says_of_an_addition_which_slices_stay_and_what_it_made_up_for(
    made, folder, tmp_path, capsys, monkeypatch
):
    (left, user), (shard, grown) = spot(made, 2), spot(made, 1)
    forget_next_items(folder, users=[user], at_once=True)
    (tmp_path / "new.csv").write_text(f"user_id,item_id,rating,timestamp\n{grown},i2,3,9000\n")
    asked, copy = f"--add={tmp_path / 'new.csv'}", Path(shutil.copytree(folder, tmp_path / "copy"))
    slices = f"stays as it was, of these shards: {shard:03d} 1 of {L}"
    assert main([f"--run={folder}", asked, "--dry_run"]) == 0
    told = capsys.readouterr().out
    assert slices in told and "caught up" not in told
    assert main([f"--run={folder}", asked]) == 0
    told = capsys.readouterr().out
    assert slices in told and f"caught up: adapters of shards {left:03d} were trained, nothing is missing" in told
    with monkeypatch.context() as patch:
        kill(patch, put_in_force, "write_state")
        with pytest.raises(KeyboardInterrupt):
            add_next_items(copy, tmp_path / "new.csv")
    assert main([f"--run={copy}", "--resume", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["next_items_unlearn"]
    assert told["finished_additions"] == [3] and told["caught_up"] == {"shards": [left]} and told["n_shards"] == 2
    assert told["without_adapter"] == [] and told["seconds"] > 0 and state_of(copy) == state_of(folder)


@pytest.mark.slow
def test_codes_are_trained_in_slices_too(next_options, work_folder, tmp_path):
    codes = {"adapters": "codes", "code_levels": 2, "code_size": 3}
    made = train(next_options, tmp_path / "codes", **SLICED | codes)
    plain = Path(shutil.copytree(made.folder, tmp_path / "plain"))
    _, user = spot(made, 1)
    forget_next_items(plain, users=[user])
    forget_next_items(made.folder, users=[user], at_once=True)
    assert open_next_items(made.folder).state.learnt.ends and open_next_items(made.folder).state.codes is not None
    assert_holds(made.folder)
    catch_up_next_items(made.folder)
    assert state_of(made.folder) == state_of(plain)
    assert_holds(made.folder)


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["none", "atspeed-r"])
def test_draft_models_go_and_come_back_with_their_shard(next_options, work_folder, tmp_path, objective):
    draft = {"draft_kind": "model", "draft_objective": objective, "draft_epochs": 2, "draft_model_size": 4}
    made = train(next_options, tmp_path / "models", **SLICED | draft)
    plain = Path(shutil.copytree(made.folder, tmp_path / "plain"))
    shard, user = spot(made, 1)
    forget_next_items(plain, users=[user])
    left = forget_next_items(made.folder, users=[user], at_once=True).run.state.learnt
    assert left.ends == {shard: 1} and [draft is None for draft in left.drafts] == [k == shard for k in (0, 1)]
    assert_holds(made.folder)
    catch_up_next_items(made.folder)
    assert state_of(made.folder) == state_of(plain)
    assert_holds(made.folder)


@pytest.mark.slow
def test_a_certificate_says_from_where_adapters_were_trained_again(made, folder, plain):
    for place, cut, says in ((folder, 0, "from the start that all shards have"), (plain, 1, "from its restart point")):
        _, user = spot(made, cut)
        told = read_json(Path(forget_next_items(place, users=[user]).certificates[0]))
        (kept,) = told["slices"].values()
        assert says in told["kept"] and bool(kept["kept"]) == bool(cut)
