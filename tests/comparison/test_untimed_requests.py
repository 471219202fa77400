"""Comparisons that time no request train each row once."""

import pytest

from recbole_apa.comparison import run_methods
from recbole_apa.comparison.methods.recbole import RecBoleMethod
from recbole_apa.comparison.methods.sharded import AdapterMethod
from recbole_apa.comparison.report.costs import COSTS, ONE_MODEL, cost_cells, single_model_seconds
from recbole_apa.comparison.row import UNLEARN_SECONDS, Row
from tests.helpers.compared import FEW, row_of


@pytest.fixture(scope="module")
def asked(options, tmp_path_factory):
    """The arguments of a comparison into a folder of the module's own."""
    given = {**options, "train_samples": 12, "valid_samples": 6, "test_samples": 6}
    return {"config_dict": given, "folder": tmp_path_factory.mktemp("compared"), "baseline_options": FEW}


@pytest.mark.slow
def test_nothing_is_forgotten_and_the_scores_are_the_same(asked, monkeypatch, work_folder):
    def forget(self):
        raise AssertionError("a request was timed")

    with monkeypatch.context() as patched:
        for kind in (AdapterMethod, RecBoleMethod):
            patched.setattr(kind, "unlearn", forget)
        once = run_methods.compare(["FM"], "board", **asked, time_requests=False)
    assert not once.problems and not [row for row in once.rows if UNLEARN_SECONDS in row.figures]
    assert "no request was timed" in once.table
    # read as they are, and measured again once requests are wanted
    read = run_methods.compare(["FM"], "board", **asked, only_read=True)
    assert [row.scores for row in read.rows] == [row.scores for row in once.rows]
    timed = run_methods.compare(["FM"], "board", **asked)
    assert all(row.figures[UNLEARN_SECONDS] > 0 for row in timed.rows)
    assert [list(row.scores) for row in timed.rows] == [list(row.scores) for row in once.rows]
    with monkeypatch.context() as patched:  # a row with more than is wanted is good enough
        patched.setattr(run_methods, "measure", forget)
        again = run_methods.compare(["FM"], "board", **asked, time_requests=False)
    assert [row.figures for row in again.rows] == [row.figures for row in timed.rows]


def test_what_was_not_timed_has_no_cells():
    timed, reference = row_of("SISA", [0.5], n_shards=4.0), row_of("Retraining", [0.5], unlearn_seconds=3.0)
    untimed = Row("SISA", 1, "done", figures={k: v for k, v in timed.figures.items() if not k.startswith("unlearn")})
    one_model = single_model_seconds([reference])
    cells = [dict(zip(COSTS, cost_cells([row], one_model), strict=True)) for row in (timed, untimed)]
    assert (cells[0]["unlearn s"], cells[0]["shards hit"], cells[0][ONE_MODEL]) == ("1.0", "1.0 of 4", "3.00")
    assert (cells[1]["unlearn s"], cells[1]["shards hit"], cells[1][ONE_MODEL]) == ("-", "-", "")
    assert single_model_seconds([Row("Retraining", 1, "done")]) is None
