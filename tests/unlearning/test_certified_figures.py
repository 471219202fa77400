"""The figures of a certificate are of what is served, by name."""

import math

from recbole_apa.unlearning.certified_figures import figures_on_test, forgotten_figures

BEFORE = {
    "test.aggregated.decomposition.auc": 0.71234,
    "test.aggregated.decomposition.logloss": 0.6,
    "test.evidence.alone.auc": 0.8,
    "test.evidence.alone.logloss": 0.5,
    "test.evidence.with_model.auc": 0.81,
}
ALONE, BOTH = {"evidence.served.evidence": 1.0}, {"evidence.served.model+evidence": 1.0}


def test_without_evidence_the_aggregation_is_all_there_is():
    after = {**BEFORE, "test.aggregated.decomposition.auc": math.nan}
    assert figures_on_test(BEFORE, after, "decomposition") == {
        "test AUC": {"before": 0.7123, "after": None},
        "test LogLoss": {"before": 0.6, "after": 0.6},
    }


def test_what_is_served_stands_first_by_name():
    after = {**BEFORE, **ALONE, "test.evidence.alone.auc": 0.79}
    found = figures_on_test({**BEFORE, **ALONE}, after, "decomposition")
    assert found == {
        "test AUC, served (evidence alone (no language model))": {"before": 0.8, "after": 0.79},
        "test LogLoss, served (evidence alone (no language model))": {"before": 0.5, "after": 0.5},
        "test AUC, APA(D) merged factors": {"before": 0.7123, "after": 0.7123},
        "test LogLoss, APA(D) merged factors": {"before": 0.6, "after": 0.6},
    }
    assert next(iter(found)).startswith("test AUC, served")


def test_a_request_may_change_what_is_served():
    found = figures_on_test({**BEFORE, **ALONE}, {**BEFORE, **BOTH}, "decomposition")
    title = "served (before: evidence alone (no language model); after: APA + evidence)"
    assert found[f"test AUC, {title}"] == {"before": 0.8, "after": 0.81}
    assert found[f"test LogLoss, {title}"] == {"before": 0.5, "after": None}


def test_forgotten_samples_are_counted():
    assert forgotten_figures({"auc": 0.5}, {"auc": 0.4, "logloss": 0.7}, 9) == {
        "AUC on 9 forgotten training samples": {"before": 0.5, "after": 0.4},
        "LogLoss on 9 forgotten training samples": {"before": None, "after": 0.7},
    }


def test_a_state_without_figures_does_not_say_what_it_served():
    """After a request at once there are none: the language model was named, where evidence had been served."""
    found = figures_on_test({}, {**BEFORE, **ALONE}, "decomposition")
    assert found["test AUC, served (evidence alone (no language model))"] == {"before": None, "after": 0.8}
    assert not any("before:" in title for title in found)
    (title, *_) = figures_on_test(BEFORE, {**BEFORE, **ALONE}, "decomposition")
    assert "before: APA(D)" in title, "figures of before there were combinations"
