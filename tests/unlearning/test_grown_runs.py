"""Runs that were trained in pieces: requests restart at the piece that they touch, and the proofs know the points."""

import shutil

import pytest

from recbole_apa import audit, run, unlearn, verify
from recbole_apa.core.files.whole import read_json, write_json
from recbole_apa.runs.names import PIECES
from recbole_apa.runs.store import RunStore
from tests.helpers.grown_states import as_if_added, close_again
from tests.helpers.killed_process import forget, fresh_copy
from tests.helpers.pieces import count_training, grow_by
from tests.helpers.runs import state

LATE = 9
"""The first row of a user that belongs to piece 1; the board's users have 16."""


def piece_of(sample_id):
    """By its time: a row that was added later is in a later piece."""
    return int(float(sample_id.split(":")[2]) % 1000 >= LATE)


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
    as_if_added(made.run_dir, lambda time: time % 1000 >= LATE)
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


def plant(folder, change):
    """Change something, and give manifest and ledger the digests of what is there now."""
    store = RunStore(folder)
    change(store)
    sealed = store.manifest()
    store.seal({}, complete=sealed["status"] == "complete")
    close_again(folder)


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


def test_the_verification_compares_points(grown, folder):
    def later(store):
        path = store.shard_folder(0, "01.00") / "training.json"
        write_json(path, {**read_json(path), "epoch_losses": [0.1, 0.2]})

    plant(folder, later)
    assert "shards/000/points/01.00/training.json differs" in verify(folder).differences
