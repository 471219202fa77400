"""What a row says of the labels that it learnt from, of users that it never saw, and of its parameters."""

from dataclasses import replace

import numpy as np
import pytest

from recbole_apa.comparison.older_rows import with_labels
from recbole_apa.comparison.registry import make_methods
from recbole_apa.comparison.report.criterion import ByLabel
from recbole_apa.comparison.report.table import comparison_rows, headers
from recbole_apa.comparison.row import DONE, FAILED, Row
from tests.helpers.compared import FEW, PAPER, lines_of, row_of


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    ("name", "part"), [("FM", "train"), ("BPR", "train_likes"), ("SASRec", "train_sequences"), ("Pop", "train_likes")]
)
def test_a_models_labels_are_the_rows_of_its_file(name, part, opened):
    for block in ("all", "drawn"):
        context = opened(block, min_history=1)
        (method,) = make_methods(context, [name], FEW)
        assert method.fit(1).n_labels == len(lines_of(context.presplit(), part)) > 0
    assert all(line[3] for line in lines_of(opened().presplit(), "train_sequences"))
    assert not all(line[3] for line in lines_of(opened().presplit(), "train_likes"))  # first rows have no history


@pytest.mark.slow
@pytest.mark.parametrize("supervise", ["all", "target"])
def test_labels_of_adapters_are_targets_and_supervised_lines(supervise, opened):
    context = opened(supervise=supervise, epochs=1)
    (method,) = make_methods(context, ["APA(D)"])
    samples = context.splits["train"]
    learnt = {s.sample_id for s in samples}
    if supervise == "all":
        learnt |= {entry.interaction_id for s in samples for entry in s.history}
    assert method.count_labels("APA(D)") == method.fit(1).n_labels == len(learnt)
    short = opened(supervise=supervise, epochs=1, max_prompt_tokens=60)
    (method,) = make_methods(short, ["APA(D)"])
    n_cut = method.fit(1).n_labels
    assert method.count_labels("APA(D)") == n_cut
    assert method.made.trainer.record.n_cut_lines > 0
    assert n_cut < len(learnt) if supervise == "all" else n_cut == len(learnt)


def test_rows_of_older_versions_have_labels_where_samples_alone_say_how_many(opened):
    context = opened(supervise="all")
    learnt = {id for s in context.splits["train"] for id in (s.sample_id, *(e.interaction_id for e in s.history))}
    names = ["APA(D)", "APA(D)+Evidence", "Retraining", "SISA", "APA:supervise=target", "ItemMean", "FM"]
    of_row = {row: method for method in make_methods(context, names, FEW) for row in method.rows}
    old = Row("", 1, DONE, "", {"auc": 0.5}, [0.5])
    found = {name: with_labels(of_row[name], replace(old, method=name)).figures.get("n_labels") for name in names}
    assert found == {
        **dict.fromkeys(("APA(D)", "Retraining", "SISA"), len(learnt)),
        "APA:supervise=target": len(context.splits["train"]),
        "ItemMean": len(context.train_rows),
        **dict.fromkeys(("APA(D)+Evidence", "FM")),
    }
    assert len(context.splits["train"]) < len(learnt) and len(context.n_labels) == 2  # one count for three rows
    known, failed = replace(old, figures={"n_labels": 3}), Row("APA(D)", 1, FAILED, "why")
    assert with_labels(of_row["APA(D)"], known) is known and with_labels(of_row["APA(D)"], failed) is failed
    lost = opened(backbone=str(context.folder / "nowhere"))
    (method,) = make_methods(lost, ["APA(D)"])
    row = replace(old, method="APA(D)")
    assert with_labels(method, row) is row


def test_labels_of_rules_are_the_rows_that_they_count(opened):
    context = opened()
    found = {m.rows[0]: m.fit(1).n_labels for m in make_methods(context, ["HistoryLikeRate", "ItemMean"])}
    assert found == {"HistoryLikeRate": 0, "ItemMean": len(context.train_rows)}


@pytest.mark.quick(1)
@pytest.mark.parametrize("name", ["FM", "BPR", "SASRec", "Pop"])
def test_rows_of_models_that_need_the_users_id_say_how_many_are_unseen(name, opened):
    for block, changes in (("all", PAPER), ("all", {}), ("drawn", {"train_samples": 5})):
        context = opened(block, **changes)
        (method,) = make_methods(context, [name], FEW)
        method.fit(1)
        learnt = {line[0] for line in lines_of(context.presplit(), "train" if name == "FM" else "train_likes")}
        n = sum(s.user_id not in learnt for s in context.splits["test"])
        assert n == 6 if changes == PAPER else n == 0 if not changes else 0 < n <= 12
        assert method.score(name).n_users_unseen == (n if name in ("FM", "BPR") else None)


@pytest.mark.parametrize(
    ("name", "has"), [("FM", True), ("BPR", True), ("EASE", False), ("ItemKNN", False), ("Pop", False)]
)
def test_a_dummy_is_no_parameter(name, has, opened):
    (method,) = make_methods(opened(), [name], FEW)
    n = method.fit(1).n_parameters
    assert n > 100 if has else n is None


def test_the_table_says_labels_and_unseen_users():
    judged, scores = ByLabel(np.array([1, 0, 1, 0])), [0.9, 0.1, 0.2, 0.8]
    rows = [
        row_of("Retraining", scores, auc=0.5, n_labels=10910),
        row_of("FM", scores, auc=0.5, n_labels=80808, n_users_unseen=3),
        row_of("Old", scores, auc=0.5),
    ]
    table = {line[0]: dict(zip(headers(judged), line, strict=True)) for line in comparison_rows(rows, judged)}
    assert [table[name]["labels"] for name in ("Retraining", "FM", "Old")] == ["10,910", "80,808", "-"]
    assert [table[name]["user unseen"] for name in ("Retraining", "FM", "Old")] == ["", "3 of 4", ""]
