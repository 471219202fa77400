"""Figures by slices served: of the states that would be served, made without training, and struck by requests."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from recbole_apa import catch_up, evaluate_run, run, unlearn
from recbole_apa.cli.main import main
from recbole_apa.core.files.whole import read_json
from recbole_apa.core.places import Place
from recbole_apa.evaluation.prefix_figures import MODEL, SERVED, prefix_figures
from recbole_apa.evaluation.report.prefix_table import PREFIX_TITLE, prefix_rows
from recbole_apa.evaluation.scored_split import ScoredSplit
from recbole_apa.evaluation.variants import chosen_aggregation, chosen_scores, score_split
from recbole_apa.model.prefix_states import PrefixStates
from recbole_apa.pipeline.build import open_run
from recbole_apa.pipeline.trainer_factory import make_trainer
from recbole_apa.runs.reuse import ReusableState
from recbole_apa.runs.store import RunStore
from tests.helpers.killed_process import fresh_copy
from tests.helpers.pieces import count_training
from tests.helpers.runs import state, tree
from tests.helpers.sliced import L, assert_holds, pair_in, spots
from tests.helpers.unseen import unseen_rows

ASKED = {"prefix_figures": True}


def of_prefixes(figures):
    return {name: value for name, value in figures.items() if name.startswith("prefixes.")}


@pytest.fixture(scope="module")
def judged(sliced):
    """The run evaluated with figures by slices."""
    return evaluate_run(sliced.run_dir, ASKED)


@pytest.mark.slow
@pytest.mark.parametrize("is_anew", [pytest.param(True, marks=pytest.mark.slow), False])
def test_a_prefix_answers_as_a_run_does_whose_training_ended_there(is_anew, sliced, tmp_path):
    """A training that ends early, as in a verification of a run that serves prefixes, makes the same state; so does
    one that takes over what the run has."""
    opened, store = open_run(RunStore(sliced.run_dir)), RunStore(sliced.run_dir)
    data, model = opened.data, opened.model
    for n in range(1, L):
        place = RunStore(tmp_path / str(n), base=None if is_anew else store)
        trainer = make_trainer(opened.config, model, place)
        ends = {k: Place(0, n) for k in spots(sliced)}
        reuse = None if is_anew else ReusableState(store)
        told = {"reuse": reuse, "prefixes": ends, "writes_index": is_anew, "writes_board": False}
        trainer.fit_with(data.train, data.valid, replace(trainer.inputs, **told))
        assert bool(trainer.record.trained) == is_anew
        expected = score_split(model, data.test_set, "", False, wanted=chosen_aggregation(model)).scores[
            chosen_scores(model)
        ]
        served, rule = trainer.served_of(data.test_set, expected), model.rule
        opened.trainer.load(store)
        before = model.rule
        with PrefixStates(opened.trainer, data.train_set, data.valid_set, store.places({}, opened.keys)) as states:
            n_trained = states.serve(Place(0, n))
            found = score_split(model, data.test_set, "", False, wanted=chosen_aggregation(model)).scores[
                chosen_scores(model)
            ]
            assert (model.rule.tau, model.rule.n_neighbors) == (rule.tau, rule.n_neighbors)
            assert torch.equal(model.rule.active, rule.active)
            combined = states.combined()
        assert model.rule is before
        assert np.allclose(found, expected, atol=1e-6)
        assert np.allclose(combined.served_of(data.test_set, found), served, atol=1e-6)
        assert n_trained == sum(
            len(part) for by_cut in spots(sliced).values() for cut, part in by_cut.items() if cut < n
        )


@pytest.mark.slow
def test_figures_by_slices_change_nothing_else(sliced, judged, monkeypatch):
    seen, before = count_training(monkeypatch), tree(sliced.run_dir)
    again = evaluate_run(sliced.run_dir, ASKED)
    assert not seen and tree(sliced.run_dir) == before
    assert of_prefixes(again.metrics) == of_prefixes(judged.metrics)
    plain = evaluate_run(sliced.run_dir)
    assert not of_prefixes(plain.metrics)
    later = score_split(again.model, again.data.test_set, "", False).scores
    for name, values in score_split(plain.model, plain.data.test_set, "", False).scores.items():
        assert np.array_equal(values, later[name])  # the run answers as before


@pytest.mark.slow
def test_the_last_row_is_what_the_run_serves(sliced, judged):
    figures, rows = judged.metrics, prefix_rows(judged.metrics)
    assert [row[0] for row in rows] == [str(n + 1) for n in range(L)]
    assert [int(row[1]) for row in rows] == sorted(int(row[1]) for row in rows)
    assert int(rows[-1][1]) == len(sliced.data.train_set.samples) > int(rows[0][1])
    name = f"test.{chosen_scores(judged.model)}"
    for figure in ("auc", "logloss"):
        assert figures[f"prefixes.{L:02d}.model.{figure}"] == figures[f"{name}.{figure}"]
        assert figures["prefixes.01.model.logloss"] != figures[f"prefixes.{L:02d}.model.logloss"]
    assert "prefixes_seconds" in figures and PREFIX_TITLE in judged.table
    assert rows[-1][3] == "-" and "to" in rows[0][3]


@pytest.mark.slow
def test_the_command_line_prints_the_table(sliced, capsys):
    assert main([f"--run={sliced.run_dir}", "--prefix_figures=True", "--show_progress=False"]) == 0
    told = capsys.readouterr()
    assert PREFIX_TITLE in told.out + told.err


def test_a_difference_has_the_sign_and_interval_of_its_scores():
    labels, users = np.array([0, 1] * 40), np.repeat(np.arange(40), 2)
    good, bad = labels + 0.5, np.tile([0.3, 0.3], 40)
    scored = ScoredSplit(labels, {SERVED: bad, MODEL: good}, np.zeros((80, 1)), users)
    found = prefix_figures(2, scored, good, seed=1)
    assert found["prefixes.02.served.auc"] == 0.5 and found["prefixes.02.model.auc"] == 1
    assert found["prefixes.02.served.auc_gain"] == -0.5
    assert found["prefixes.02.served.auc_gain_users_low"] == found["prefixes.02.served.auc_gain_users_high"] == -0.5
    assert not any("gain" in name for name in prefix_figures(2, scored, None, seed=1))
    same = replace(scored, labels=np.zeros(80, dtype=int))
    assert set(prefix_figures(1, same, good, 1)) == {f"prefixes.01.{name}.logloss" for name in (SERVED, MODEL)}


@pytest.mark.slow
def test_requests_strike_figures_by_slices_unless_they_are_asked_for(options, sliced, tmp_path):
    place = tmp_path / "run"
    made = run("APA", "board", config_dict={**options, "shard_slices": L, **ASKED}, run_dir=place)
    changed = [name for name, of in state(sliced.run_dir).items() if state(place)[name] != of]
    assert changed == ["metrics.json"]
    assert of_prefixes(read_json(place / "metrics.json")) == of_prefixes(made.metrics) != {}
    assert PREFIX_TITLE in (place / "report.html").read_text() and PREFIX_TITLE in made.table
    plain = fresh_copy(place, tmp_path / "plain")
    unlearn(plain, interactions=[pair_in(sliced, "last")])
    assert not of_prefixes(read_json(plain / "metrics.json"))
    light = fresh_copy(place, tmp_path / "light")
    assert unlearn(light, interactions=unseen_rows(made)[:1]).outcomes[0].n_trained == 0
    assert not of_prefixes(read_json(light / "metrics.json"))
    unlearn(place, interactions=[pair_in(sliced, "last")], at_once=True)
    served = evaluate_run(place, ASKED).metrics
    catch_up(place, ASKED)
    assert_holds(place)
    kept = of_prefixes(read_json(place / "metrics.json"))
    assert kept == of_prefixes(evaluate_run(place, ASKED).metrics) != {}
    assert PREFIX_TITLE in (place / "report.html").read_text()
    # with one slice, a run that serves prefixes serves what it serves once it has caught up
    assert served["prefixes.01.model.auc"] == pytest.approx(kept["prefixes.01.model.auc"])
    assert served["prefixes.03.n_trained"] < kept["prefixes.03.n_trained"]


def test_a_run_without_slices_says_that_it_has_no_such_figures(finished, caplog):
    assert not of_prefixes(evaluate_run(finished.run_dir, ASKED).metrics)
    assert "not cut into any" in caplog.text
