"""Interactions join a finished run: what is trained, what is refused, and forgetting afterwards, bit for bit."""

import shutil

import pytest

from recbole_apa import audit, evaluate_run, run, unlearn
from recbole_apa.core.errors import RequestError
from recbole_apa.core.files.whole import read_json, write_json
from recbole_apa.partition.inherited import with_own_centres
from recbole_apa.runs.ledger import Ledger
from recbole_apa.runs.names import EMBEDDINGS, INCOMING, PIECES
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.additions.stage import add
from tests.helpers.added import START, holds, later, samples
from tests.helpers.killed_process import fresh_copy
from tests.helpers.machines import on_another
from tests.helpers.old_runs import OLD, PLACES, new_differences
from tests.helpers.runs import state, tree

FIRST = [*later("u1"), *later("new1", liked=1), ("u2", "fresh item", 5, START)]
SECOND = [*later("u1", start=2 * START), *later("new2", start=2 * START), *later("new1", start=2 * START)]


def write(path, rows):
    head = "user_id:token\titem_id:token\trating:float\ttimestamp:float"
    path.write_text("\n".join([head, *("\t".join(map(str, row)) for row in rows)]) + "\n")
    return path


@pytest.fixture(scope="module")
def grown(finished, tmp_path_factory, work_folder):
    """A run with two additions."""
    folder = fresh_copy(finished.run_dir, tmp_path_factory.mktemp("grown") / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(work_folder)
        one = add(folder, FIRST)
        two = add(folder, SECOND)
    return folder, one, two


@pytest.fixture
def folder(grown, tmp_path):
    return fresh_copy(grown[0], tmp_path / "run")


@pytest.mark.slow
def test_added_rows_are_trained_after_what_the_shards_have_learnt(finished, grown):
    folder, one, two = grown
    store, old = RunStore(folder), RunStore(finished.run_dir)
    before, now = samples(finished.run_dir), samples(folder)
    assert all(before[name].items() <= now[name].items() for name in before)  # none of them has changed
    assert len(now["train"]) == 30 + one.plan.samples["train"] + two.plan.samples["train"]
    assert set(store.load_pieces().values()) == {1, 2} and one.plan.piece == 1 and two.plan.piece == 2
    for shard in range(3):
        start = store.load_shard(shard, "01.00")[0] if one.plan.shards.get(shard) else None
        first = old.load_shard(shard)[0]
        if start is not None:
            assert all((a == b).all() for name in first for a, b in zip(first[name], start[name], strict=True))
    assert one.plan.roles == {"train": 28, "valid": 2, "test": 2} and one.plan.n_users == 1 and one.plan.n_items == 1
    assert [e.kind for e in Ledger(folder, store.salt).entries()] == ["added", "done"] * 2
    shards = {name: k for name, k in store.load_assignment().shard_of.items() if name in before["train"]}
    assert shards == old.load_assignment().shard_of


@pytest.mark.slow
def test_a_known_person_s_samples_go_where_most_of_theirs_are(grown):
    now = RunStore(grown[0]).load_assignment().shard_of
    pieces = RunStore(grown[0]).load_pieces()
    for user in ("u1", "new1"):
        before = [now[name] for name in now if name.startswith(f"{user}:") and pieces.get(name, 0) < 2]
        usual = min(set(before), key=lambda shard: (-before.count(shard), shard))
        added = {now[name] for name, piece in pieces.items() if name.startswith(f"{user}:") and piece == 2}
        assert added == {usual}


@pytest.mark.slow
def test_a_grown_run_holds(grown):
    holds(grown[0])


def test_a_dry_run_says_what_happens_and_changes_nothing(grown, finished, tmp_path):
    folder = fresh_copy(finished.run_dir, tmp_path / "run")
    before = tree(folder)
    told = add(folder, FIRST, dry_run=True)
    assert told.plan == grown[1].plan and told.position is None and tree(folder) == before
    trained = {k for k in range(3) if (grown[0] / f"shards/{k:03d}/points/01.00").is_dir()}
    assert trained == set(told.plan.shards)


CASES = {
    "a user of the first data": {"users": ["u5"]},
    "a user in all pieces": {"users": ["u1"]},
    "a user of both additions": {"users": ["new1"]},
    "a user of the last addition": {"users": ["new2"]},
    "an added item": {"items": ["fresh item"]},
    "an item of all": {"items": ["i3"]},
    "an added row": {"interactions": [("new1", "i2", str(START + 2))]},
}


@pytest.mark.quick("a user in all pieces")
@pytest.mark.parametrize("name", CASES)
def test_forgetting_in_a_grown_run_is_exact(name, folder):
    unlearn(folder, **CASES[name])
    holds(folder)
    add(folder, [row for row in later("u7", start=3 * START) if row[1] != "i3"])
    holds(folder)


@pytest.mark.slow
@pytest.mark.parametrize("asked", [{"users": ["u5"]}, {"users": ["u1"]}], ids=str)
def test_strict_forgets_and_replays_the_additions(asked, folder):
    unlearn(folder, **asked, exactness="strict")
    holds(folder)


@pytest.mark.slow
@pytest.mark.parametrize("asked", [{"users": ["u1"]}, {"items": ["i3"]}], ids=str)
def test_fresh_makes_one_piece_equal_to_a_new_run(asked, options, folder, data_folder, tmp_path):
    unlearn(folder, **asked, exactness="fresh")
    assert not (folder / PIECES).exists() and not list(folder.rglob("points"))
    (tmp_path / "data/board").mkdir(parents=True)
    rows = [line.split("\t") for line in (data_folder / "board/board.inter").read_text().splitlines()[1:]]
    rows = [row for row in [*rows, *FIRST, *SECOND] if row[0] not in asked.get("users", ())]
    write(tmp_path / "data/board/board.inter", [row for row in rows if row[1] not in asked.get("items", ())])
    shutil.copy(data_folder / "board/board.item", tmp_path / "data/board")
    new = run("APA", "board", config_dict={**options, "data_path": str(tmp_path / "data")}, run_dir=tmp_path / "new")
    one, other = state(folder), state(new.run_dir)
    differing = {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}
    assert all(name.startswith("index/") for name in differing), differing
    a, b = (RunStore(place).open_index().all_rows() for place in (folder, new.run_dir))
    assert told(a) == told(b)
    holds(folder)
    add(folder, [row for row in later("u7", start=3 * START) if row[1] != "i3"])  # and grows again, from one piece
    assert set(RunStore(folder).load_pieces().values()) == {1}
    holds(folder)


def told(rows):
    """All of an index but which addition a row came with."""
    columns = (rows.times, rows.values, rows.places, rows.roles, rows.flags)
    return [rows.users.texts(), rows.items.texts(), *(column.tolist() for column in columns)]


@pytest.mark.parametrize(
    "rows, says",
    [
        ([("u1", "i3", 5, 1000)], "no later than a sample of the same user"),
        ([*later("u1"), *later("u1")], "the same"),
        (FIRST[:3], "in the run already"),
        ([], "no row"),
    ],
    ids=["early", "twice", "known", "none"],
)
def test_what_a_run_does_not_take_changes_nothing(rows, says, folder):
    before = tree(folder)
    with pytest.raises(RequestError, match=says):
        add(folder, rows)
    assert tree(folder) == before


@pytest.mark.slow
def test_rows_that_would_change_samples_through_a_filter_are_refused(options, tmp_path):
    made = run("APA", "board", config_dict={**options, "rm_dup_inter": "last"}, run_dir=tmp_path / "run")
    sample = made.data.train_set.samples[0]
    before = tree(tmp_path / "run")
    with pytest.raises(RequestError, match=r"rm_dup_inter.*trained again: shards"):
        add(tmp_path / "run", [(sample.user_id, sample.item_id, 5, START)])
    assert tree(tmp_path / "run") == before


@pytest.mark.slow
def test_a_row_in_the_dataset_s_file_too_counts_once(folder, data_folder, tmp_path):
    shutil.copytree(data_folder / "board", tmp_path / "data/board")
    inter = tmp_path / "data/board/board.inter"
    lines = ["\t".join(map(str, row)) for row in FIRST]
    inter.write_text(inter.read_text() + "\n".join(lines) + "\n")
    where = {"data_path": str(tmp_path / "data")}
    assert audit(folder, where).findings == []
    n = len(RunStore(folder).open_index().all_rows())
    unlearn(folder, users=["u5"], config_dict=where)
    assert len(RunStore(folder).open_index().all_rows()) == n - 16
    assert audit(folder, where).findings == []


@pytest.mark.slow
@pytest.mark.parametrize("left", ["addition", "request"])
def test_what_waits_is_finished_first(left, folder, monkeypatch):
    asked = {
        "addition": lambda: add(folder, later("u7", start=3 * START)),
        "request": lambda: unlearn(folder, users=["u5"]),
    }
    with monkeypatch.context() as patch:
        patch.setattr("recbole_apa.runs.store.RunStore.save_memory", _stopped)
        with pytest.raises(InterruptedError):
            asked[left]()
    assert [e.kind for e in Ledger(folder, RunStore(folder).salt).waiting()] == [{"addition": "added"}.get(left, left)]
    if left == "addition":
        out = unlearn(folder, users=["u5"])
        assert out.additions == [5] and out.outcomes[0].requests == [7]
    else:
        out = add(folder, later("u7", start=3 * START))
        assert out.finished == [5] and out.position == 7 and len(out.certificates) == 1
    again = add(folder, later("u8", start=3 * START))
    assert again.finished == []
    assert audit(folder).findings == []


@pytest.mark.slow
def test_a_command_that_was_interrupted_is_given_again(folder, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("recbole_apa.runs.store.RunStore.save_memory", _stopped)
        with pytest.raises(InterruptedError):
            add(folder, later("u7", start=3 * START))
    out = add(folder, later("u7", start=3 * START))
    assert out.finished == [5] and out.plan is None and out.position == 5
    assert RunStore(folder).open_index().all_rows().users.texts().count("u7") == 32
    assert audit(folder).findings == []


def test_rows_that_wait_cannot_be_exchanged(folder, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("recbole_apa.runs.store.RunStore.save_memory", _stopped)
        with pytest.raises(InterruptedError):
            add(folder, later("u7", start=3 * START))
    facts = read_json(folder / INCOMING / "index.json")
    shutil.rmtree(folder / INCOMING)
    with pytest.raises(Exception, match="incoming is missing"):
        unlearn(folder, users=["u5"])
    (folder / INCOMING).mkdir()
    write_json(folder / INCOMING / "index.json", facts)
    with pytest.raises(Exception, match=r"incoming/parts/0000\.arrow is missing"):
        unlearn(folder, users=["u5"])


@pytest.mark.slow
def test_a_grown_run_is_evaluated_and_opened(grown, folder):
    made = evaluate_run(folder)
    assert made.metrics["test.n_samples"] == len(samples(folder)["test"])
    opened = add(made, later("u7", start=3 * START))
    assert opened.result.metrics["test.n_samples"] > made.metrics["test.n_samples"]


def _stopped(*args, **kwargs):
    raise InterruptedError


@pytest.mark.slow
def test_a_run_that_was_moved_does_not_grow(finished, tmp_path):
    folder = fresh_copy(finished.run_dir, tmp_path / "run")
    unlearn(folder, users=["u3"], method="NPO")
    before = tree(folder)
    with pytest.raises(RequestError, match="moved by an approximate method"):
        add(folder, later("u4"))
    assert tree(folder) == before


@pytest.mark.slow
def test_centres_that_an_older_version_kept_do_not_stay(tmp_path):
    """The run forgot something, and its centres are means of that, too."""
    folder = fresh_copy(OLD / "forgotten" / "run", tmp_path / "run")
    add(folder, [("somebody", "i3", 5, START)], config_dict=PLACES)
    # another processor than that of the old run may round its embeddings otherwise, and centres are means of those
    assert audit(folder, PLACES).findings == [] and new_differences(folder, "forgotten") <= {"partition.safetensors"}
    store = RunStore(folder)
    partition, lineage = store.load_partition(), store.lineage()
    own = with_own_centres(partition, sorted(lineage[EMBEDDINGS]), store.load_embeddings())
    assert partition.centres.equal(own.centres)


@pytest.mark.slow
def test_a_folder_that_a_kill_left_half_written_goes(folder):
    (folder / ".incoming.tmp" / "parts").mkdir(parents=True)
    (folder / ".incoming.tmp" / "parts" / "0000.arrow").write_bytes(b"somebody")
    unlearn(folder, users=["u5"])
    assert not (folder / ".incoming.tmp").exists()


@pytest.mark.slow
def test_on_another_kind_of_machine_all_shards_are_planned_and_trained(folder, monkeypatch):
    on_another(monkeypatch)
    rows = later("u7", start=3 * START)
    with pytest.raises(RequestError, match="another kind of machine"):
        add(folder, rows)
    plan = add(folder, rows, dry_run=True, other_machine="retrain").plan
    out = add(folder, rows, other_machine="retrain")
    assert out.plan == plan and sum(plan.shards.values()) == len(samples(folder)["train"])
    assert RunStore(folder).load_assignment().sizes() == [plan.shards.get(k, 0) for k in range(3)]
    holds(folder)
