"""The paper's figures beside ours, and how far rows agree on the order of samples."""

from benchmarks.paper import PAPER, agreement, beside_the_paper
from recbole_apa.comparison.row import DONE, Row
from tests.helpers.compared import row_of


def test_agreement_is_of_ranks_and_over_seeds_that_both_have():
    rows = [Row("a", 1, DONE, scores=[0.1, 0.2, 0.3]), Row("b", 1, DONE, scores=[0.0, 0.5, 0.6])]
    rows += [
        Row("a", 2, DONE, scores=[1, 2, 3]),
        Row("b", 2, DONE, scores=[3, 2, 1]),
        Row("c", 1, DONE, scores=[1, 2, 3]),
    ]
    assert agreement(rows, ["a", "b", "c", "d"]) == [["a", "1.000", "0.000"], ["b", "0.000", "1.000"]]


def test_papers_table_beside_ours():
    rows = [
        row_of("Retraining", [], 1, auc=0.74),
        row_of("Retraining", [], 2, auc=0.72),
        row_of("SISA", [], 1, auc=0.7),
    ]
    found = beside_the_paper(rows, PAPER["ml-100k"])
    assert found[0] == ["Retraining", "0.7300", "0.7428", "+0.0000", "+0.0000"]
    assert found[1] == ["SISA", "0.7000", "0.7035", "-0.0300", "-0.0393"]
