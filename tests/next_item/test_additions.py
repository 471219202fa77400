"""New rows join a run: it is what a training on all rows gives, forgets them, and survives being killed."""

import json
import shutil
from pathlib import Path

import pytest

from recbole_apa.core.errors import RequestError, RunError
from recbole_apa.next_item.differences import differences
from recbole_apa.next_item.run import session
from recbole_apa.next_item.run.add import add_next_items
from recbole_apa.next_item.run.forget import forget_next_items
from recbole_apa.next_item.run.proof import audit_next_items, verify_next_items
from recbole_apa.next_item.run.store import NextItemStore
from recbole_apa.next_item.run.train import open_next_items, run_next_items
from tests.helpers.next_item_runs import kill, train
from tests.helpers.runs import tree

NEW = [
    ("u3", "i2", 4, 9000),
    ("u3", "i3", 4, 9001),
    ("u1", "i4", 5, 9002),
    ("u1", "i5", 5, 9003),
    ("u1", "i6", 5, 9004),
]
NEW += [("new", f"i{i}", 3, 9100 + i) for i in range(6)] + [("short", "i1", 3, 9200)]


@pytest.fixture(scope="module")
def made(next_options, work_folder):
    return train(next_options, work_folder / "joined", partition="hashed_user")


def all_rows(chains: Path, target: Path) -> Path:
    """The dataset with the new rows in its file."""
    shutil.copytree(chains / "chains", target / "chains")
    with (target / "chains" / "chains.inter").open("a") as file:
        file.writelines("\t".join(map(str, row)) + "\n" for row in NEW)
    return target


@pytest.mark.slow
def test_a_grown_run_is_what_a_training_on_all_rows_gives(folder, next_options, chains, tmp_path):
    result = add_next_items(folder, NEW)
    assert result.change.new == ("new", "short") and result.change.users == ("new", "short", "u1", "u3")
    assert result.n_rows == len(NEW) and not (folder / "incoming.json").exists()
    whole = all_rows(chains, tmp_path / "data")
    options = {**next_options, "partition": "hashed_user", "data_path": str(whole)}
    again = run_next_items("chains", config_dict=options, run_dir=tmp_path / "whole")
    grown = open_next_items(folder)
    assert differences(grown.state, again.state) == [] and grown.figures == again.figures
    assert grown.data.sequences == again.data.sequences
    assert open_next_items(folder, {"data_path": str(whole)}).figures == grown.figures  # rows in both count once
    assert audit_next_items(folder).findings == []
    assert verify_next_items(folder).differences == []


@pytest.mark.parametrize("has_times", [True, False])
@pytest.mark.parametrize("in_file", [[1], [2, 0], [0, 1, 2]])
@pytest.mark.slow
def test_the_order_of_additions_holds_whatever_the_file_has_of_them(next_options, chains, tmp_path, has_times, in_file):
    """Rows without times, or of equal ones, are in the order in which they joined; the run did not open any more."""
    data = Path(shutil.copytree(chains / "chains", tmp_path / "data" / "chains"))
    path = data / "chains.inter"
    lines = [line if has_times else line.rpartition("\t")[0] for line in path.read_text().splitlines()]
    path.write_text("\n".join(lines) + "\n")
    columns = ["user_id", "item_id", "rating", *["timestamp"] * has_times]
    options = {**next_options, "data_path": str(tmp_path / "data"), "partition": "hashed_user"}
    options["load_col"] = {"inter": columns, "item": ["item_id", "title", "year"]}
    made = run_next_items("chains", config_dict=options, run_dir=tmp_path / "run")
    rows = [("u3", item, 4, *[9000] * has_times) for item in ("i16", "i2", "i9")]
    for row in rows:
        add_next_items(made.folder, [row])
    items = open_next_items(made.folder).data.of_user["u3"].items
    assert items[-3:] == ("i16", "i2", "i9")
    path.write_text("\n".join([*lines, *("\t".join(map(str, rows[n])) for n in in_file)]) + "\n")
    assert open_next_items(made.folder).data.of_user["u3"].items == items
    assert audit_next_items(made.folder).holds and verify_next_items(made.folder).holds


@pytest.mark.slow
def test_what_joined_is_forgotten_and_leaves_the_folder(folder):
    add_next_items(folder, NEW)
    forget_next_items(folder, users=["new"], interactions=[("u1", "i5")])
    add_next_items(folder, [("u8", "i0", 3, 9300)])
    forget_next_items(folder, users=["u8"])
    told = json.loads((folder / NextItemStore(folder).manifest()["state"] / "added.json").read_text())
    pairs = zip(told["users"], told["items"], strict=True)
    assert set(told["users"]) == {"u1", "u3", "short"} and ("u1", "i5") not in set(pairs)
    assert audit_next_items(folder).findings == []
    assert verify_next_items(folder).differences == []
    with pytest.raises(RequestError, match=r"row 1: a user, an item or an interaction that was forgotten"):
        add_next_items(folder, [("new", "i9", 3, 9400)])


def test_shards_of_users_who_were_there_stay(next_options, tmp_path):
    """With shards by content: new users go where their names say."""
    made = run_next_items("chains", config_dict=next_options, run_dir=tmp_path / "run")
    result = add_next_items(made.folder, NEW)
    shard_of = result.run.state.learnt.shard_of
    assert {user: shard_of[user] for user in made.state.learnt.shard_of} == made.state.learnt.shard_of
    assert verify_next_items(made.folder).differences == [] and {"new", "u1"} <= set(shard_of)


def test_a_dry_run_changes_nothing(folder):
    before = tree(folder)
    result = add_next_items(folder, NEW, dry_run=True)
    assert len(result.change.users) == 4 and result.position is None and tree(folder) == before


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([("u3", "nothing", 4, 9000)], "row 1: an item that the run's catalogue does not have"),
        ([("u3", "i1", 4, 9000), ("u3", "i1", 4, 9000)], "row 2: the same as row 1"),
        ([("u2", "i2", 1, 200)], "row 1: a row that the run has"),
        ([], "no rows"),
    ],
)
def test_what_is_refused_changes_nothing(folder, rows, words):
    before = tree(folder)
    with pytest.raises(RequestError, match=words):
        add_next_items(folder, rows)
    assert tree(folder) == before


@pytest.mark.parametrize("step", ["put_grown_state", "finish_request"])
def test_a_killed_addition_is_finished_by_the_next_call(folder, monkeypatch, step):
    with monkeypatch.context() as patch:
        kill(patch, session, step, after=int(step == "finish_request"))  # its first call is for what waits
        with pytest.raises(KeyboardInterrupt):
            add_next_items(folder, NEW)
    with pytest.raises(RunError, match="--resume"):
        open_next_items(folder)
    forget_next_items(folder)
    assert "new" in open_next_items(folder).data.of_user and not (folder / "incoming.json").exists()
    assert audit_next_items(folder).holds
    with pytest.raises(RequestError, match="a row that the run has"):
        add_next_items(folder, NEW)


def test_rows_of_an_addition_that_waits_are_those_that_were_taken(folder, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(session, "put_grown_state", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            add_next_items(folder, NEW)
    path = folder / "incoming.json"
    path.write_text(path.read_text().replace("i5", "i9"))
    with pytest.raises(RunError, match="other rows than were taken"):
        forget_next_items(folder)


def test_a_manifest_that_was_edited_after_an_addition_is_refused(folder):
    add_next_items(folder, NEW[:2])
    store = NextItemStore(folder)
    store.put_in_force({**store.manifest(), "partition_of": "inherited"})
    with pytest.raises(RunError, match="changed after the last request or addition"):
        add_next_items(folder, NEW[2:])
    assert "changed after the last request or addition" in audit_next_items(folder).findings[0]


def test_rows_left_by_an_addition_that_was_not_taken_are_found(folder):
    (folder / "incoming.json").write_text("{}")
    assert "does not belong" in audit_next_items(folder).findings[0]
    forget_next_items(folder, users=["u5"])
    assert audit_next_items(folder).holds
