"""Sequences need no ratings: files of implicit feedback are used as they are."""

import shutil

import pytest

from recbole_apa.core.errors import DataError
from recbole_apa.next_item import audit_next_items, forget_next_items, run_next_items, verify_next_items
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
