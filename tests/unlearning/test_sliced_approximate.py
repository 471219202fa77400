"""Approximate requests to runs whose shards are cut into slices: adapters are moved as wholes, and the next exact
request leaves what exact requests alone would have left."""

import shutil

import pytest

from recbole_apa import add, audit, catch_up, unlearn
from recbole_apa.core.errors import RunError, SettingsError
from recbole_apa.core.files.whole import read_json
from recbole_apa.pipeline.build import open_run
from recbole_apa.pipeline.prefixes_judged import figures_by_slices
from recbole_apa.runs.ledger import Ledger
from recbole_apa.runs.points import ShardPoints
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.capacity import Stream
from recbole_apa.unlearning.capacity_plan import plan_capacity
from tests.helpers.killed_process import fresh_copy
from tests.helpers.runs import state
from tests.helpers.sliced import assert_holds, pair_in, spots

FILES = ("adapter_model.safetensors", "training.json")


def points(folder):
    """Shard -> the names of its restart points."""
    return {k: ShardPoints(RunStore(folder), k).names() for k in range(len(list((folder / "shards").iterdir())))}


def other_user(made, moved):
    """A user with training samples in none of the shards that were moved."""
    shard_of = made.trainer.partition.shard_of
    of_user = {}
    for sample in made.data.train_set.samples:
        of_user.setdefault(sample.user_id, set()).add(shard_of[sample.sample_id])
    return next(user for user, shards in sorted(of_user.items()) if not shards & set(moved))


def test_moved_shards_have_no_restart_points_and_the_others_stay(sliced, copied):
    before, had = state(copied), points(copied)
    result = unlearn(copied, interactions=[pair_in(sliced, "last")], method="NPO")
    moved, now = result.plan.shards, state(copied)
    assert moved and len(moved) < len(had) and any(had[k] for k in moved)
    assert points(copied) == {k: [] if k in moved else names for k, names in had.items()}
    kept = [name for name in before if name.startswith("shards/") and int(name.split("/")[1]) not in moved]
    assert kept and all(now[name] == before[name] for name in kept)
    found = audit(copied).findings
    assert [f.split()[0] for f in found] == [f"shards/{k:03d}" for k in moved]
    assert all("was moved by NPO" in f for f in found)
    told = read_json(result.certificates[0])
    assert told["title"] == "Certificate of approximate unlearning (NPO)" and "slices" not in told
    assert result.plan.n_slices == 0 and result.outcomes[0].slices is None


def users_last_in(made):
    """A shard of several slices, and the users of its last one."""
    for shard, by_cut in sorted(spots(made).items()):
        if len(by_cut) > 1:
            return shard, sorted({s.user_id for s in by_cut[max(by_cut)]})
    raise AssertionError("no shard has several slices")


def test_a_shard_that_loses_its_last_slice_is_named_as_moved(sliced, copied):
    shard, users = users_last_in(sliced)
    result = unlearn(copied, users=users, method="NPO")
    plan, sizes = result.plan, RunStore(copied).load_partition().sizes()
    assert shard in plan.shards and plan.n_train_samples == sum(sizes[k] for k in plan.shards)
    told = read_json(result.certificates[0])
    assert told["shards"]["trained"] == plan.shards and result.outcomes[0].n_trained == len(plan.shards)
    assert {f.split()[0] for f in audit(copied).findings} == {f"shards/{k:03d}" for k in plan.shards}


@pytest.mark.slow
def test_a_request_that_moves_nothing_counts_no_slices(sliced, copied):
    shown = {e.interaction_id for s in sliced.data.train_set.samples for e in s.history}
    shown |= {s.sample_id for s in sliced.data.train_set.samples}
    judged = next(s for s in sliced.data.test_set.samples if s.sample_id not in shown)
    result = unlearn(copied, interactions=[(judged.user_id, judged.item_id)], method="NPO")
    assert result.plan.shards == [] and "slices" not in read_json(result.certificates[0])
    assert audit(copied).holds


@pytest.mark.slow
def test_an_audit_sees_past_a_damaged_record(sliced, copied):
    had, broken = points(copied), copied / "shards/000/training.json"
    broken.write_text("{}")
    other = next(k for k, names in had.items() if k and names)
    shutil.rmtree(copied / f"shards/{other:03d}/points")
    RunStore(copied).seal({})
    found = audit(copied).findings
    assert any("training.json is not a training record" in f for f in found)
    # said by the look at adapters, not by that at the manifest's files
    assert any(f.startswith("no adapter at") and f"shards/{other:03d}/points" in f for f in found)


@pytest.mark.slow
def test_a_plan_by_a_moved_run_is_refused(sliced, copied):
    unlearn(copied, interactions=[pair_in(sliced, "last")], method="NPO")
    with pytest.raises(RunError, match="make an exact request, then plan"):
        plan_capacity(Stream(5, 1000), run_dir=copied)


@pytest.mark.slow
@pytest.mark.parametrize("which", ["first", "last"])
def test_an_exact_request_afterwards_leaves_what_exact_ones_leave(which, sliced, copied, tmp_path):
    other, pair = fresh_copy(sliced.run_dir, tmp_path / "other"), pair_in(sliced, which)
    moved = unlearn(copied, interactions=[pair], method="GradDiff").plan.shards
    user = other_user(sliced, moved)
    plan = unlearn(copied, users=[user]).plan
    assert set(moved) < set(plan.shards) and all(plan.slices[k].kept == 0 for k in moved)
    unlearn(other, interactions=[pair])
    unlearn(other, users=[user])
    assert state(copied) == state(other)
    assert_holds(copied)


@pytest.mark.slow
def test_a_second_approximate_request_leaves_a_moved_shard_alone(sliced, copied):
    moved = unlearn(copied, interactions=[pair_in(sliced, "last")], method="NPO").plan.shards
    before = state(copied)
    result = unlearn(copied, users=[other_user(sliced, moved)], method="SimNPO")
    now = state(copied)
    assert result.plan.shards and not set(result.plan.shards) & set(moved)
    assert all(now[f"shards/{k:03d}/{name}"] == before[f"shards/{k:03d}/{name}"] for k in moved for name in FILES)
    assert len(audit(copied).findings) == len(moved) + len(result.plan.shards)


@pytest.mark.slow
def test_at_once_moved_shards_leave_the_mixture_until_they_are_trained(sliced, copied, tmp_path):
    other, pair = fresh_copy(sliced.run_dir, tmp_path / "other"), pair_in(sliced, "last")
    moved = unlearn(copied, interactions=[pair], method="NPO").plan.shards
    user = other_user(sliced, moved)
    served = unlearn(copied, users=[user], at_once=True).outcomes[0].served
    assert all(served[f"{k:03d}"]["served"] == 0 for k in moved)
    assert_holds(copied)
    before = state(copied)
    with pytest.raises(SettingsError, match="expected exact, or --catch_up first"):
        unlearn(copied, interactions=[pair_in(sliced, "first")], method="NPO")
    assert state(copied) == before and not Ledger(copied, RunStore(copied).salt).waiting()
    catch_up(copied)
    unlearn(other, interactions=[pair])
    unlearn(other, users=[user])
    assert state(copied) == state(other)


def test_killed_while_it_moves_it_goes_on(sliced, copied, tmp_path, monkeypatch):
    from recbole_apa.unlearning.approximate.shard_update import ApproximateShardUpdate

    other = fresh_copy(sliced.run_dir, tmp_path / "other")
    user, left = "u3", [1]

    def killed(self, shard, batches, plain=ApproximateShardUpdate.update):
        if not left:
            raise KeyboardInterrupt
        left.pop()
        return plain(self, shard, batches)

    with monkeypatch.context() as patch:
        patch.setattr(ApproximateShardUpdate, "update", killed)
        with pytest.raises(KeyboardInterrupt):
            unlearn(copied, users=[user], method="NPO")
    unlearn(copied)
    assert len(unlearn(other, users=[user], method="NPO").plan.shards) > 1
    mine, theirs = state(copied), state(other)
    names = [name for name in theirs if name.startswith("shards/") and not name.endswith("training.json")]
    assert points(copied) == points(other) and all(mine[name] == theirs[name] for name in names)
    assert mine["lineage.json"] == theirs["lineage.json"]


@pytest.mark.slow
def test_there_are_no_figures_by_slices_of_a_moved_run(sliced, copied, caplog):
    unlearn(copied, interactions=[pair_in(sliced, "last")], method="NPO")
    opened = open_run(RunStore(copied))
    assert figures_by_slices(opened, None, show=False) == {}
    assert "an approximate method moved shards/" in caplog.text


@pytest.mark.slow
def test_a_run_that_has_grown_refuses_it_still(copied):
    add(copied, [(user, f"i{k}", 2 + 3 * (k % 2), 90_000 + k) for user in ("u5", "new") for k in range(12)])
    with pytest.raises(SettingsError, match="a run that has grown"):
        unlearn(copied, users=["u3"], method="NPO")
