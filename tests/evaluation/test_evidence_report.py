"""The table and the sentences of a run with evidence, made of scores alone."""

import numpy as np
import pytest

from recbole_apa.collaborative import ALONE, BOTH, MODEL
from recbole_apa.core.files.whole import write_json
from recbole_apa.evaluation.evidence_figures import added_figures
from recbole_apa.evaluation.evidence_slices import slice_figures, slice_masks
from recbole_apa.evaluation.metrics import auc, mean_log_loss
from recbole_apa.evaluation.report.evidence_lines import evidence_lines
from recbole_apa.evaluation.report.run_page import write_report
from recbole_apa.evaluation.report.run_table import HEADERS, SERVED, table_rows, text_table, validation_note
from recbole_apa.evaluation.scored_split import ScoredSplit, split_figures

N_USERS, N_EACH = 60, 10


@pytest.fixture(scope="module")
def scored():
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(N_USERS), N_EACH)
    labels = rng.integers(0, 2, len(users))

    def noisy(strength):
        return 1 / (1 + np.exp(-(strength * (2 * labels - 1) + rng.normal(size=len(users)))))

    names = ("aggregated.decomposition", "evidence.alone", "evidence.with_model", "baselines.FM")
    scores = dict(zip(names, map(noisy, (0.3, 1.0, 1.5, 0.6)), strict=True))
    scores["rules.HistoryLikeRate"] = rng.random(len(users))
    return ScoredSplit(labels, scores, np.zeros((len(users), 1)), users)


@pytest.fixture(scope="module")
def figures(scored):
    n = len(scored.labels)
    masks = slice_masks(np.arange(n), np.full(n, 20), np.where(np.arange(n) < 300, 9, 10))
    out = split_figures("valid", scored, 1) | split_figures("test", scored, 1)
    out |= added_figures(scored, 1) | slice_figures(scored, masks, 1)
    out |= {f"evidence.served.{name}": float(name == BOTH) for name in (MODEL, ALONE, BOTH)}
    out |= {f"evidence.log_loss.{name}": value for name, value in ((MODEL, 0.61), (ALONE, 0.52), (BOTH, 0.51))}
    return out | {"evidence.with_model.coefficients.item_mean": 0.61, "evidence.with_model.coefficients.model": 0.1}


def test_rows_stand_beside_each_other_and_the_served_one_is_marked(figures):
    rows = table_rows(figures, "decomposition")
    titles = [row[0] for row in rows]
    assert [title.removesuffix(SERVED) for title in titles] == [
        "APA(D)   merged factors",
        "evidence alone (no language model)",
        "APA + evidence",
        "FM, all training rows",
        "HistoryLikeRate",
    ]
    assert [title for title in titles if title.endswith(SERVED)] == ["APA + evidence" + SERVED]
    for served, title in ((MODEL, "APA(D)   merged factors"), (ALONE, "evidence alone (no language model)")):
        other = {**figures, "evidence.served.model+evidence": 0.0, f"evidence.served.{served}": 1.0}
        assert text_table(other, "decomposition").count(SERVED) == 1
        assert title + SERVED in text_table(other, "decomposition")
    plain = {name: value for name, value in figures.items() if not name.startswith("evidence.served")}
    assert SERVED not in text_table(plain, "decomposition")
    assert all(cell != "-" for row in rows for cell in dict(zip(HEADERS, row, strict=True)).values())


def test_slices_are_cut_where_the_numbers_say_and_have_their_own_figures(scored, figures):
    masks = slice_masks(np.array([19, 20]), np.array([20, 0]), np.array([10, 9]))
    assert {name: mask.tolist() for name, mask in masks.items()} == {
        "rare_items": [True, False],
        "cold_users": [False, True],
        "short_pasts": [False, True],
    }
    key = "evidence.slices.short_pasts"
    part = slice(300)
    labels, both, alone = (
        v[part] for v in (scored.labels, scored.scores["evidence.with_model"], scored.scores["evidence.alone"])
    )
    assert figures[f"{key}.n_samples"] == 300 and figures[f"{key}.n_users"] == 30
    assert figures[f"{key}.with_model.auc"] == auc(labels, both)
    assert figures[f"{key}.model_adds.auc"] == pytest.approx(auc(labels, both) - auc(labels, alone))
    expected = mean_log_loss(labels, both) - mean_log_loss(labels, alone)
    assert figures[f"{key}.model_adds.logloss"] == pytest.approx(expected)
    assert figures[f"{key}.model_adds.auc_users_low"] < figures[f"{key}.model_adds.auc"]
    assert figures["evidence.slices.cold_users.n_samples"] == 0
    assert "evidence.slices.cold_users.model_adds.logloss" not in figures
    assert slice_figures(ScoredSplit(labels, {}, scored.weights[part], scored.users[part]), masks, 1) == {}


def test_sentences_say_what_is_served_why_and_what_the_model_adds(figures):
    choice, added, rare, cold, short, terms = evidence_lines(figures)
    assert choice.startswith("Served is APA + evidence: least LogLoss") and "evidence alone 0.5200" in choice
    low, high = (figures[f"evidence.model_adds.auc_users_{end}"] for end in ("low", "high"))
    assert f"AUC {figures['evidence.model_adds.auc']:+.4f} ({low:+.4f} to {high:+.4f})" in added
    assert "LogLoss -" in added
    assert "fewer than 20 training rows: 20 samples of 2 users, AUC" in rare
    assert " to " not in rare and "(-" not in rare, "an interval over two users says nothing"
    assert cold == "- users with fewer than 20: 0 samples"
    assert "fewer than 10 rows before the target: 300 samples of 30 users" in short and " to " in short
    assert terms.endswith("item_mean +0.61, APA +0.10.")
    assert evidence_lines({"test.n_samples": 3.0}) == []
    only = evidence_lines({"evidence.served.model": 1.0})
    assert only == ["Served is APA."]


def test_coefficients_on_few_samples_are_said_to_be(figures):
    assert "coefficients" not in evidence_lines(figures)[0]
    few = evidence_lines({**figures, "valid.n_samples": 29})[0]
    assert "3 coefficients are fitted on 29 validation samples, fewer than 10 each" in few
    assert "coefficients" not in evidence_lines({**figures, "valid.n_samples": 30})[0]


def test_where_terms_are_fitted_on_further_rows_the_samples_join_the_model_alone(figures):
    """It said that eight coefficients were fitted on the validation samples."""
    terms = {f"evidence.with_model.coefficients.term {n}": 0.1 for n in range(7)}
    given = {**figures, **terms, "valid.n_samples": 31}
    assert "coefficients are fitted on 31 validation samples" in evidence_lines(given)[0]
    assert "coefficients" not in evidence_lines({**given, "evidence.stacked": 1.0})[0]
    few = evidence_lines({**given, "evidence.stacked": 1.0, "valid.n_samples": 29})[0]
    assert "3 coefficients are fitted on 29 validation samples" in few


def test_the_table_has_no_line_for_what_was_not_tested(figures):
    beside = {"valid.adapters.000.auc": 0.7, "valid.adapters.000.logloss": 0.6}
    assert text_table({**figures, **beside}) == text_table(figures)
    tested = {name.replace("valid", "test"): value for name, value in beside.items()}
    assert "adapter 000 alone" in text_table({**figures, **beside, **tested})
    assert "adapter 000 alone" in text_table(beside), "without test samples all lines are of validation alone"


def test_validation_columns_say_how_they_differ(figures):
    assert "epochs on rows that these are among; evidence has the scores of fits without" in validation_note(figures)
    assert validation_note({"valid.aggregated.decomposition.logloss": 0.5, "valid.rules.ItemMean.logloss": 0.6}) == ""


def test_the_page_has_the_sentences(figures, tmp_path):
    write_json(tmp_path / "metrics.json", figures)
    write_json(tmp_path / "manifest.json", {"settings": {"aggregation": "decomposition"}})
    page = write_report(tmp_path).read_text()
    assert "Evidence and the language model" in page and "What the language model adds" in page
    write_json(tmp_path / "metrics.json", {"test.n_samples": 0.0})
    assert "Evidence and the language model" not in write_report(tmp_path).read_text()
