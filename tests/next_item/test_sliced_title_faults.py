"""Faults that are planted in restart points, and found."""

import shutil
from dataclasses import replace

import pytest
from safetensors.torch import load_file, save_file

from recbole_apa.core.errors import RunError
from recbole_apa.next_item.run import proof
from recbole_apa.next_item.run.forget import forget_next_items
from recbole_apa.next_item.run.proof import NextItemAudit, audit_next_items, verify_next_items
from recbole_apa.next_item.run.store import NextItemStore
from recbole_apa.next_item.run.train import open_next_items
from tests.helpers.next_item_runs import SLICED, put_in, spot, train


@pytest.fixture(scope="module")
def made(sliced_run):
    return sliced_run


@pytest.mark.slow
def test_a_point_that_was_not_rewritten_is_found(made, folder, plain):
    """A run whose ledger has no seal, with a point of the same shard that other users are behind."""
    shard, user = spot(made, 0)
    forget_next_items(plain, users=[user])
    for cut in (1, 2):
        name = f"points/{shard:03d}/{cut:02d}.safetensors"
        put_in(folder, name, plain / "state-0002" / name)
    told = "was trained on other sequences, or with other options"
    assert audit_next_items(folder).findings == [
        f"the restart point of shard {shard} before slice {cut + 1} {told}" for cut in (1, 2)
    ]
    assert all(name.startswith("learnt.points") for name in verify_next_items(folder).differences or ["none"])
    # the point of before a request, put back into a run that has forgotten
    put_in(plain, name, made.folder / "state-0001" / name)
    assert any("manifest.json was changed" in finding for finding in audit_next_items(plain).findings)


def test_a_point_that_was_not_deleted_is_found(made, folder):
    shard, user = spot(made, 1)
    forget_next_items(folder, users=[user], at_once=True)
    name = f"points/{shard:03d}/02.safetensors"
    state = folder / "state-0002"
    shutil.copyfile(made.folder / "state-0001" / name, state / name)
    assert any("not listed" in finding for finding in audit_next_items(folder).findings)
    put_in(folder, name, made.folder / "state-0001" / name)
    assert any("manifest.json was changed" in finding for finding in audit_next_items(folder).findings)
    with pytest.raises(RunError, match="not to have"):
        open_next_items(folder)


@pytest.mark.slow
def test_a_point_of_another_run_is_found(made, folder, next_options, tmp_path):
    other = train(next_options, tmp_path / "other", **SLICED | {"seed": 2})
    put_in(folder, "points/001/01.safetensors", other.folder / "state-0001" / "points/001/01.safetensors")
    assert any("restart point of shard 1 before slice 2" in finding for finding in audit_next_items(folder).findings)


def test_an_adapter_that_is_not_its_point_is_found(made, folder):
    """Where digests and seal are as they should be: the audit compares them all the same."""
    shard, user = spot(made, 2)
    run = forget_next_items(folder, users=[user], at_once=True).run
    other = replace(run.state.learnt.adapters[shard], factors=made.state.learnt.adapters[shard].factors)
    adapters = tuple(other if k == shard else adapter for k, adapter in enumerate(run.state.learnt.adapters))
    planted = replace(run, state=replace(run.state, learnt=replace(run.state.learnt, adapters=adapters)))
    for one, expected in (
        (run, []),
        (planted, [f"the adapter of shard {shard} is not its restart point before slice 3"]),
    ):
        found = NextItemAudit()
        proof._audit_points(one, found)
        assert found.findings == expected


def test_a_point_with_other_numbers_is_found_by_verification(folder, tmp_path):
    name = "points/000/01.safetensors"
    tensors = load_file(folder / "state-0001" / name)
    moment = next(key for key in sorted(tensors) if key.endswith(".square"))
    tensors[moment].view(-1)[0] += 1e-6
    save_file(tensors, tmp_path / "other")
    put_in(folder, name, tmp_path / "other")
    assert audit_next_items(folder).findings == []
    assert [name.rpartition(".")[0] for name in verify_next_items(folder).differences] == [
        "learnt.points.0.0.moments.0"
    ]


@pytest.mark.parametrize("damage", ["missing", "no moment", "another tensor", "not finite", "no lineage"])
def test_a_damaged_point_is_refused(folder, tmp_path, damage):
    name = "points/001/02.safetensors"
    tensors = load_file(folder / "state-0001" / name)
    square = next(key for key in sorted(tensors) if key.endswith(".square"))
    if damage == "no moment":
        del tensors[square]
    elif damage == "another tensor":
        tensors["moments.other"] = tensors[square].clone()
    elif damage == "not finite":
        tensors[square].view(-1)[0] = float("nan")
    elif damage == "no lineage":
        del tensors["lineage"]
    save_file(tensors, tmp_path / "other")
    put_in(folder, name, tmp_path / "other")
    if damage == "missing":
        store = NextItemStore(folder)
        manifest = store.manifest()
        (folder / "state-0001" / name).unlink()
        del manifest["files"][name]
        store.put_in_force(manifest)
    with pytest.raises(RunError, match=r"02\.safetensors"):
        open_next_items(folder)
