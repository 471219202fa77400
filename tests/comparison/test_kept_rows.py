"""Rows that are there are shown without anything being written."""

import json

import numpy as np
import pytest

from benchmarks.paper import read_or_measured
from recbole_apa import compare
from recbole_apa.comparison import run_methods
from recbole_apa.comparison.row import DONE, Row
from recbole_apa.core.errors import RunError
from recbole_apa.core.system.machine import machine_kind
from recbole_apa.evaluation.metrics import auc
from tests.helpers.compared import COSTS


@pytest.fixture
def measured(monkeypatch):
    """The rows that were measured, as a list; nothing is trained."""
    found = []

    def measure(context, method, names, seed):
        labels = context.labels("test")
        scores = np.random.default_rng(seed).random(len(labels))
        figures = dict.fromkeys((*COSTS, "forward_passes", "peak_memory_bytes"), 1.0) | {"auc": auc(labels, scores)}
        found.extend((name, seed) for name in names)
        return [Row(name, seed, DONE, "", figures, scores.tolist()) for name in names]

    monkeypatch.setattr(run_methods, "measure", measure)
    return found


@pytest.fixture
def given(options, work_folder):
    return {**options, "valid_samples": 8, "test_samples": 8}


def files_of(folder):
    """Every file with its bytes and the time of its last change."""
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_rows_that_are_only_read_leave_their_folder_as_it_was(given, measured, tmp_path):
    folder = tmp_path / "kept"
    written = compare(["ItemMean", "HistoryLikeRate"], "board", config_dict=given, folder=folder)
    before, n_measured = files_of(folder), len(measured)
    found = compare(["ItemMean"], "board", config_dict=given, folder=folder, only_read=True)
    assert files_of(folder) == before and len(measured) == n_measured == 6
    # what the samples alone say of rows of older versions
    known = {row.method: row.figures.get("n_labels") for row in found.rows}
    assert known["APA(D)"] == known["Retraining"] > 0 and known["ItemMean"] > 0
    assert {row.method for row in written.rows} - {row.method for row in found.rows} == {"HistoryLikeRate"}
    assert "ItemMean" in found.table and "HistoryLikeRate" not in found.table
    # the benchmarks that show what is kept
    assert read_or_measured(["ItemMean"], "board", given, 1, folder).table == found.table
    assert files_of(folder) == before


@pytest.mark.slow
def test_a_row_that_is_not_there_is_measured_only_where_it_may_be_written(given, measured, tmp_path):
    folder = tmp_path / "kept"
    compare(["ItemMean"], "board", config_dict=given, folder=folder)
    before, n_measured = files_of(folder), len(measured)
    with pytest.raises(RunError, match=f"no finished row of HistoryLikeRate with seed {given['seed']}"):
        compare(["HistoryLikeRate"], "board", config_dict=given, folder=folder, only_read=True)
    assert files_of(folder) == before and len(measured) == n_measured
    found = read_or_measured(["HistoryLikeRate"], "board", given, 1, folder)
    assert "HistoryLikeRate" in found.table and measured[n_measured:] == [("HistoryLikeRate", given["seed"])]
    rows = {path: kept for path, kept in files_of(folder).items() if path.parent.name == "rows"}
    assert {path: rows[path] for path in before if path in rows} == {p: k for p, k in before.items() if p in rows}
    with pytest.raises(RunError):
        compare(["ItemMean"], "board", config_dict=given, folder=tmp_path / "none", only_read=True)
    assert not (tmp_path / "none").exists()


def test_a_row_says_where_it_was_measured_and_one_of_before_nothing(given, measured, tmp_path):
    folder = tmp_path / "kept"
    found = compare(["ItemMean"], "board", config_dict=given, folder=folder)
    assert {row.machine for row in found.rows} == {machine_kind("cpu").text()}
    for path in (folder / "rows").iterdir():
        row = json.loads(path.read_text())
        path.write_text(json.dumps({name: value for name, value in row.items() if name != "machine"}))
    again = compare(["ItemMean"], "board", config_dict=given, folder=folder)
    assert {row.machine for row in again.rows} == {""} and len(measured) == len(found.rows)
