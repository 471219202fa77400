"""Measures of one's own: what they return is checked where it is taken, and their keys and titles are not taken."""

import json
import logging
import re
from html import unescape

import numpy as np
import pytest

from recbole_apa import compare
from recbole_apa.cli.main import main
from recbole_apa.comparison.forget_task import ForgetRequest
from recbole_apa.comparison.forgetting import compare_forgetting
from recbole_apa.comparison.report.forgetting import COSTS as FORGETTING_COSTS
from recbole_apa.comparison.report.table import COSTS
from recbole_apa.comparison.row import DONE
from recbole_apa.core.errors import SettingsError
from recbole_apa.core.files.whole import read_json
from recbole_apa.evaluation.measures import (
    FORGETTING_MEASURES,
    SCORE_MEASURES,
    ForgettingMeasure,
    ScoreMeasure,
    register_measure,
    take,
)
from recbole_apa.evaluation.measures.measure import COLUMNS_OF_TABLES, FIGURES_OF_ROWS
from tests.helpers.places import ROOT


def measure(name, value, base=ScoreMeasure, title=None):
    def call(self, *seen):
        return value() if callable(value) else value

    return type("Mine", (base,), {"name": name, "title": name if title is None else title, "__call__": call})


@pytest.fixture
def registered():
    """Registers measures, and takes them away afterwards."""

    def add(name, value, base=ScoreMeasure):
        register_measure(measure(name, value, base))

    yield add
    for registry in (SCORE_MEASURES, FORGETTING_MEASURES):
        for name in registry.from_outside():
            registry.remove(name)


@pytest.mark.parametrize("number", [3, 0.5, np.float32(0.5), np.float64(0.5), np.int64(3), -1])
def test_any_finite_number_is_a_figure(number):
    taken = take({"mine": measure("mine", number)}, lambda m: m())
    assert taken.figures == {"mine": float(number)} and type(taken.figures["mine"]) is float and not taken.faults


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (float("nan"), "returned nan, expected a finite number, or None"),
        (np.float32("inf"), "returned .*inf.*, expected a finite number"),
        pytest.param(10**400, "returned 1000.*, expected a finite number", id="huge"),
        pytest.param(10**9999, "returned something of type int, expected a finite number", id="huger"),
        ("high", "returned 'high'"),
        (True, "returned True"),
        (np.ones(2), r"returned array"),
        (lambda: 1 / 0, r"failed: ZeroDivisionError: division by zero \(test_own_measures.py, line "),
    ],
)
def test_anything_else_is_a_fault_of_that_measure_alone(value, says, caplog):
    some = {"mine": measure("mine", value), "other": measure("other", 0.25), "none": measure("none", None)}
    with caplog.at_level(logging.WARNING):
        taken = take(some, lambda m: m())
    assert taken.figures == {"other": 0.25} and len(taken.faults) == 1
    assert re.search(f"measure 'mine' {says}", taken.faults[0]) and taken.faults[0] in caplog.text


@pytest.mark.slow
def test_a_comparison_keeps_the_row_and_says_which_measure_failed(registered, options, tmp_path, capsys):
    registered("bad_nan", float("nan"))
    registered("bad_raise", lambda: 1 / 0)
    registered("fine", 3)
    found = compare(["ItemMean"], "board", [], options, folder=tmp_path / "compared")
    row = next(r for r in found.rows if r.method == "ItemMean")
    assert row.status == DONE and row.figures["fine"] == 3.0 and not {"bad_nan", "bad_raise"} & set(row.figures)
    table = (tmp_path / "compared" / "table.md").read_text().splitlines()
    head, line = ([c.strip() for c in cells.split("|")] for cells in (table[0], next(t for t in table if "Item" in t)))
    cells = dict(zip(head, line, strict=True))
    assert cells["bad_nan"] == cells["bad_raise"] == "-" and cells["AUC"] != "-"
    assert "fault: ItemMean, seed 1: measure 'bad_nan' returned nan" in found.table
    assert "measure 'bad_raise' failed: ZeroDivisionError" in unescape(
        (tmp_path / "compared" / "report.html").read_text()
    )
    # what was measured is kept, so the fault is shown again, and the status says it
    words = [f"--{k}={json.dumps(v) if isinstance(v, (dict, list)) else v}" for k, v in options.items()]
    words += ["--model=APA", "--dataset=board", "--compare=ItemMean", f"--compare_dir={tmp_path / 'compared'}"]
    assert main(words) == 1 and "fault: ItemMean, seed 1: measure 'bad_nan'" in capsys.readouterr().out
    kept = [read_json(path) for path in (tmp_path / "compared" / "rows").glob("*.json")]
    assert all(len(k["faults"]) == 2 for k in kept)


@pytest.mark.slow
def test_a_forgetting_comparison_does_so_too(registered, options, tmp_path):
    registered("bad_inf", float("inf"), ForgettingMeasure)
    found = compare_forgetting(["GradAscent"], ForgetRequest(n_users=1), "board", [], options, folder=tmp_path / "f")
    assert {row.status for row in found.rows} == {DONE} and len(found.problems) == len(found.rows)
    assert "fault: GradAscent, seed 1: measure 'bad_inf' returned inf" in found.table


@pytest.mark.slow
def test_a_comparison_with_a_failed_row_ends_with_status_1_and_without_one_with_0(options, tmp_path, capsys):
    words = [f"--{k}={json.dumps(v) if isinstance(v, (dict, list)) else v}" for k, v in options.items()]
    words += ["--model=APA", "--dataset=board", f"--compare_dir={tmp_path / 'compared'}"]
    assert main([*words, "--compare=ItemMean"]) == 0
    assert not any("faults" in read_json(path) for path in (tmp_path / "compared" / "rows").glob("*.json"))
    assert main([*words, "--compare=ItemMean,BPR", "--baseline_options={BPR: {learning_rate: .inf}}"]) == 1
    assert "failed: BPR, seed 1" in capsys.readouterr().out


@pytest.mark.parametrize("base", [ScoreMeasure, ForgettingMeasure])
def test_keys_and_titles_that_rows_already_have_are_refused(base):
    before = dict(SCORE_MEASURES), dict(FORGETTING_MEASURES)
    for name in sorted(FIGURES_OF_ROWS):
        with pytest.raises(SettingsError, match=f"found name = '{name}', which every row has already"):
            register_measure(measure(name, 0.5, base, "mine"))
    own = "AUC" if base is ScoreMeasure else "local residual"
    for title in (*COLUMNS_OF_TABLES, own):
        with pytest.raises(SettingsError, match="which another column has"):
            register_measure(measure("mine", 0.5, base, title))
    assert before == (dict(SCORE_MEASURES), dict(FORGETTING_MEASURES))


def test_the_lists_of_what_rows_have_are_whole(context_rows):
    assert {*COSTS, *FORGETTING_COSTS} <= COLUMNS_OF_TABLES
    for figures, registry in context_rows:
        assert set(figures) - set(registry) <= FIGURES_OF_ROWS
    assert all(not FIGURES_OF_ROWS & set(registry) for registry in (SCORE_MEASURES, FORGETTING_MEASURES))


@pytest.fixture
def context_rows():
    """Figures of rows of both comparisons as they are kept in the repository, each with its measures."""
    of = {"table1-movie": SCORE_MEASURES, "forget-users": FORGETTING_MEASURES}
    return [
        (read_json(path)["figures"], registry)
        for name, registry in of.items()
        for path in sorted((ROOT / "benchmarks" / "results" / name / "rows").glob("*.json"))
    ]
