"""Runs whose shards are cut into slices: requests restart before the slice that they touch, to the bytes of a training
from scratch."""

import shutil

import pytest

from recbole_apa import add, audit, run, unlearn
from recbole_apa.core.files.whole import read_json
from recbole_apa.model.train_shards import ShardBuilder
from recbole_apa.runs.ledger import Ledger
from recbole_apa.runs.store import RunStore
from tests.helpers.killed_process import fresh_copy
from tests.helpers.pieces import count_training
from tests.helpers.runs import state
from tests.helpers.sliced import L, assert_holds, cut_of, pair_in, spots


@pytest.mark.slow
def test_a_run_keeps_a_point_before_each_slice(sliced):
    store, found = RunStore(sliced.run_dir), spots(sliced)
    lineage, names = store.lineage(), store.state_files()
    for shard, by_cut in found.items():
        for cut in sorted(by_cut)[1:]:
            point = f"shards/{shard:03d}/points/00.{cut:02d}"
            before = {s.sample_id for c, samples in by_cut.items() if c < cut for s in samples}
            assert set(lineage[point]) == before and f"{point}/optimizer.safetensors" in names
    assert sum(len(by_cut) for by_cut in found.values()) > 2 * len(found)
    assert "prefixes.json" not in names and set(store.manifest()["files"]) == set(names)
    assert store.manifest()["full_training"]["shard_seconds"] == pytest.approx(
        [
            sum(read_json(p)["train_seconds"] for p in (store.folder / f"shards/{k:03d}").rglob("training.json"))
            for k in range(len(found))
        ],
        abs=0.01,
    )
    assert_holds(sliced.run_dir)


@pytest.mark.slow
@pytest.mark.parametrize("which", ["first", "last"])
def test_an_interaction_retrains_the_slices_from_its_own_on(which, sliced, copied, monkeypatch):
    pair, found = pair_in(sliced, which), spots(sliced)
    cut = cut_of(sliced, pair[0])
    seen = count_training(monkeypatch)
    result = unlearn(copied, interactions=[pair])
    touched = {a.shard for a in result.plan.affected if a.split == "train"}
    expected = {(k, (0, c) if c else 0) for k in touched for c in found[k] if c >= cut}
    gone = {(a.shard, (0, cut) if cut else 0) for a in result.plan.affected if a.change == "dropped"}
    assert expected - gone <= set(seen) <= expected and len(seen) == len(set(seen))
    told = read_json(result.certificates[0])
    assert told["slices"] == {"trained": len(seen), "total": told["slices"]["total"]} == result.outcomes[0].slices
    assert told["slices"]["total"] > len(seen) or which == "first"
    done = Ledger(copied, RunStore(copied).salt).entries()[-1]
    assert done.content["slices_trained"] == len(seen)
    assert result.plan.n_slices == len(seen)
    assert_holds(copied)


@pytest.mark.slow
@pytest.mark.parametrize(
    "asked",
    [
        {"users": ["u3"]},
        {"items": ["i4"]},
        {"users": ["u3", "u7"], "items": ["i5"]},
        {"users": ["u3"], "exactness": "strict"},
        {"users": ["u3"], "exactness": "fresh"},
    ],
)
def test_what_a_request_leaves_is_what_training_from_scratch_leaves(asked, copied):
    unlearn(copied, **asked)
    assert_holds(copied)


@pytest.mark.slow
def test_a_second_request_and_an_addition(copied):
    unlearn(copied, users=["u3"])
    added = [(user, f"i{k}", 2 + 3 * (k % 2), 90_000 + k) for user in ("u5", "new") for k in range(12)]
    add(copied, added)
    names = [name for name in RunStore(copied).state_files() if "/points/01." in name]
    assert names
    assert_holds(copied)
    unlearn(copied, users=["new"], interactions=[("u5", "i3")])
    assert_holds(copied)


@pytest.mark.slow
def test_two_workers_train_the_bytes_of_one(sliced, copied, options, tmp_path):
    run("APA", "board", config_dict={**options, "shard_slices": L, "workers": 2}, run_dir=tmp_path / "anew")
    assert state(tmp_path / "anew") == state(sliced.run_dir)
    other = fresh_copy(sliced.run_dir, tmp_path / "other")
    unlearn(copied, users=["u3"])
    unlearn(other, users=["u3"], config_dict={"workers": 2})
    assert state(copied) == state(other)


def test_an_audit_finds_a_point_that_was_not_rewritten(sliced, copied, tmp_path):
    pair = pair_in(sliced, "first")
    done = unlearn(copied, interactions=[pair])
    page = next(path for path in done.certificates if path.suffix == ".json").with_suffix(".html").read_text()
    assert "from its start, or from the restart point before the first slice that holds a changed sample" in page
    shard = next(a.shard for a in done.plan.affected if a.shard is not None)
    points = copied / f"shards/{shard:03d}/points"
    name = sorted(p.name for p in points.iterdir())[-1]
    shutil.rmtree(points / name)
    shutil.copytree(sliced.run_dir / f"shards/{shard:03d}/points/{name}", points / name)
    RunStore(copied).seal({})
    findings = audit(copied).findings
    assert f"shards/{shard:03d}/points/{name} was trained on other samples than its lineage says" in findings


def test_an_audit_finds_points_of_another_run_or_place(sliced, copied):
    store = RunStore(copied)
    shard = next(k for k, by_cut in spots(sliced).items() if len(by_cut) == L)
    points = copied / f"shards/{shard:03d}/points"
    shutil.copytree(points / "00.02", points / "01.00")
    (points / "00.01/optimizer.safetensors").unlink()
    shutil.copyfile(points / "00.02/optimizer.safetensors", points.parent / "optimizer.safetensors")
    store.seal({})
    findings = audit(copied).findings
    at = f"shards/{shard:03d}"
    assert f"{at}/points/01.00 is a point before a piece that the shard does not have" in findings
    assert f"{at}/points/00.01/optimizer.safetensors is missing" in findings
    assert f"{at}/optimizer.safetensors is there, although no further slice goes on with it" in findings


def test_an_audit_reads_moments(copied):
    path = next((copied / "shards").rglob("optimizer.safetensors"))
    other = next(p for p in (copied / "shards").rglob("adapter_model.safetensors") if p != path)
    shutil.copyfile(other, path)
    RunStore(copied).seal({})
    assert any("does not hold the moments of the adapter beside it" in found for found in audit(copied).findings)


@pytest.mark.slow
def test_a_certificate_counts_slices_that_were_trained_before_an_interruption(copied, monkeypatch):
    """The ledger, too: whatever the process that finishes has trained itself."""
    real, kept = ShardBuilder._keep, []

    def killed(*arguments):
        real(*arguments)
        kept.append(1)
        if len(kept) == 2:
            raise KeyboardInterrupt

    n_slices = unlearn(copied, users=["u3"], dry_run=True).plan.n_slices
    with monkeypatch.context() as patch:
        patch.setattr(ShardBuilder, "_keep", killed)
        with pytest.raises(KeyboardInterrupt):
            unlearn(copied, users=["u3"])
    done = unlearn(copied)
    told = read_json(done.certificates[0])
    assert n_slices > 2 and told["slices"]["trained"] == n_slices
    assert Ledger(copied, RunStore(copied).salt).entries()[-1].content["slices_trained"] == n_slices
