"""Sequences need no ratings: files of implicit feedback are used as they are."""

import shutil

import pytest

from recbole_apa.core.errors import DataError
from recbole_apa.next_item import audit_next_items, forget_next_items, run_next_items, verify_next_items
from recbole_apa.next_item.options import read_options
from recbole_apa.next_item.run.baselines import add_baselines


def _without(chains, folder, columns):
    """The chains without some of their columns."""
    shutil.copytree(chains / "chains", folder / "chains")
    path = folder / "chains/chains.inter"
    rows = [line.split("\t") for line in path.read_text().splitlines()]
    kept = [i for i, cell in enumerate(rows[0]) if cell.split(":")[0] not in columns]
    path.write_text("".join("\t".join(row[i] for i in kept) + "\n" for row in rows))
    return str(folder)


def test_times_stand_in_for_ratings_and_the_sequences_are_the_same(chains, head_run, next_options, tmp_path):
    loaded = {"inter": ["user_id", "item_id", "timestamp"], "item": ["item_id", "title"]}
    asked = {**next_options, "data_path": _without(chains, tmp_path, {"rating"}), "load_col": loaded}
    run = run_next_items("chains", config_dict=asked, run_dir=tmp_path / "run")
    assert run.figures == head_run.figures
    add_baselines(run, ["Pop", "BPR"])
    assert {"Pop", "BPR"} <= set(run.figures)
    forget_next_items(run.folder, users=["u5"], interactions=[("u7", "i9")])
    assert audit_next_items(run.folder).holds and verify_next_items(run.folder).holds


def test_a_threshold_that_is_asked_for_holds(chains, next_options, tmp_path):
    asked = {**next_options, "data_path": _without(chains, tmp_path, {"rating"}), "threshold": {"rating": 4}}
    with pytest.raises(DataError, match="has no column 'rating'"):
        run_next_items("chains", config_dict=asked, run_dir=tmp_path / "run")


def test_without_any_numbers_it_says_what_is_missing(chains, next_options, tmp_path):
    asked = {**next_options, "data_path": _without(chains, tmp_path, {"rating", "timestamp"})}
    with pytest.raises(DataError, match="found the columns item_id, user_id; expected 'timestamp', which orders"):
        run_next_items("chains", config_dict=asked, run_dir=tmp_path / "run")


@pytest.mark.parametrize(
    ("head", "time", "expected"),
    [
        ("\ufeffrating:float\tuser_id:token\titem_id:token\ttimestamp:float", "", ("rating", 4)),
        ("\ufefftimestamp:float\tuser_id:token\titem_id:token", "", ("timestamp", 0.0)),
        ('"user_id:token"\t"item_id:token"\t"rating:float"', "", ("rating", 4)),
        ("user_id:token\titem_id:token\tdate:float", "date", ("date", 0.0)),
        ("user_id:token\titem_id:token\ttitle:token\trating:float\ttimestamp:float", "", ("rating", 4)),
    ],
    ids=["byte order mark", "times first", "quoted", "another name", "latin-1"],
)
def test_it_is_the_reader_that_reads_the_header(chains, next_options, tmp_path, head, time, expected):
    folder = _without(chains, tmp_path, ())
    cells = ["caf\xe9" if "title" in name else "1" for name in head.split("\t")]
    is_latin = "title" in head
    data = f"{head}\n" + "\t".join(cells) + "\n"
    (tmp_path / "chains/chains.inter").write_bytes(data.encode("latin-1" if is_latin else "utf-8"))
    asked = {**next_options, "data_path": folder, "load_col": None}
    asked |= {"encoding": "latin-1"} if is_latin else {}
    asked |= {"TIME_FIELD": time} if time else {}
    label = read_options("chains", given=asked).data.label
    assert (label.column, label.least) == expected
