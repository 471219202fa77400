"""RecBole models among the evidence of a run: trained on the training period alone, and again on every request."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recbole_apa import add, audit, evaluate_run, predict_pairs, run, unlearn, verify
from recbole_apa.collaborative import ItemCodes
from recbole_apa.core.errors import RunError, SettingsError
from recbole_apa.core.files.whole import read_json
from recbole_apa.data.baseline_rows import baseline_rows
from recbole_apa.pipeline import evidence_models
from recbole_apa.pipeline.config import APAConfig
from recbole_apa.pipeline.evidence_models import evidence_models_of, train_model
from recbole_apa.pipeline.idle_options import idle_options
from recbole_apa.pipeline.manifest_options import options_of
from recbole_apa.runs.collaborative_files import load_collaborative, save_collaborative_scores
from recbole_apa.runs.names import COLLABORATIVE_SCORES, COMBINATION
from recbole_apa.runs.store import RunStore
from tests.helpers.runs import copy_run, lasting

GIVEN = {"evidence": ["counts", "FM"], "variants": "chosen", "baselines": [], "epochs": 1}


@pytest.fixture(scope="module")
def made(options, work_folder, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(work_folder)
        folder = tmp_path_factory.mktemp("models") / "run"
        return run("APA", "board", config_dict={**options, **GIVEN}, run_dir=folder)


def fitted_of(folder):
    store = RunStore(folder)
    return load_collaborative(store, ItemCodes(store.open_index().items.names))


def test_it_is_a_term_of_both_fits_and_is_kept_as_scores_alone(made, work_folder):
    fitted = fitted_of(made.run_dir)
    assert fitted.models == ("FM",) and fitted.combination.terms[-1] == "FM"
    assert set(fitted.scores) == {"valid", "test", "valid.FM", "test.FM"}
    assert len(np.unique(fitted.scores["test.FM"])) > 5
    for name in ("evidence.alone", "evidence.with_model"):
        assert made.metrics[f"{name}.coefficients.FM"] != 0
    files = {path.name for path in Path(made.run_dir).rglob("*") if path.is_file()}
    assert not any("FM" in name or name.endswith(".pth") for name in files)
    assert not list(work_folder.rglob("*FM*.pth")) and not list(work_folder.rglob("presplit*"))
    assert verify(made.run_dir).holds and audit(made.run_dir).findings == []
