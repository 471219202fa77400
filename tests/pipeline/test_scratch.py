"""Rows for RecBole's models stand in the run that is written, and go with the next command if a kill leaves them."""

import pytest

from recbole_apa import audit, evaluate_run, predict_pairs, run, unlearn
from recbole_apa.core.errors import RunError
from recbole_apa.data.presplit_files import write_presplit
from recbole_apa.pipeline import collaborative, evidence_rows, run_baselines
from recbole_apa.runs.names import PENDING, SCRATCH
from recbole_apa.runs.scratch import scratch
from tests.helpers.runs import copy_run, tree

GIVEN = {"evidence": ["counts", "FM"], "variants": "chosen", "baselines": ["FM"], "epochs": 1}


@pytest.fixture(scope="module")
def made(options, work_folder, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(work_folder)
        return run("APA", "board", config_dict={**options, **GIVEN}, run_dir=tmp_path_factory.mktemp("rows") / "run")


def rows_of(folder):
    """Entries of a run that hold rows for RecBole."""
    return [path for path in folder.rglob("*") if path.name == SCRATCH or "presplit" in path.name]


@pytest.fixture
def places(monkeypatch):
    """Where rows are written, while a test runs."""
    seen = []

    def noted(folder, *given):
        seen.append(folder)
        write_presplit(folder, *given)

    for module in (collaborative, evidence_rows, run_baselines):
        monkeypatch.setattr(module, "write_presplit", noted)
    return seen


@pytest.mark.slow
def test_training_and_requests_write_rows_into_the_run_alone(places, options, tmp_path):
    given = {**options, **GIVEN, "partition": "user"}
    folder = run("APA", "board", config_dict=given, run_dir=tmp_path / "run").run_dir
    assert places == [folder / SCRATCH] * 3  # the evidence's model, the partition's, the table's
    places.clear()
    unlearn(folder, users=["u3"], exactness="strict")
    assert folder / PENDING / SCRATCH in places
    assert not rows_of(folder) and audit(folder).findings == []


@pytest.mark.slow
def test_what_writes_to_no_run_changes_none(places, made, tmp_path):
    folder = copy_run(made, tmp_path / "run")
    before = tree(folder)
    predict_pairs(evaluate_run(folder, {"baselines": ["FM"]}), [("u3", "i3")])
    assert len(places) == 2 and not any(folder in place.parents for place in places)
    assert tree(folder) == before and not any(place.exists() for place in places)


def left(folder):
    (folder / SCRATCH / "presplit").mkdir(parents=True)
    (folder / SCRATCH / "presplit" / "presplit.train.inter").write_text("user_id:token\nu3\n")


@pytest.mark.slow
def test_an_audit_names_what_a_kill_left_and_the_next_request_deletes_it(made, tmp_path):
    folder = copy_run(made, tmp_path / "run")
    left(folder)
    assert any("rows that a killed process left" in found for found in audit(folder).findings)
    unlearn(folder, users=["u3"])
    assert not rows_of(folder) and audit(folder).findings == []


class Killed(BaseException):
    """Nothing after it is cleaned up."""


def killed(*_):
    raise Killed


@pytest.mark.slow
@pytest.mark.parametrize("resumed", [True, False], ids=["resumed", "another run"])
def test_a_training_that_goes_on_deletes_what_a_kill_left(resumed, options, tmp_path, monkeypatch):
    given = {**options, **GIVEN, "variants": "none"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "recbole_apa.model.trainer.fit_state" if resumed else "recbole_apa.model.trainer.model_terms", killed
        )
        with pytest.raises(Killed):
            run("APA", "board", config_dict=given, run_dir=tmp_path / "run")
    left(tmp_path / "run")
    folder = run(
        "APA",
        "board",
        config_dict={**given, "evidence": "none" if not resumed else given["evidence"]},
        run_dir=tmp_path / "run",
    ).run_dir
    assert not rows_of(folder) and audit(folder).findings == []


@pytest.mark.slow
def test_a_request_that_goes_on_deletes_what_a_kill_left(made, tmp_path):
    folder = copy_run(made, tmp_path / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recbole_apa.model.trainer.fit_state", killed)
        with pytest.raises(Killed):
            unlearn(folder, users=["u3"])
    for place in (folder, folder / PENDING):
        left(place)
    unlearn(folder)
    assert not rows_of(folder) and audit(folder).findings == []


def test_a_link_in_its_place_goes_and_what_it_leads_to_stays(tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "file").write_text("mine")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / SCRATCH).symlink_to(tmp_path / "own")
    with scratch(tmp_path / "run") as folder:
        (folder / "rows").write_text("u3")
        assert not folder.is_symlink()
    assert tree(tmp_path) == {"own/file": tree(tmp_path)["own/file"]}


@pytest.mark.slow
def test_another_runs_folder_is_left_as_it_is(made, options, tmp_path):
    folder = copy_run(made, tmp_path / "run")
    with pytest.raises(RunError, match="holds"):
        run("APA", "board", config_dict={**options, "evidence": "none", "epochs": 2}, run_dir=folder)
    assert not rows_of(folder)
