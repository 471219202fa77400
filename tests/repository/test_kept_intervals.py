"""Rows of a comparison that was stopped, judged: known answers."""

import json

import numpy as np

from benchmarks.kept_intervals import kept_scores, table


def row(method, seed, scores, status="done"):
    return {"method": method, "seed": seed, "status": status, "scores": scores}


def test_finished_rows_of_the_first_seed_are_read(tmp_path):
    (tmp_path / "rows").mkdir()
    kept = [row("A", 1, [0.1]), row("A", 2, [0.2]), row("B", 1, [0.3], "failed"), row("Retraining", 1, [0.4])]
    for n, one in enumerate(kept):
        (tmp_path / "rows" / f"{n}.json").write_text(json.dumps(one))
    assert {name: found.tolist() for name, found in kept_scores(tmp_path).items()} == {"A": [0.1], "Retraining": [0.4]}


def test_differences_are_from_the_reference_on_the_same_users():
    labels, users = np.tile([0, 1], 20), np.arange(40)
    perfect, turned = labels / 2 + 0.1, 0.9 - labels / 2
    lines = table(labels, users, {"Retraining": perfect, "same": perfect * 0.5, "turned": turned}, "Retraining")
    assert [line[1] for line in lines] == ["1.0000", "1.0000", "0.0000"]
    assert [line[2] for line in lines] == ["1.000 to 1.000", "1.000 to 1.000", "0.000 to 0.000"]
    assert lines[1][3:] == ["+0.0000", "+0.000 to +0.000"] and lines[2][3:] == ["-1.0000", "-1.000 to -1.000"]
    assert [len(line) for line in table(labels, users, {"rule": perfect}, "Retraining")] == [3]
    other = table(labels, users, {"Retraining": perfect, "turned": turned}, "turned")
    assert other[0][3:] == ["+1.0000", "+1.000 to +1.000"]
