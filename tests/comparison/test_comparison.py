"""The comparison on the small dataset: a row for each name, rows kept, failures named."""

import csv
import mmap
import time

import numpy as np
import pytest

from recbole_apa import compare
from recbole_apa.comparison.context import open_context
from recbole_apa.comparison.report.criterion import ByLabel
from recbole_apa.comparison.report.table import headers
from recbole_apa.comparison.row import DONE, FAILED, peak_memory

NAMES = [
    "SISA",
    "RecEraser",
    "GraphEraser",
    "Pop",
    "HistoryLikeRate",
    "ItemMean",
    "APA:lora_rank=0",
    "APA:weight_rule=average",
]


@pytest.fixture(scope="module")
def compared(options, work_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    return compare(NAMES, "board", config_dict=options, folder=folder, slices=True), folder


@pytest.mark.slow
def test_a_comparison_has_a_row_for_each_name_and_a_reason_for_each_failure(compared):
    result, folder = compared
    by_name = {row.method: row for row in result.rows if row.seed == 1}
    assert set(by_name) == {"APA(D)", "APA(ND)", "Retraining", *NAMES}
    assert {row.method for row in result.rows if row.status == FAILED} == {"APA:lora_rank=0"}
    assert "lora_rank: found 0" in by_name["APA:lora_rank=0"].reason
    assert [row.method for row in result.rows if row.seed == 2] == ["Retraining"]  # the noise of a seed
    for row in by_name.values():
        if row.status == DONE:
            assert len(row.scores) == row.figures["n_samples"] == 12
    assert by_name["SISA"].figures["forward_passes"] == 3 and by_name["APA(D)"].figures["forward_passes"] == 1
    assert by_name["APA(D)"].scores != by_name["APA(ND)"].scores != by_name["Retraining"].scores
    assert by_name["Pop"].figures["recbole_auc"] == pytest.approx(by_name["Pop"].figures["auc"], abs=1e-4)
    assert "logloss" not in by_name["Pop"].figures
    page = (folder / "report.html").read_text()
    assert "Failed" in page and "APA:lora_rank=0" in page and "AUC by user" in page
    assert not (folder / ".scratch").exists()
    with open(folder / "table.csv") as file:
        assert next(csv.reader(file)) == headers(ByLabel(np.array([0, 1])))
    assert r"\toprule" in (folder / "table.tex").read_text()


@pytest.mark.slow
def test_rows_that_are_there_are_not_computed_again(compared, options, monkeypatch):
    result, folder = compared

    def no_training(self, seed):
        raise AssertionError(f"trained again: {self.rows}")

    from recbole_apa.comparison.methods.sharded import AdapterMethod

    with monkeypatch.context() as patch:
        patch.setattr(AdapterMethod, "fit", no_training)
        again = compare(NAMES, "board", config_dict=options, folder=folder)
        other = compare(["SISA"], "board", config_dict={**options, "epochs": 1}, folder=folder)
    assert [(r.method, r.seed, list(r.scores)) for r in again.rows] == [
        (r.method, r.seed, list(r.scores)) for r in result.rows
    ]
    assert {row.status for row in other.rows} == {FAILED}  # other settings are other rows


@pytest.mark.slow
def test_a_new_row_of_a_known_training_leaves_the_known_ones_as_they_are(compared, options):
    _, folder = compared
    before = {path: path.read_bytes() for path in (folder / "rows").glob("*.json")}
    more = compare(["APA:weight_rule=major"], "board", config_dict=options, folder=folder)
    found = [row.method for row in more.rows if row.seed == 1]
    assert sorted(found) == ["APA(D)", "APA(ND)", "APA:weight_rule=major", "Retraining"]
    assert all(path.read_bytes() == content for path, content in before.items())
    assert len(list((folder / "rows").glob("*.json"))) == len(before) + 1


def test_another_draw_of_the_same_data_is_another_comparison(options, work_folder, tmp_path):
    mixed = {**options, "eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "RO", "mode": "labeled"}}
    one, same, other = (open_context("board", [], {**mixed, "seed": seed}, tmp_path) for seed in (1, 1, 2))
    assert one.data[0]._dataset.old_digest == other.data[0]._dataset.old_digest
    assert one.rows_digest == same.rows_digest != other.rows_digest


def test_peak_memory_sees_what_was_allocated():
    with peak_memory() as before:
        pass
    with peak_memory() as peak, mmap.mmap(-1, 64 << 20) as block:  # pages that no allocator can have kept
        for page in range(0, len(block), 4096):
            block[page] = 1
        time.sleep(0.3)
    assert peak[0] >= before[0] + (30 << 20)
