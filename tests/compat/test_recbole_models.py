"""`import recbole_apa` is enough for RecBole's own functions: ten of its models on every stack, as they were."""

import json
import subprocess
import sys

import pytest

from tests.helpers.places import ROOT
from tests.helpers.recbole_models import MODELS

# RecBole 1.2.1 as released, Python 3.11, numpy 1.26.4, pandas 2.3.3, scipy 1.12.0, torch 2.13.0:
# PYTHONPATH=. python tests/helpers/recbole_models.py, commit 835ee77 of this package; ItemKNN by the same file without
# this package, `torch.load` told to read RecBole's own checkpoint
FOUND = json.loads((ROOT / "tests" / "data" / "recbole_models.json").read_text())


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "helpers" / "recbole_models.py")],
        capture_output=True,
        text=True,
        cwd=tmp_path_factory.mktemp("models"),
        env=with_package(),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def with_package():
    import os

    return {**os.environ, "PYTHONPATH": str(ROOT)}


def test_there_are_ten():
    assert len(MODELS) == 10 and set(FOUND) == set(MODELS)


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_a_model_gives_the_figures_of_recbole_as_released(figures, model):
    # a figure is rounded to four digits
    assert figures[model] == pytest.approx(FOUND[model], abs=1.01e-4)
