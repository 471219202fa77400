"""Runs with and without slices on the same rows, judged: known answers."""

import json

import pytest

from benchmarks.slices_quality import figures_of, kept_pairs, lines_of, refuse_others

LABELS = [0, 1] * 40


def record(scores, samples="s", users=None):
    """Rows of 40 users, one of each label for each."""
    return {
        "samples": [f"{samples}{n}" for n in range(80)],
        "users": users or [f"u{n // 2}" for n in range(80)],
        "labels": LABELS,
        "served": "evidence",
        "scores": {"model": scores, "evidence": [0.5] * 80, "model+evidence": scores},
    }


def test_differences_are_those_of_the_same_rows_and_the_mean_over_draws():
    right, wrong = record([float(label) for label in LABELS]), record([1.0 - label for label in LABELS])
    pairs = {1: {"before": right, "slices": wrong}, 2: {"before": right, "slices": right}}
    lines = lines_of(pairs)
    assert [line[:3] for line in lines[:3]] == [
        ["1", "model", "80"],
        ["2", "model", "80"],
        ["all draws", "model", "160"],
    ]
    assert [line[5] for line in lines[:3]] == [
        "-1.0000 (-1.0000 to -1.0000)",
        "+0.0000 (+0.0000 to +0.0000)",
        "-0.5000 (-0.5000 to -0.5000)",
    ]
    constant = [line[5] for line in lines if line[1] in ("evidence", "served")]
    assert constant == ["+0.0000 (+0.0000 to +0.0000)"] * 6


def test_what_is_served_is_what_each_run_says():
    right, wrong = record([float(label) for label in LABELS]), record([1.0 - label for label in LABELS])
    pairs = {1: {"before": right, "slices": {**wrong, "served": "model"}}}
    found = {(line[0], line[1]): line[3:] for line in figures_of(pairs)}
    assert found["before", "model"][0] == "1.0000" and found["slices", "model"][0] == "0.0000"
    assert found["before", "served"] == ["0.5000", "0.6931", "nan"]  # 40 users with both labels are fewer than 50
    assert found["slices", "served"] == found["slices", "model"]


def test_a_training_with_other_options_is_not_counted(tmp_path):
    path = tmp_path / "1-before.json"
    path.write_text(json.dumps({"options": {"test_samples": 2000}}))
    refuse_others(path, {"test_samples": 2000})
    with pytest.raises(SystemExit, match=r"1-before\.json is of .*2000.*expected .*None.*another --folder"):
        refuse_others(path, {"test_samples": None})


def test_draws_with_other_users_are_resampled_together():
    one = {"before": record([0.5] * 80), "slices": record([float(label) for label in LABELS])}
    others = [f"v{n // 2}" for n in range(80)]
    two = {
        "before": record([0.5] * 80, users=others),
        "slices": record([float(label) for label in LABELS], users=others),
    }
    assert lines_of({1: one, 2: two})[2][5] == "+0.5000 (+0.5000 to +0.5000)"


def test_runs_that_were_scored_on_different_rows_are_refused():
    with pytest.raises(ValueError, match="draw 3: the two runs were scored on different rows"):
        lines_of({3: {"before": record([0.5] * 80), "slices": record([0.5] * 80, samples="t")}})


def test_only_complete_draws_are_read(tmp_path):
    for name in ("1-before", "1-slices", "2-before"):
        (tmp_path / f"{name}.json").write_text(json.dumps({"name": name}))
    assert kept_pairs(tmp_path) == {1: {"before": {"name": "1-before"}, "slices": {"name": "1-slices"}}}
