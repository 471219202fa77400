"""Runs whose evidence looks at the frozen model's states of items' texts: kept, served, forgotten, proved."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from recbole_apa import add, audit, evaluate_run, predict_pairs, run, unlearn, verify
from recbole_apa.backbone import text_states
from recbole_apa.backbone.text_states import TextStates
from recbole_apa.collaborative import Fitted, needed_items, targets_of
from recbole_apa.core.errors import RunError, SettingsError
from recbole_apa.core.files.whole import read_json
from recbole_apa.core.system.threads import one_thread
from recbole_apa.pipeline.config import APAConfig
from recbole_apa.runs.collaborative_files import save_collaborative
from recbole_apa.runs.names import COMBINATION, ITEM_STATES
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning import light_stage
from tests.helpers.evidence_runs import fitted_of
from tests.helpers.runs import copy_run, state
from tests.helpers.unseen import unseen_rows

GIVEN = {
    "evidence_columns": ["title", "year"],
    "evidence_content": "both",
    "evidence_text": "{title}, of {year}",
}


@pytest.fixture(scope="module")
def made(options, tmp_path_factory):
    return run("APA", "board", config_dict={**options, **GIVEN}, run_dir=tmp_path_factory.mktemp("states") / "run")


@pytest.mark.slow
def test_the_run_keeps_the_states_that_its_samples_need(made):
    fitted, manifest = fitted_of(made.run_dir), made.store.manifest()
    assert fitted.combination.terms[-2:] == ("content", "content_states")
    assert manifest["settings"]["evidence_content"] == "both" and ITEM_STATES in manifest["files"]
    data, codes = made.data.train_set.run_data, fitted.statistics.codes
    needed = needed_items(targets_of([data], codes, fitted.options), fitted.options)
    assert fitted.states.items.tolist() == needed.tolist()
    engine = made.model.engine
    for code, kept in zip(fitted.states.items.tolist()[:5], fitted.states.values, strict=False):
        number = int(codes.names[code].removeprefix("i"))
        kind = "Odd" if number % 2 else "Even"
        ids = engine.encoder.ids_of(f"{kind} Film {number}, of {1980 + number}")
        with one_thread(), torch.no_grad(), engine.bank.mixed(None):  # a text is read on one thread
            hidden = engine.decoder.upper(engine.decoder.trunk([ids]))
        assert hidden[0, -1].numpy().tolist() == kept.tolist()


def test_without_the_option_nothing_is_kept_and_no_model_is_asked(finished, monkeypatch, tmp_path):
    """As before there was one: an older run's manifest has neither option."""
    settings = finished.store.manifest()["settings"]
    assert not {"evidence_content", "evidence_text"} & set(settings) and not finished.store.has(ITEM_STATES)
    told = read_json(finished.run_dir / COMBINATION)
    assert "state_width" not in told["term_options"] and "content_states" not in told["combination"]["terms"]
    monkeypatch.setattr(TextStates, "__call__", lambda *args: pytest.fail("a text is read"))
    opened = evaluate_run(copy_run(finished, tmp_path / "run"))
    assert predict_pairs(opened, [("u1", "i3")])


@pytest.mark.slow
def test_both_ways_of_a_request_leave_the_same_states(made, tmp_path, monkeypatch):
    short, long = (copy_run(made, tmp_path / name) for name in ("short", "long"))
    row = unseen_rows(made)[0]
    with monkeypatch.context() as patch:
        patch.setattr(TextStates, "__call__", lambda *args: pytest.fail("a model is asked"))
        assert not unlearn(short, interactions=[row]).plan.affected
    with monkeypatch.context() as patch:
        patch.setattr(light_stage, "open_light", lambda *args: None)
        patch.setattr(text_states, "text_states", lambda engine, texts: list(texts) and pytest.fail("read again"))
        assert not unlearn(long, interactions=[row]).plan.affected
    assert state(short) == state(long)
    assert audit(short).holds and verify(short).holds


@pytest.mark.slow
def test_after_a_person_left_the_states_are_those_of_a_training_without(made, tmp_path):
    folder = copy_run(made, tmp_path / "run")
    assert unlearn(folder, users=["u3"]).plan.affected
    result = verify(folder)
    assert result.holds and ITEM_STATES in result.compared, result.differences
    assert audit(folder).findings == []


@pytest.fixture(scope="module")
def cold(options, data_folder, tmp_path_factory):
    """A run whose .item file has a film that nobody has rated; states are looked at alone."""
    folder = tmp_path_factory.mktemp("cold")
    shutil.copytree(data_folder / "board", folder / "data" / "board")
    path = folder / "data" / "board" / "board.item"
    path.write_text(path.read_text() + "cold\tOdd Film 21\t2001\n")
    given = {**options, **GIVEN, "data_path": str(folder / "data"), "evidence_content": "states", "test_samples": None}
    return run("APA", "board", config_dict={**given, "item_text": "{title}"}, run_dir=folder / "run")


@pytest.mark.slow
def test_an_addition_reads_the_texts_that_come_in(cold, tmp_path, monkeypatch):
    folder, read = copy_run(cold, tmp_path / "run"), []
    read_texts = text_states.text_states
    with monkeypatch.context() as patch:
        patch.setattr(text_states, "text_states", lambda e, texts: (read.extend(texts), read_texts(e, texts))[1])
        # in the past of the test samples of new users
        add(
            folder,
            [(f"w{n}", "cold" if step == 0 else f"i{step}", 5, 90_000 + step) for n in range(4) for step in range(16)],
        )
    kept, names = fitted_of(folder).states, RunStore(folder).open_index().items.names
    assert read == ["Odd Film 21, of 2001"] and len(kept.items) == len(fitted_of(cold.run_dir).states.items) + 1
    assert "cold" in {names[code] for code in kept.items.tolist()}
    result = verify(folder)
    assert result.holds, result.differences


@pytest.mark.slow
def test_a_changed_byte_is_found(made, tmp_path):
    folder = copy_run(made, tmp_path / "run")
    path = folder / ITEM_STATES
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    assert any(f"{ITEM_STATES} was changed" in finding for finding in audit(folder).findings), audit(folder).findings
    with pytest.raises(RunError, match=r"item_states\.safetensors was changed"):
        evaluate_run(folder)


def other_states(arrays):
    arrays["states"] = arrays["states"][::-1].copy()


def an_item_less(arrays):
    arrays |= {name: values[1:] for name, values in arrays.items()}


def not_finite(arrays):
    arrays["states"][0, 0] = np.nan


def another_type(arrays):
    arrays["states"] = arrays["states"].astype(np.float64)


def an_item_that_is_not_there(arrays):
    arrays["items"][-1] = 20


def two_of_one_item(arrays):
    arrays["items"][1] = arrays["items"][0]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (other_states, f"{COMBINATION} is not what"),
        (an_item_less, "are not those that it was combined with"),
        (not_finite, "values that are not finite"),
        (another_type, "expected items, int64 of"),
        (an_item_that_is_not_there, "out of order, or such as there are not"),
        (two_of_one_item, "out of order, or such as there are not"),
    ],
)
def test_forged_states_are_found_though_they_are_sealed(made, tmp_path, change, says):
    folder = copy_run(made, tmp_path / "run")
    arrays = load_file(folder / ITEM_STATES)
    change(arrays)
    save_file(arrays, folder / ITEM_STATES)
    RunStore(folder).seal({})
    assert any(says in finding for finding in audit(folder).findings), audit(folder).findings


def test_states_of_items_that_no_sample_needs_are_found(made, tmp_path):
    """All in line but for the item."""
    folder = copy_run(made, tmp_path / "run")
    fitted, combined = fitted_of(folder), made.trainer.combined
    fewer = replace(fitted, states=fitted.states.only(fitted.states.items[1:]))
    contents = combined.contents.only(fitted.states.items[1:])
    save_collaborative(RunStore(folder), replace(fewer, content=contents.digest()))
    RunStore(folder).seal({})
    assert any("states of other items than the run's samples need" in f for f in audit(folder).findings)


@pytest.mark.slow
def test_forged_states_that_were_combined_again_are_found_by_a_training(made, tmp_path):
    folder = copy_run(made, tmp_path / "run")
    fitted, combined = fitted_of(folder), made.trainer.combined
    states = replace(fitted.states, values=fitted.states.values[::-1].copy())
    targets = targets_of([made.data.train_set.run_data], fitted.statistics.codes, fitted.options)
    contents = replace(combined.contents, states=states)
    again = Fitted.refit(fitted.statistics, targets, fitted.scores, fitted.options, contents)
    save_collaborative(RunStore(folder), again)
    RunStore(folder).seal({})
    assert f"{ITEM_STATES} differs" in verify(folder).differences


@pytest.mark.slow
def test_a_prediction_reads_texts_that_the_run_keeps_no_state_of(cold, tmp_path):
    known = set(cold.trainer.combined.text_states.known)
    alone, beside = predict_pairs(cold, [("u1", "cold")]), predict_pairs(cold, [("u1", "i3"), ("u1", "cold")])
    assert cold.trainer.combined.served != "model" and alone[0].score == beside[1].score
    assert set(cold.trainer.combined.text_states.known) - known == {"Odd Film 21, of 2001"}


def test_other_texts_are_refused_though_no_prompt_shows_them(cold, tmp_path):
    shutil.copytree(cold.run_dir.parent / "data", tmp_path / "data")
    path = tmp_path / "data" / "board" / "board.item"
    path.write_text(path.read_text().replace("\t1984", "\t1934"))
    with pytest.raises(RunError, match=r"the texts of the items are not those that the run's statistics were combined"):
        evaluate_run(cold.run_dir, {"data_path": str(tmp_path / "data")})


def test_options_that_go_together(options):
    def settled(**changes):
        config = APAConfig("APA", "board", None, {**options, **changes})
        return config["evidence_columns"], config["evidence_text"], config["evidence_content"]

    with pytest.raises(SettingsError, match="evidence_content: found both, expected states, or evidence_columns"):
        settled(evidence_content="both")
    with pytest.raises(SettingsError, match="evidence_content: found 'all', expected one of columns, states"):
        settled(evidence_content="all")
    assert settled(evidence_content="states", evidence_text="{title}") == (None, "{title}", "states")
    assert settled(evidence_content="both", evidence="none")[2] == "both"

    def of_movies(**changes):
        return APAConfig("APA", "ml-100k", None, changes)["evidence_text"]

    assert of_movies() is None and "{class}" in of_movies(evidence_content="states")
    few = {"inter": ["user_id", "item_id", "rating", "timestamp"], "item": ["item_id", "movie_title", "release_year"]}
    assert of_movies(evidence_content="states", load_col=few) is None  # the dataset's own, of a column that is not read
