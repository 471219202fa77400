"""Exact and approximate unlearning side by side, on the small dataset."""

import numpy as np
import pytest

from recbole_apa.cli.main import main
from recbole_apa.comparison.context import context_in
from recbole_apa.comparison.forget_task import ForgetRequest
from recbole_apa.comparison.forgetting import ORIGINAL, OTHER_SEED, OUT_MODELS, compare_forgetting
from recbole_apa.comparison.methods.sharded import AdapterMethod
from recbole_apa.comparison.presets import read_preset
from recbole_apa.comparison.registry import ADAPTERS, REFERENCE
from recbole_apa.comparison.row import DONE, FAILED
from recbole_apa.core.properties import properties_folder
from recbole_apa.evaluation.measures.membership import RMIA
from recbole_apa.unlearning.approximate import APPROXIMATE_METHODS
from recbole_apa.unlearning.approximate.methods import LLMEraser
from recbole_apa.unlearning.approximate.unlearner import ApproximateUnlearner


def test_every_kept_experiment_of_forgetting_says_what_it_forgets():
    kept = [p.stem for p in (properties_folder() / "experiments").glob("forget_*.yaml")]
    assert len(kept) == 9
    for name in kept:
        experiment = read_preset(name)
        ForgetRequest(**experiment.forget)
        assert not set(experiment.names) - set(APPROXIMATE_METHODS) - set(ADAPTERS)


@pytest.mark.slow
def test_every_row_is_measured_kept_and_made_once(options, work_folder, tmp_path, monkeypatch):
    asked = ForgetRequest(users_ratio=0.2)
    names = ["GradDiff", "GradDiff:rate_share=0.5", "LLMEraser", "APA(D)"]
    seen = []
    monkeypatch.setattr(RMIA, "__call__", lambda self, s, call=RMIA.__call__: seen.append(s) or call(self, s))
    result = compare_forgetting(names, asked, "board", [], options, folder=tmp_path / "f")
    rows = {row.method: row for row in result.rows}
    assert list(rows) == [ORIGINAL, REFERENCE, OTHER_SEED, *names]
    assert {row.status for row in result.rows} == {DONE}, [row.reason for row in result.rows]
    figures = {name: row.figures for name, row in rows.items()}
    assert figures[ORIGINAL]["local_residual"] == 1.0 and figures[ORIGINAL]["js_divergence"] > 0
    assert figures[REFERENCE]["local_residual"] == figures[REFERENCE]["js_divergence"] == 0.0
    # exact by construction, and measured so: its own shards trained from scratch
    assert figures["APA(D)"]["local_residual"] == figures["APA(D)"]["js_divergence"] == 0.0
    assert rows["GradDiff"].scores != rows["GradDiff:rate_share=0.5"].scores
    assert figures[OTHER_SEED]["local_residual"] > 0 and figures["GradDiff"]["local_residual"] > 0
    assert all(row.figures["unlearn_seconds"] > 0 for name, row in rows.items() if name not in (ORIGINAL, OTHER_SEED))
    assert "unlearn_seconds" not in rows[OTHER_SEED].figures
    assert all(f["peak_memory_bytes"] > 1e7 for name, f in figures.items() if name not in (ORIGINAL, OTHER_SEED))
    assert all(0 <= f["rmia_auc"] <= 1 for f in figures.values())
    assert "GradDiff" in (tmp_path / "f" / "report.html").read_text() and "APA(D)" in result.table
    # every row is compared with the same out-models, which are none of the rows
    assert len(seen) == len(names) + 3 and all(s.without is seen[0].without for s in seen)
    own = [s.after["forget"] for s in seen]
    assert len(seen[0].without) == OUT_MODELS
    assert not any(np.array_equal(out["forget"], scores) for out in seen[0].without for scores in own)
    assert rows["LLMEraser"].settings == {"damping": LLMEraser.damping, "most_retained": 256}
    assert rows["GradDiff:rate_share=0.5"].settings["rate_share"] == 0.5 and not rows[REFERENCE].settings
    kept = (tmp_path / "f" / "table.md").read_text()
    assert f"- LLMEraser: damping {LLMEraser.damping:g}, most_retained 256\n" in kept
    monkeypatch.setattr(AdapterMethod, "fit", None)
    again = compare_forgetting(names, asked, "board", [], options, folder=tmp_path / "f")
    assert [row.figures for row in again.rows] == [row.figures for row in result.rows]


@pytest.mark.slow
def test_a_stream_ends_where_all_at_once_ends_for_exact_methods_alone(options, work_folder, tmp_path):
    def rows(**how):
        asked = ForgetRequest(n_interactions=3, **how)
        made = compare_forgetting(["GradDiff", "APA(D)"], asked, "board", [], options, folder=tmp_path / str(how))
        assert {row.status for row in made.rows} == {DONE}, [row.reason for row in made.rows]
        return {row.method: row for row in made.rows}

    at_once, stream = rows(), rows(one_by_one=True)
    assert stream[REFERENCE].figures["n_requests"] == 3 and at_once[REFERENCE].figures["n_requests"] == 1
    for name in (REFERENCE, "APA(D)"):
        assert stream[name].scores == at_once[name].scores and stream[name].figures["js_divergence"] == 0.0
    assert stream["GradDiff"].scores != at_once["GradDiff"].scores


@pytest.mark.slow
def test_another_seed_is_trained_on_what_the_request_left(options, work_folder, tmp_path):
    """The same, bit for bit, as training on everything and retraining after the request."""
    with context_in(tmp_path, "board", [], options) as context:
        changes, serving = ADAPTERS[REFERENCE]

        def method():
            return AdapterMethod(context, {REFERENCE: serving}, changes)

        one, other = method(), method()
        one.fit(3)
        one.forget(users=["u3"])
        expected = one.made.model.engine.bank.extract(0)
        other.fit_on(one.made.data, 3)
        found = other.made.model.engine.bank.extract(0)
        other.fit_on(one.made.data, 4)
        third = other.made.model.engine.bank.extract(0)
    assert all(np.array_equal(a, b) for n in expected for a, b in zip(expected[n], found[n], strict=True))
    assert not all(np.array_equal(expected[n][1], third[n][1]) for n in expected)


@pytest.mark.slow
def test_a_method_that_fails_leaves_its_reason(options, work_folder, tmp_path, monkeypatch):
    def broken(self, method):
        raise ValueError("no such thing")

    monkeypatch.setattr(ApproximateUnlearner, "forget", broken)
    result = compare_forgetting(["NPO"], ForgetRequest(ratio=0.1), "board", [], options, folder=tmp_path / "f")
    assert result.rows[-1].status == FAILED and "no such thing" in result.table


def test_the_command_line_says_what_it_expects(capsys):
    asked = ["--model=APA", "--dataset=board", "--compare=NPO"]
    assert main([*asked, "--forget_ratio=lots"]) == 2
    assert "expected a share" in capsys.readouterr().err
    assert main([*asked, "--forget_n_users=some"]) == 2
    assert "expected a number" in capsys.readouterr().err
    assert main([*asked, "--forget_ratio=0.1", "--slices"]) == 2
    assert "--slices does not go with a comparison of forgetting" in capsys.readouterr().err
    assert main([*asked[:2], "--forget_ratio=0.1"]) == 2
    assert "expected together with --compare" in capsys.readouterr().err
