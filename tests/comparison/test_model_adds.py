"""What the language model adds to evidence, below the table of a comparison."""

import numpy as np
import pytest

from recbole_apa.cli.fields import compare_fields
from recbole_apa.comparison.report.judging import Judging
from recbole_apa.comparison.report.model_adds import model_adds
from recbole_apa.comparison.report.table import write_comparison
from recbole_apa.comparison.row import DONE, FAILED, Row
from recbole_apa.evaluation.evidence_figures import added_figures
from recbole_apa.evaluation.metrics import auc, mean_log_loss
from recbole_apa.evaluation.scored_split import ScoredSplit
from tests.helpers.compared import COSTS

BOTH = "APA(D)+Evidence"
USERS = np.repeat(np.arange(40), 10)
LABELS = np.random.default_rng(0).integers(0, 2, len(USERS))


def row_of(name, strength, seed, labels=LABELS):
    """A row whose scores say so much of the labels."""
    noise = np.random.default_rng(seed + round(100 * strength)).normal(size=len(labels))
    scores = 1 / (1 + np.exp(-(strength * (2 * labels - 1) + noise)))
    quality = {"auc": auc(labels, scores), "logloss": mean_log_loss(labels, scores)}
    costs = dict.fromkeys((*COSTS, "forward_passes", "peak_memory_bytes", "n_parameters"), 1.0)
    return Row(name, seed, DONE, "", {**costs, **quality}, scores.tolist())


def judging_of(by_users=True, labels=LABELS, **more):
    n = len(labels)
    samples = {"label": labels.tolist(), "user": USERS[:n].tolist(), "n_history": [1] * n, **more}
    samples |= {"n_train_samples_of_user": [0] * n, "n_train_rows_of_item": [1] * n}
    return Judging(dict.fromkeys((1, 2), samples), by_users)


@pytest.fixture(scope="module")
def rows():
    strengths = (("Retraining", 0.3), (BOTH, 0.8), ("Evidence", 1.0), ("Evidence-shown", 0.9))
    return [row_of(name, strength, seed) for seed in (1, 2) for name, strength in strengths]


def test_of_one_seed_it_is_what_a_run_says(rows):
    some = [row for row in rows if row.seed == 1]
    names = {BOTH: "evidence.with_model", "Evidence": "evidence.alone"}
    scores = {names[row.method]: np.array(row.scores) for row in some if row.method in names}
    expected = added_figures(ScoredSplit(LABELS, scores, np.zeros((len(LABELS), 1)), USERS), 0)
    for by_users, by in ((True, "_users"), (False, "")):
        (found,) = model_adds(some, judging_of(by_users))
        assert (found.method, found.without, found.seeds) == (BOTH, "Evidence", [1])
        keys = ("auc", f"auc{by}_low", f"auc{by}_high", "logloss", f"logloss{by}_low", f"logloss{by}_high")
        assert found.figures == {key: pytest.approx(expected[f"evidence.model_adds.{key}"]) for key in keys}


def test_seeds_are_averaged_and_only_those_that_both_rows_have(rows):
    (found,) = model_adds(rows, judging_of())
    each = [model_adds([row for row in rows if row.seed == seed], judging_of())[0] for seed in (1, 2)]
    assert found.seeds == [1, 2]
    assert found.figures["auc"] == pytest.approx(np.mean([one.figures["auc"] for one in each]))
    assert found.figures["auc_users_low"] < found.figures["auc"] < found.figures["auc_users_high"]
    failed = [Row(BOTH, 2, FAILED, "why") if (row.method, row.seed) == (BOTH, 2) else row for row in rows]
    (found,) = model_adds(failed, judging_of())
    assert found.seeds == [1] and found.figures == each[0].figures


def test_the_line_stands_below_the_table_everywhere(rows, tmp_path):
    text = write_comparison(tmp_path, rows, judging_of(), slices=False)
    (found,) = model_adds(rows, judging_of())
    low, high = found.figures["auc_users_low"], found.figures["auc_users_high"]
    says = f"(APA(D)+Evidence minus Evidence, seeds 1, 2; 95 % intervals, paired): AUC {found.figures['auc']:+.4f}"
    line = f"What the language model adds to evidence {says} ({low:+.4f} to {high:+.4f}), LogLoss +"
    assert line in text and line in (tmp_path / "table.md").read_text()
    assert line.replace("+", "&#43;") in (tmp_path / "report.html").read_text().replace("+", "&#43;")
    (told,) = compare_fields(rows, tmp_path, [], (), [found])["model_adds"]
    assert told == {"method": BOTH, "without": "Evidence", "seeds": [1, 2], "figures": found.figures}


@pytest.mark.parametrize("left_out", [BOTH, "Evidence"])
def test_there_is_none_without_both_rows(rows, left_out, tmp_path):
    some = [row for row in rows if row.method != left_out]
    assert model_adds(some, judging_of()) == []
    assert "language model adds" not in write_comparison(tmp_path, some, judging_of(), slices=False)


def test_test_samples_of_one_label_have_log_loss_alone():
    labels = np.ones(20, dtype=int)
    some = [row_of(name, 1.0, 1, labels) for name in (BOTH, "Evidence")]
    for row in some:
        del row.figures["auc"]
    (found,) = model_adds(some, judging_of(labels=labels))
    assert set(found.figures) == {"logloss", "logloss_users_low", "logloss_users_high"}


def test_ranked_lists_are_compared_by_ndcg():
    judging = judging_of(metrics=["ndcg@2"], n_candidates=3)
    ranks = np.random.default_rng(0).integers(1, 4, len(LABELS)).tolist()
    some = [
        Row(BOTH, 1, DONE, "", {"ndcg@2": 0.5}, [1.0] * len(ranks)),
        Row("Evidence", 1, DONE, "", {"ndcg@2": 0.3}, ranks),
    ]
    (found,) = model_adds(some, judging)
    assert found.figures["ndcg@2"] == pytest.approx(0.2) and found.figures["ndcg@2_users_low"] > 0
    assert "ndcg@2 +0.2000 (+0." in found.line and "logloss" not in found.figures
