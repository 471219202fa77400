"""The data of a finished run: from its index while its files are unchanged; a changed file is read and compared."""

import os
import shutil
from types import SimpleNamespace

import pytest

from recbole_apa import audit, evaluate_run, run, unlearn
from recbole_apa.core.errors import APAError, RunError
from recbole_apa.data import dataset
from recbole_apa.model import trainer
from recbole_apa.runs.store import RunStore
from tests.helpers.runs import state, tree
from tests.helpers.unseen import unseen_rows

OTHER = "not the one that the run was made of"


@pytest.fixture
def place(served, data_folder, tmp_path):
    """A run that forgot u3, and its data, to be changed."""
    folder, data = tmp_path / "run", tmp_path / "data"
    shutil.copytree(served, folder)
    shutil.copytree(data_folder, data)
    return SimpleNamespace(folder=folder, file=data / "board" / "board.inter", options={"data_path": str(data)})


def lines_of(place):
    return place.file.read_text().splitlines(keepends=True)


def samples_of(place):
    return evaluate_run(place.folder, place.options).data[0]._dataset.splits


def not_read(monkeypatch):
    """Reading the interactions fails."""
    monkeypatch.setattr(dataset, "load_dataset", lambda *a: pytest.fail("the file was read"))


def times_alone(lines):
    """The same file, written later."""
    return lines


def without_the_forgotten(lines):
    """As their owner is asked to do."""
    return [line for line in lines if not line.startswith("u3\t")]


def users_mixed(lines):
    """Each user's rows in the same order, and those of all users in another."""
    rows = sorted(enumerate(lines[1:]), key=lambda row: (row[0] % 16, -row[0]))
    return [lines[0], *(line for _, line in rows)]


def backwards(lines):
    return [lines[0], *reversed(lines[1:])]


def forgotten_rows_come_in(lines):
    """Rows of somebody who is hidden by name."""
    return [*lines, "u3\ti1\t5\t99000\n", "u3\ti2\t2\t99001\n"]


@pytest.mark.slow
@pytest.mark.parametrize("change", [times_alone, without_the_forgotten, users_mixed, backwards, forgotten_rows_come_in])
def test_files_with_the_same_visible_rows_give_the_same_data(change, place, monkeypatch):
    expected, before = samples_of(place), state(place.folder)
    place.file.write_text("".join(change(lines_of(place))))
    os.utime(place.file, (1, 1))
    with monkeypatch.context() as patch:
        if change is times_alone:
            not_read(patch)
        assert samples_of(place) == expected
        assert audit(place.folder, place.options).findings == []
    assert unlearn(place.folder, users=["u5"], dry_run=True, config_dict=place.options).plan.affected
    assert state(place.folder) == before


def a_row_gone(lines):
    return lines[:-1]


def a_row_more(lines):
    return [*lines, "u11\ti0\t5\t99000\n"]


def a_user_more(lines):
    return [*lines, "u12\ti0\t5\t99000\n"]


def an_item_more(lines):
    return [*lines, "u11\ti99\t5\t99000\n"]


def another_value(lines):
    user, item, value, time = lines[5].split("\t")
    return [*lines[:5], f"{user}\t{item}\t{7 - int(value)}\t{time}", *lines[6:]]


def another_order_in_time(lines):
    """Two rows of a user change times."""
    one, other = (line.rstrip("\n").split("\t") for line in lines[3:5])
    one[3], other[3] = other[3], one[3]
    return [*lines[:3], *("\t".join(row) + "\n" for row in (one, other)), *lines[5:]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (a_row_gone, "1 user has other rows"),
        (a_row_more, "1 user has other rows"),
        (a_user_more, "1 of its rows are of users that the run does not have"),
        (an_item_more, "1 of its rows are of items that the run does not have"),
        (another_value, "1 user has other rows"),
        (another_order_in_time, "1 user has other rows"),
    ],
)
def test_files_with_other_visible_rows_are_refused(change, says, place):
    before = tree(place.folder)
    place.file.write_text("".join(change(lines_of(place))))
    for command in (
        lambda: evaluate_run(place.folder, place.options),
        lambda: unlearn(place.folder, users=["u5"], config_dict=place.options),
        lambda: unlearn(place.folder, users=["u5"], dry_run=True, config_dict=place.options),
    ):
        with pytest.raises(RunError, match=f"{OTHER}.*{says}"):
            command()
    assert any(says in finding for finding in audit(place.folder, place.options).findings)
    assert tree(place.folder) == before


def test_another_title_of_an_item_is_other_data(place):
    titles = place.file.with_suffix(".item")
    titles.write_text(titles.read_text().replace("Even Film 4\t", "Odd Film 4\t"))
    with pytest.raises(RunError, match=OTHER):
        evaluate_run(place.folder, place.options)
    with pytest.raises(RunError, match=OTHER):
        unlearn(place.folder, users=["u5"], config_dict=place.options)
    assert any("lineage" in finding or "dataset" in finding for finding in audit(place.folder, place.options).findings)


def test_a_file_that_is_gone_is_asked_for(place):
    place.file.unlink()
    for dry_run in (True, False):
        with pytest.raises(APAError, match=r"has no board\.inter"):
            unlearn(place.folder, users=["u5"], dry_run=dry_run, config_dict=place.options)
    assert any("has no board.inter" in finding for finding in audit(place.folder, place.options).findings)


@pytest.mark.slow
def test_a_request_notes_the_changed_file_and_the_next_does_not_read_it(finished, place, monkeypatch):
    place.file.write_text("".join(without_the_forgotten(lines_of(place))))
    rows = [row for row in unseen_rows(finished) if row[0] != "u3"]
    unlearn(place.folder, interactions=rows[:1], config_dict=place.options)
    not_read(monkeypatch)
    assert RunStore(place.folder).open_index().facts.about.source[0].size == place.file.stat().st_size
    unlearn(place.folder, interactions=rows[1:2], config_dict=place.options)
    unlearn(place.folder, users=["u5"], config_dict=place.options)
    monkeypatch.undo()
    assert audit(place.folder, place.options).findings == []


@pytest.mark.slow
def test_a_file_that_changes_after_it_was_read_is_compared(data_folder, options, tmp_path, monkeypatch):
    """Its digest was taken when the index was written: what had come in meanwhile was taken for known."""
    shutil.copytree(data_folder, tmp_path / "data")
    file = tmp_path / "data" / "board" / "board.inter"

    def written_late(*args):
        with open(file, "a") as out:
            out.write("u1\ti19\t5\t99999\n")
        write(*args)

    write = trainer.write_first_index
    monkeypatch.setattr(trainer, "write_first_index", written_late)
    given = {**options, "epochs": 1, "variants": "chosen", "data_path": str(tmp_path / "data")}
    run("APA", "board", config_dict=given, run_dir=tmp_path / "run")
    with pytest.raises(RunError, match=OTHER):
        evaluate_run(tmp_path / "run")
    assert not audit(tmp_path / "run").holds
