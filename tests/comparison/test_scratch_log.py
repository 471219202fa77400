"""What a comparison says while it runs: nothing of folders that it deletes."""

import logging

import pytest

from recbole_apa import compare
from recbole_apa.comparison.context import SCRATCH
from recbole_apa.comparison.scratch_log import nothing_said_of
from tests.helpers.inside import inside


@pytest.mark.slow
def test_no_line_names_a_folder_that_is_deleted_at_the_end(options, tmp_path, capsys, caplog):
    few = {**options, "train_samples": 12, "epochs": 1}
    with inside(tmp_path), caplog.at_level(logging.INFO):
        compare(["HistoryLikeRate"], "board", (), few, seeds=1, folder=tmp_path / "rows")
    said = [record.getMessage() for record in caplog.records] + capsys.readouterr().err.splitlines()
    assert any("shard" in line for line in said)
    assert [line for line in said if SCRATCH in line] == []


def test_other_lines_are_said_meanwhile_and_all_of_them_later(tmp_path, caplog):
    log = logging.getLogger()
    with caplog.at_level(logging.INFO):
        with nothing_said_of(tmp_path):
            log.info("resume with --run=%s/run", tmp_path)
            log.info("shard 1/3")
        log.info("in %s", tmp_path)
    assert [record.getMessage() for record in caplog.records] == ["shard 1/3", f"in {tmp_path}"]
