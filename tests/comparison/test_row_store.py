"""Rows as a comparison's folder keeps them, and which of them are found again."""

import json
from dataclasses import replace

import numpy as np
import pytest

from recbole_apa.comparison.context import open_context
from recbole_apa.comparison.measured import measure
from recbole_apa.comparison.method import FitFigures, Scored, UnlearnFigures
from recbole_apa.comparison.presets import read_preset
from recbole_apa.comparison.registry import row_names
from recbole_apa.comparison.report.criterion import ByLabel
from recbole_apa.comparison.row import DONE, FAILED, Row, RowStore
from recbole_apa.comparison.run_methods import _found, _key
from recbole_apa.evaluation.metrics import auc
from tests.helpers.places import ROOT


def test_small_scores_are_kept_as_they_were_judged(options, work_folder, tmp_path):
    """Differences in the eighth place: a column from the scores and a slice from what is kept agree."""

    class Tiny:
        rows = ("Tiny",)

        def fit(self, seed):
            return FitFigures(0.0, 0, 1, 0)

        def score(self, row):
            found = 1e-8 * np.random.default_rng(0).normal(size=len(context.splits["test"]))
            return Scored(found, False, 1, 0.0, all_scores=found)

        def unlearn(self):
            return UnlearnFigures(0.0, 0)

    context = open_context("board", [], options, tmp_path / "open")
    (row,) = measure(context, Tiny(), ["Tiny"], 1)
    labels, scores = context.labels("test"), Tiny().score("Tiny").scores
    assert row.scores == row.all_scores == scores.tolist()
    store = RowStore(tmp_path)
    store.save(row, "key")
    kept = np.array(store.find("Tiny", 1, "key").scores)
    assert auc(labels, kept) == row.figures["auc"] == ByLabel(labels).value(kept, np.ones(len(labels), bool)) != 0.5
    # a row of before, whose scores were rounded, is measured again; another is not
    assert _found(context, row) is row
    assert _found(context, replace(row, scores=[round(s, 6) for s in row.scores])) is None
    further = [round(0.1234567 * s, 6) for s in (1, 2, 3)]  # of all test rows, where the drawn ones show nothing
    assert _found(context, replace(row, all_scores=further)) is None
    assert _found(context, replace(row, all_scores=[0.5, 0.25, 1.0])) is not None


@pytest.mark.slow
def test_rows_kept_in_the_repository_are_found(tmp_path):
    """An option that is new must not make them look like rows of something else, and none is measured again."""
    kept = ROOT / "benchmarks" / "results" / "table1-movie"
    context = open_context("ml-100k", (), dict(read_preset("table1").options), tmp_path)
    for name in row_names(read_preset("table1").names):
        for seed in (2020, 2021, 2022):
            found = RowStore(kept).find(name, seed, _key(context, name, {}))
            assert found and _found(context, found), (name, seed)


def test_a_failed_row_is_tried_again(tmp_path):
    store = RowStore(tmp_path)
    store.save(Row("SISA", 1, FAILED, "no space"), "k")
    assert store.find("SISA", 1, "k") is None
    store.save(Row("SISA", 1, DONE, "", {"auc": 0.5}), "k")
    assert store.find("SISA", 1, "k").figures == {"auc": 0.5}
    assert store.find("SISA", 1, "other") is None
    json.loads(store.path("SISA", 1, "k").read_text())
