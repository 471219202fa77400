"""Runs whose evidence is fitted on further rows of the validation period: which, what they change, and that they go."""

import numpy as np
import pytest

from recbole_apa import add, audit, run, unlearn, verify
from recbole_apa.collaborative import Targets
from recbole_apa.core.files.whole import read_json, write_json
from recbole_apa.data.index.rows import VALID
from recbole_apa.runs.names import COMBINATION
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning import light_stage
from tests.helpers.evidence_runs import FEW, fitted_of
from tests.helpers.runs import copy_run, state


@pytest.fixture(scope="module")
def made(options, tmp_path_factory):
    given = {**options, **FEW, "evidence_samples": None}
    return run("APA", "board", config_dict=given, run_dir=tmp_path_factory.mktemp("further") / "run")


def ids_of(made):
    data = made.data.train_set.run_data
    return data.rows.row_ids(data.evidence_rows), data.rows.row_ids(data.targets["valid"])


@pytest.mark.slow
def test_they_are_other_validation_rows_of_the_same_users(made):
    data = made.data.train_set.run_data
    rows, users = data.evidence_rows, data.rows.users
    further, samples = map(set, ids_of(made))
    assert further and not further & samples
    assert set(users.texts(rows)) <= set(users.texts(data.targets["valid"]))
    assert set(data.notes.roles[data.kept[rows]].tolist()) == {VALID}
    of_these = np.isin(users.codes, users.codes[data.targets["valid"]]) & (data.notes.roles[data.kept] == VALID)
    assert of_these.sum() == len(further) + len(samples)


@pytest.mark.slow
def test_a_draw_takes_fewer_and_is_kept(options, made, tmp_path):
    drawn = run("APA", "board", config_dict={**options, **FEW, "evidence_samples": 3}, run_dir=tmp_path / "run")
    few, all_of_them = ids_of(drawn)[0], ids_of(made)[0]
    assert len(few) == 3 < len(all_of_them) and set(few) < set(all_of_them)
    assert drawn.store.manifest()["draw"]["evidence"] is not None and made.store.manifest()["draw"]["evidence"] is None


@pytest.mark.slow
def test_terms_are_fitted_on_them_and_the_model_is_not_asked(options, made, tmp_path):
    without = run("APA", "board", config_dict={**options, **FEW, "evidence_samples": 0}, run_dir=tmp_path / "run")
    settings = without.store.manifest()
    assert "evidence" not in settings["draw"] and not settings["settings"].get("evidence_samples")
    ours, theirs = made.trainer.combined.fitted, without.trainer.combined.fitted
    assert ours.combination.is_stacked and not theirs.combination.is_stacked
    assert "stacked" not in theirs.combination.to_json()
    assert {name: len(scores) for name, scores in ours.scores.items()} == {
        name: len(scores) for name, scores in theirs.scores.items()
    }
    assert ours.combination.alone.means.tolist() != theirs.combination.alone.means.tolist()
    own = {name for name in without.metrics if name.startswith("test.aggregated.")}
    assert own and all(made.metrics[name] == without.metrics[name] for name in own)
    for n, term in enumerate(ours.combination.terms):
        told = made.metrics[f"evidence.with_model.coefficients.{term}"]
        assert told == ours.combination.both_coefficients[n]


@pytest.mark.slow
def test_a_request_for_one_of_them_takes_its_label_out(made, tmp_path, monkeypatch):
    """Both ways of a request: of what remains, no row comes in that was not fitted on before."""
    short, long = (copy_run(made, tmp_path / name) for name in ("short", "long"))
    data = made.data.train_set.run_data
    shown = {n for part in data.samples.values() for s in part for n in s.interaction_ids()}
    row = next(name for name in ids_of(made)[0] if name not in shown).split(":")
    assert not unlearn(short, interactions=[tuple(row)]).plan.affected
    with monkeypatch.context() as patch:
        patch.setattr(light_stage, "open_light", lambda *args: None)
        assert not unlearn(long, interactions=[tuple(row)]).plan.affected
    assert state(short) == state(long)
    before, after = made.trainer.combined.fitted, fitted_of(short)
    assert before.combination.alone.means.tolist() != after.combination.alone.means.tolist()
    assert audit(short).holds and verify(short).holds


@pytest.mark.slow
def test_they_leave_with_their_user(made, tmp_path):
    folder, data = copy_run(made, tmp_path / "run"), made.data.train_set.run_data
    user = data.rows.users.texts(data.targets["valid"])[0]
    unlearn(folder, users=[user])
    result = verify(folder)
    assert result.holds, result.differences
    assert audit(folder).findings == []


@pytest.mark.slow
def test_an_addition_brings_in_what_its_users_have(made, tmp_path):
    folder = copy_run(made, tmp_path / "run")
    add(folder, [(f"w{n}", f"i{step}", 1 + 4 * (step % 2), 90_000 + step) for n in range(3) for step in range(16)])
    result = verify(folder)
    assert result.holds, result.differences
    unlearn(folder, users=["w1"])
    assert verify(folder).holds and audit(folder).holds


@pytest.mark.slow
def test_a_fresh_training_draws_them_anew(options, tmp_path):
    given = {**options, **FEW, "evidence_samples": 4}
    drawn = run("APA", "board", config_dict=given, run_dir=tmp_path / "run")
    data = drawn.data.train_set.run_data
    unlearn(drawn.run_dir, users=[data.rows.users.texts(data.targets["valid"])[0]], exactness="fresh")
    result = verify(drawn.run_dir)
    assert result.holds, result.differences
    assert audit(drawn.run_dir).holds
    left = fitted_of(drawn.run_dir).combination
    assert (
        left.is_stacked and left.alone.means.tolist() != drawn.trainer.combined.fitted.combination.alone.means.tolist()
    )


def test_forged_coefficients_are_found(made, tmp_path):
    folder = copy_run(made, tmp_path / "run")
    told = read_json(folder / COMBINATION)
    told["combination"]["both"]["coefficients"][0] += 0.01
    write_json(folder / COMBINATION, told)
    RunStore(folder).seal({})
    assert any(f"{COMBINATION} is not what" in finding for finding in audit(folder).findings)


def test_rows_are_the_same_from_parts_of_the_users(made):
    """As a request reads them: some users at a time."""
    data, codes = made.data.train_set.run_data, made.trainer.combined.fitted.statistics.codes
    whole = Targets.of([data], "evidence", codes)
    assert whole.ids == tuple(sorted(ids_of(made)[0])) and len(whole.pasts) == len(whole)
