"""Runs that were trained in pieces: requests restart at the piece that they touch, and the proofs know the points."""

import shutil

import pytest

from recbole_apa import audit, run, unlearn, verify
from recbole_apa.core.errors import SettingsError
from recbole_apa.core.files.whole import read_json, write_json
from recbole_apa.evidence.exactness import DEFINITIONS, IN_ORDER, THIS_DATA
from recbole_apa.partition import Partition
from recbole_apa.partition.inherited import assignment_alone
from recbole_apa.pipeline.build import open_run
from recbole_apa.runs.names import PIECES
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.stage import data_left
from tests.helpers.grown_states import as_if_added, plant
from tests.helpers.killed_process import forget, fresh_copy
from tests.helpers.pieces import count_training, grow_by, train_in_pieces, trained_files
from tests.helpers.runs import state, tree
from tests.helpers.unseen import unseen_rows

LATE = 9
"""The first row of a user that belongs to piece 1; the board's users have 16."""


def piece_of(sample_id):
    """By its time: a row that was added later is in a later piece."""
    return int(is_late(float(sample_id.split(":")[2])))


def is_late(time):
    return time % 1000 >= LATE


@pytest.fixture(scope="session")
def pieces(finished):
    names = [s.sample_id for s in finished.data.train_set.samples]
    return {name: piece_of(name) for name in names}


@pytest.fixture(scope="session")
def grown(options, pieces, work_folder):
    """A run whose later half was trained as piece 1."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(work_folder)
        grow_by(patch, pieces)
        made = run("APA", "board", config_dict=options, run_dir=work_folder / "grown")
    as_if_added(made.run_dir, is_late)
    return made


@pytest.fixture
def folder(grown, tmp_path):
    return fresh_copy(grown.run_dir, tmp_path / "run")


def target(grown, piece):
    """User and item of a training target in a piece whose shard has both, and the shard."""
    partition = grown.trainer.partition
    for sample in reversed(grown.data.train_set.samples):
        shard = partition.shard_of[sample.sample_id]
        both = {piece_of(name) for name in partition.members(shard)} == {0, 1}
        if both and piece_of(sample.sample_id) == piece:
            return (sample.user_id, sample.item_id), shard
    raise AssertionError("no shard has both pieces")


@pytest.mark.slow
def test_a_run_keeps_its_pieces_and_points(grown, pieces):
    store = RunStore(grown.run_dir)
    assert store.load_pieces() == {name: piece for name, piece in pieces.items() if piece}
    lineage = store.lineage()
    for k in range(3):
        members = grown.trainer.partition.members(k)
        assert set(lineage[f"shards/{k:03d}/points/01.00"]) == {name for name in members if not piece_of(name)}
    assert set(store.manifest()["files"]) == set(store.state_files())
    assert audit(grown.run_dir).findings == []


def test_a_run_that_never_grew_has_neither(finished):
    names = RunStore(finished.run_dir).state_files()
    assert PIECES not in names and not [name for name in names if "points" in name]


@pytest.mark.slow
def test_two_workers_train_the_bytes_of_one(grown, options, pieces, tmp_path, monkeypatch):
    grow_by(monkeypatch, pieces)
    run("APA", "board", config_dict={**options, "workers": 2}, run_dir=tmp_path / "run")
    as_if_added(tmp_path / "run", is_late)
    assert state(tmp_path / "run") == state(grown.run_dir)


@pytest.mark.slow
@pytest.mark.parametrize("exactness", ["inherited", "strict"])
@pytest.mark.parametrize("piece", [0, 1])
def test_a_request_restarts_at_the_piece_it_touches(piece, exactness, grown, folder, monkeypatch):
    pair, _ = target(grown, piece)
    seen = count_training(monkeypatch)
    result = unlearn(folder, interactions=[pair], exactness=exactness)
    if exactness == "inherited":
        touched = {a.shard for a in result.plan.affected if a.split == "train"}
        firsts = {k: min(piece_of(a.sample_id) for a in result.plan.affected if a.shard == k) for k in touched}
        assert set(seen) == {(k, p) for k, first in firsts.items() for p in range(first, 2)}
        assert piece in firsts.values()
    assert audit(folder).findings == []
    assert verify(folder).differences == []
    assert not [name for name in RunStore(folder).load_pieces() if name.startswith(":".join(pair) + ":")]


def asked_of(grown, what):
    """A request for a target of one piece, or for a user who has targets in both."""
    if what != "both":
        return {"interactions": [target(grown, int(what))[0]]}
    own = [s for s in grown.data.train_set.samples if s.user_id == "u3"]
    assert {piece_of(s.sample_id) for s in own} == {0, 1}
    return {"users": ["u3"]}


@pytest.mark.slow
@pytest.mark.parametrize("exactness", ["inherited", "strict"])
@pytest.mark.parametrize("what", ["0", "1", "both"])
def test_a_request_leaves_what_training_the_rest_in_its_pieces_does(what, exactness, grown, folder, tmp_path):
    asked, opened = asked_of(grown, what), open_run(RunStore(folder))
    pieces, partition = opened.store.load_pieces(), opened.store.load_partition()
    left = data_left(opened, **asked)
    plan = unlearn(folder, exactness=exactness, dry_run=True, **asked).plan
    result = unlearn(folder, exactness=exactness, **asked)
    assert result.plan.shards == plan.shards and result.plan.means == plan.means
    kept = assignment_alone(partition, {s.sample_id for s in left.train_set.samples})
    taken_over = kept if exactness == "inherited" else None
    train_in_pieces((opened.config, opened.model), tmp_path / "anew", left, pieces, partition=taken_over)
    assert trained_files(folder) == trained_files(tmp_path / "anew")
    if exactness == "inherited":
        assert RunStore(folder).load_partition().shard_of == kept.shard_of


@pytest.mark.slow
def test_a_row_in_no_sample_leaves_the_partition(grown, folder):
    before = trained_files(folder)
    out = unlearn(folder, interactions=[unseen_rows(grown)[0]])
    assert not out.plan.affected
    assert trained_files(folder) == before and RunStore(folder).manifest()["partition_of"] == THIS_DATA
    assert read_json(out.certificates[0])["in_pieces"] is True
    verified, audited = verify(folder), audit(folder)
    assert verified.holds and audited.holds, (verified.differences, audited.findings)


@pytest.mark.slow
def test_a_new_partition_in_the_same_pieces_changes_no_shard(grown, folder):
    row = unseen_rows(grown)[0]
    plan = unlearn(folder, interactions=[row], exactness="strict", dry_run=True).plan
    assert plan.n_shards == 3 and plan.shards == []
    # in one piece, as fresh leaves them, all have other samples
    assert unlearn(folder, interactions=[row], exactness="fresh", dry_run=True).plan.shards == [0, 1, 2]


@pytest.mark.parametrize("dry_run", [True, False])
def test_an_approximate_method_is_refused_before_anything_is_written(dry_run, folder):
    before = tree(folder)
    with pytest.raises(SettingsError, match=r"found NPO on a run that has grown.*expected exact"):
        unlearn(folder, users=["u3"], method="NPO", dry_run=dry_run)
    assert tree(folder) == before


def test_plans_say_that_the_additions_are_in_order(folder):
    plans = {level: unlearn(folder, users=["u3"], exactness=level, dry_run=True).plan for level in DEFINITIONS}
    told = {level: plan.means for level, plan in plans.items()}
    assert told == {
        "inherited": f"{DEFINITIONS['inherited']}, {IN_ORDER}",
        "strict": f"{DEFINITIONS['strict']}, {IN_ORDER}",
        "fresh": DEFINITIONS["fresh"],
    }


@pytest.mark.slow
def test_certificate_and_verification_say_so_until_fresh(grown, folder):
    assert verify(folder).means == f"training {IN_ORDER}"
    out = unlearn(folder, **asked_of(grown, "1"))
    means = f"{DEFINITIONS['inherited']}, {IN_ORDER}"
    page = out.certificates[0].with_suffix(".html").read_text(encoding="utf-8")
    assert f"The state is {means}." in page and "from what it was before these" in page
    assert verify(folder).means == means
    (certificate,) = unlearn(folder, users=["u3"], exactness="fresh").certificates
    assert "in_pieces" not in read_json(certificate)
    page = certificate.with_suffix(".html").read_text(encoding="utf-8")
    assert f"The state is {DEFINITIONS['fresh']}." in page
    assert verify(folder).means == DEFINITIONS["fresh"]


@pytest.mark.slow
def test_fresh_leaves_one_piece(grown, folder):
    unlearn(folder, users=["u3"], exactness="fresh")
    names = RunStore(folder).state_files()
    assert PIECES not in names and not [name for name in names if "points" in name]
    assert not list(folder.rglob("points"))
    assert audit(folder).findings == [] and verify(folder).differences == []


@pytest.mark.slow
def test_killed_while_it_carries_out_a_request(grown, server, tmp_path, work_folder):
    asked = {"users": ["u3"]}
    expected = fresh_copy(grown.run_dir, tmp_path / "expected")
    report = tmp_path / "report"
    process = server.Process(target=forget, args=(str(expected), str(work_folder), asked, None, str(report)))
    process.start()
    process.join()
    n = int(report.read_text())
    for part in range(1, 8):
        folder = fresh_copy(grown.run_dir, tmp_path / "run")
        kill = (str(folder), str(work_folder), asked, n * part // 8, None)
        process = server.Process(target=forget, args=kill)
        process.start()
        process.join()
        unlearn(folder, **({} if (folder / "ledger.jsonl").is_file() else asked))
        assert state(folder) == state(expected)
        assert audit(folder).findings == []


def swap(store):
    """Exchange a shard's point with that of another."""
    one, other = store.shard_folder(0, "01.00"), store.shard_folder(1, "01.00")
    one.rename(store.folder / ".aside")
    other.rename(one)
    (store.folder / ".aside").rename(other)


def mark_served(store):
    """A point that is the adapter after the piece, not before it."""
    for path in (store.shard_folder(0, "01.00")).iterdir():
        shutil.copyfile(store.shard_folder(0) / path.name, path)


def more_pieces(store):
    """A sample that the data does not have."""
    write_json(store.folder / PIECES, {**store.load_pieces(), "nobody:i1:5": 1})


@pytest.mark.parametrize(
    "change, found",
    [
        (swap, "shards/000/points/01.00 was trained on other samples than its lineage says"),
        (mark_served, "shards/000/points/01.00 was trained on other samples than its lineage says"),
        (lambda store: shutil.rmtree(store.shard_folder(2, "01.00")), "no adapter at"),
        (
            lambda store: shutil.copytree(store.shard_folder(0, "01.00"), store.shard_folder(0, "02.00")),
            "shards/000/points/02.00 is a point before a piece that the shard does not have",
        ),
        (more_pieces, "pieces.json contains 1 samples that the data no longer has"),
        (lambda store: (store.folder / PIECES).unlink(), "lineage of shards/000/points/01.00: it saw other samples"),
        (lambda store: write_json(store.folder / PIECES, {"a": 0}), "is not an assignment of samples to later pieces"),
    ],
)
def test_the_audit_finds_a_point_that_is_not_what_it_should_be(change, found, folder):
    plant(folder, change)
    findings = audit(folder).findings
    assert [text for text in findings if found in text], findings


def moved_centres(store):
    """Say that the centres are of this data, and store others."""
    partition = store.load_partition()
    store.save_partition(Partition(partition.shard_of, partition.centres + 0.5))
    same_centres(store)


def same_centres(store):
    """Say that the centres are of this data, as an addition does."""
    store.write_manifest({**store.manifest(), "centres_of": THIS_DATA})


def test_the_audit_finds_centres_that_are_not_the_means_of_all_pieces(folder, finished, tmp_path):
    stale = "partition.json: its shards' centres are not the means of the samples that remain in them"
    plant(folder, same_centres)
    assert audit(folder).findings == []
    plant(folder, moved_centres)
    assert stale in audit(folder).findings
    # a partition of one piece has centres of its own
    other = fresh_copy(finished.run_dir, tmp_path / "other")
    plant(other, moved_centres)
    assert stale not in audit(other).findings


@pytest.mark.slow
def test_the_verification_compares_points(grown, folder):
    def later(store):
        path = store.shard_folder(0, "01.00") / "training.json"
        write_json(path, {**read_json(path), "epoch_losses": [0.1, 0.2]})

    plant(folder, later)
    assert "shards/000/points/01.00/training.json differs" in verify(folder).differences
