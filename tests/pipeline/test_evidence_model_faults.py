"""RecBole models among the evidence of a run: damaged scores, other columns, and trainings that fail."""

import numpy as np
import pytest

from recbole_apa import audit, evaluate_run, predict_pairs, run, unlearn, verify
from recbole_apa.core.errors import RunError, TrainingError
from recbole_apa.pipeline import evidence_models, evidence_rows
from recbole_apa.runs.collaborative_files import save_collaborative_scores
from recbole_apa.runs.names import COLLABORATIVE_SCORES
from recbole_apa.runs.store import RunStore
from tests.helpers.evidence_runs import WITH_FM, fitted_of
from tests.helpers.runs import copy_run, state


@pytest.mark.slow
def test_other_scores_are_found_by_a_verification(with_fm, tmp_path):
    folder = copy_run(with_fm, tmp_path / "run")
    fitted, store = fitted_of(folder), RunStore(folder)
    fitted.scores["test.FM"][0] += 1e-9
    save_collaborative_scores(store, fitted.scores)
    store.seal({})
    assert f"{COLLABORATIVE_SCORES} differs" in verify(folder).differences


@pytest.mark.quick(1)
@pytest.mark.parametrize("change", ["gone", "infinite", "one split", "other length"])
def test_damaged_scores_are_refused(change, with_fm, tmp_path):
    folder = copy_run(with_fm, tmp_path / "run")
    scores, store = dict(fitted_of(folder).scores), RunStore(folder)
    if change == "gone":
        scores = {name: values for name, values in scores.items() if not name.endswith("FM")}
    elif change == "one split":
        del scores["test.FM"]
    elif change == "infinite":
        scores["valid.FM"][0] = np.inf
    else:
        scores["valid.FM"] = scores["valid.FM"][1:]
    save_collaborative_scores(store, scores)
    store.seal({})
    with pytest.raises(RunError, match="restore the run folder from a copy"):
        evaluate_run(folder)


@pytest.mark.slow
def test_columns_that_it_learnt_from_are_as_they_were(with_fm, options, data_folder, tmp_path):
    data = tmp_path / "board"
    data.mkdir()
    for path in (data_folder / "board").iterdir():
        (data / path.name).write_bytes(path.read_bytes())
    given = {**options, **WITH_FM, "item_text": "{title}", "variants": "none", "data_path": str(tmp_path)}
    folder = run("APA", "board", config_dict=given, run_dir=tmp_path / "run").run_dir
    (data / "board.item").write_text((data / "board.item").read_text().replace("\t1984", "\t1934"))
    with pytest.raises(RunError, match="the columns of the items are not those that FM learnt from"):
        evaluate_run(folder)


SHORT = RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory")


@pytest.mark.slow
@pytest.mark.parametrize("step", ["train_baseline", "pair_scores"])
@pytest.mark.parametrize("error", [SHORT, MemoryError(), ValueError("odd")], ids=["torch", "Python", "any"])
def test_what_may_be_of_the_machine_leaves_the_request_waiting(step, error, with_fm, tmp_path):
    folder = copy_run(with_fm, tmp_path / "run")
    before = state(folder)

    def fails(*_):
        raise error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evidence_models, step, fails)
        with pytest.raises(TrainingError, match=rf"FM.*{type(error).__name__}(.|\n)*was accepted(.|\n)*--resume"):
            unlearn(folder, users=["u3"])
    assert state(folder) == before
    unlearn(folder)  # resumes
    assert fitted_of(folder).scores["valid.FM"].any() and verify(folder).holds and audit(folder).findings == []


def test_what_recbole_raises_at_a_prediction_is_the_error_that_is_documented(with_fm):
    opened = evaluate_run(with_fm.run_dir)

    def fails(*_):
        raise ValueError("odd")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evidence_models, "train_baseline", fails)
        with pytest.raises(TrainingError, match="FM, a model of the evidence, could not be trained"):
            predict_pairs(opened, [("u3", "i3")])


@pytest.mark.slow
def test_a_full_disk_fails_the_request_which_then_waits(with_fm, tmp_path):
    folder = copy_run(with_fm, tmp_path / "run")

    def full(*_):
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evidence_rows, "write_presplit", full)
        with pytest.raises(RunError, match=r"No space left(.|\n)*the request or addition was accepted"):
            unlearn(folder, users=["u3"])
    unlearn(folder)  # resumes
    assert fitted_of(folder).scores["valid.FM"].any() and verify(folder).holds
