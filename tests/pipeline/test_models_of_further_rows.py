"""RecBole models among the evidence of a run that is fitted on further rows: these have the models' terms as well."""

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from recbole_apa import APAConfig, audit, catch_up, evaluate_run, run, unlearn, verify
from recbole_apa.core.errors import RunError
from recbole_apa.pipeline.evidence_models import train_model
from recbole_apa.runs.names import COLLABORATIVE_SCORES
from recbole_apa.runs.store import RunStore
from tests.helpers.evidence_runs import FEW, fitted_of
from tests.helpers.runs import copy_run

GIVEN = {**FEW, "evidence": ["counts", "FM"], "baselines": [], "epochs": 1}


@pytest.fixture(scope="module")
def made(options, work_folder, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(work_folder)
        return run("APA", "board", config_dict={**options, **GIVEN}, run_dir=tmp_path_factory.mktemp("both") / "run")


@pytest.mark.slow
def test_each_further_row_has_the_models_term_in_order_of_its_id(made):
    data, fitted = made.data.train_set.run_data, fitted_of(made.run_dir)
    rows = data.evidence_rows
    assert fitted.combination.is_stacked and fitted.n_further == len(rows) > 6
    ids = data.rows.row_ids(rows)
    rows = rows[sorted(range(len(rows)), key=ids.__getitem__)]
    model = train_model(made.config, "FM", data)
    expected = model.terms(data.rows.users.texts(rows), data.rows.items.texts(rows))
    assert fitted.scores["evidence.FM"].tobytes() == expected.tobytes() and len(np.unique(expected)) > 5
    assert fitted.combination.terms[-1] == "FM" and fitted.combination.alone.coefficients[-1] != 0
    assert verify(made.run_dir).holds and audit(made.run_dir).findings == []


@pytest.mark.slow
def test_a_request_takes_the_users_rows_out_and_trains_the_model_again(made, tmp_path):
    data, folder = made.data.train_set.run_data, copy_run(made, tmp_path / "run")
    users = data.rows.users.texts(data.evidence_rows)
    unlearn(folder, users=[users[0]])
    left = fitted_of(folder)
    assert left.n_further == len(users) - users.count(users[0])
    result = verify(folder)
    assert result.holds and COLLABORATIVE_SCORES in result.compared, result.differences
    assert audit(folder).findings == []


@pytest.mark.slow
def test_at_once_it_counts_for_nothing_until_it_is_trained_again(made, tmp_path):
    folder = copy_run(made, tmp_path / "run")
    users = made.data.train_set.run_data.rows.users
    unlearn(folder, users=[users.texts(made.data.train_set.run_data.evidence_rows)[0]], at_once=True)
    fitted = fitted_of(folder)
    assert fitted.n_further and not fitted.scores["evidence.FM"].any()
    assert fitted.combination.alone.coefficients[-1] == 0
    assert audit(folder).findings == [] and verify(folder).holds
    catch_up(folder)
    assert fitted_of(folder).scores["evidence.FM"].any()
    assert audit(folder).findings == [] and verify(folder).holds


@pytest.mark.slow
def test_terms_of_other_rows_are_refused(made, tmp_path):
    folder = copy_run(made, tmp_path / "run")
    scores = load_file(folder / COLLABORATIVE_SCORES)
    save_file({**scores, "evidence.FM": scores["evidence.FM"][1:]}, folder / COLLABORATIVE_SCORES)
    RunStore(folder).seal({})
    n = len(scores["evidence.FM"])
    told = f"found {n - 1} terms of FM for the evidence rows, expected one for each of {n}"
    assert any(told in finding for finding in audit(folder).findings)
    with pytest.raises(RunError, match=f"terms of {n - 1} further rows, expected {n}; restore"):
        evaluate_run(folder)
    save_file({name: values for name, values in scores.items() if name != "evidence.FM"}, folder / COLLABORATIVE_SCORES)
    RunStore(folder).seal({})
    assert any("found 0 terms of FM for the evidence rows" in finding for finding in audit(folder).findings)


def test_rows_are_drawn_for_models_as_without_them(options):
    def settled(**changes):
        return APAConfig("APA", "board", None, {**options, **changes})["evidence_samples"]

    assert settled() == settled(evidence=["counts", "FM"]) == 2000 and settled(evidence="none") == 0
    assert settled(evidence=["counts", "FM"], evidence_samples=5) == 5
