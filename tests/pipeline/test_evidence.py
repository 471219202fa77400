"""Runs with collaborative statistics: what is scored, kept, served, forgotten, and proved."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from recbole_apa import add, audit, evaluate_run, predict_pairs, run, unlearn, verify
from recbole_apa.collaborative import ItemCodes, TermOptions, needed_pairs, targets_of
from recbole_apa.collaborative.statistics import Statistics
from recbole_apa.core.errors import RunError
from recbole_apa.core.files.whole import read_json
from recbole_apa.evaluation.metrics import auc, mean_log_loss
from recbole_apa.model.combined_scores import AskedPair
from recbole_apa.runs.names import COLLABORATIVE_SCORES, COLLABORATIVE_SUMS, COMBINATION
from recbole_apa.runs.store import RunStore
from tests.helpers.evidence_runs import fitted_of
from tests.helpers.runs import copy_run, lasting

FILES = (COLLABORATIVE_SUMS, COLLABORATIVE_SCORES, COMBINATION)


@pytest.fixture(scope="module")
def without(options, tmp_path_factory):
    """The same run with the language model alone."""
    folder = tmp_path_factory.mktemp("without") / "run"
    return run("APA", "board", config_dict={**options, "evidence": "none"}, run_dir=folder)


def by_name(fitted):
    """Sums by the names of items, which do not depend on the order of codes."""
    names, items, pairs = fitted.statistics.codes.names, fitted.statistics.items, fitted.statistics.pairs
    some = np.flatnonzero(items.n)
    of_items = {names[i]: (items.n[i], items.values[i], items.centred[i], items.squares[i]) for i in some.tolist()}
    columns = zip(pairs.n.tolist(), pairs.products.tolist(), pairs.firsts.tolist(), pairs.seconds.tolist(), strict=True)
    ends = zip(pairs.pairs.firsts.tolist(), pairs.pairs.seconds.tolist(), strict=True)
    return of_items, {(names[i], names[j]): told for (i, j), told in zip(ends, columns, strict=True)}


@pytest.mark.slow
def test_the_language_models_own_rows_are_those_of_a_run_without(finished, without):
    assert without.trainer.combined is None
    assert not any(name.startswith("collaborative/") for name in without.store.manifest()["files"])
    own = {k: v for k, v in lasting(without.metrics).items() if not k.startswith("recbole.")}
    assert own and own.items() <= finished.metrics.items()
    assert not any("evidence" in name for name in without.metrics)
    # what identified a run before the option existed
    assert "evidence" not in without.store.manifest()["settings"]


def test_what_is_served_is_what_recbole_judges(finished, without):
    metrics, combined = finished.metrics, finished.trainer.combined
    served = {
        "model": "aggregated.decomposition",
        "evidence": "evidence.alone",
        "model+evidence": "evidence.with_model",
    }
    assert combined.served != "model"  # a checkerboard is easily counted
    for split in ("valid", "test"):
        name = f"{split}.{served[combined.served]}"
        assert metrics[f"recbole.{split}.auc"] == pytest.approx(metrics[f"{name}.auc"], abs=1e-4)
        assert metrics[f"recbole.{split}.logloss"] == pytest.approx(metrics[f"{name}.logloss"], abs=1e-4)
    own = without.metrics["test.aggregated.decomposition.logloss"]
    assert without.metrics["recbole.test.logloss"] == pytest.approx(own, abs=1e-4)
    found = finished.trainer.evaluate(finished.data.test)
    assert found["logloss"] == pytest.approx(metrics["recbole.test.logloss"], abs=2e-4)


def test_figures_say_what_is_served_and_why(finished):
    metrics, combination = finished.metrics, finished.trainer.combined.fitted.combination
    for name, loss in combination.log_losses.items():
        assert metrics[f"evidence.served.{name}"] == (name == combination.served)
        assert metrics[f"evidence.log_loss.{name}"] == loss
    assert metrics["evidence.log_loss.evidence"] == pytest.approx(metrics["valid.evidence.alone.logloss"])
    assert metrics["evidence.log_loss.model"] == pytest.approx(metrics["valid.aggregated.prediction.logloss"])
    for place, term in enumerate(combination.terms):
        assert metrics[f"evidence.alone.coefficients.{term}"] == combination.alone.coefficients[place]
    assert metrics["evidence.with_model.coefficients.model"] == combination.both.coefficients[-1]
    for name in ("auc", "logloss"):
        added = metrics[f"test.evidence.with_model.{name}"] - metrics[f"test.evidence.alone.{name}"]
        assert metrics[f"evidence.model_adds.{name}"] == pytest.approx(added)
        for by in ("", "_users"):
            low, high = (metrics[f"evidence.model_adds.{name}{by}_{end}"] for end in ("low", "high"))
            assert low <= high


def test_sums_are_those_of_the_training_periods_rows(finished):
    """Counted anew from the run's rows, without files or an index."""
    data, kept = finished.data.train_set.run_data, fitted_of(finished.run_dir)
    codes = ItemCodes(data.rows.items.names)
    pairs = needed_pairs(targets_of([data], codes, TermOptions()), TermOptions())
    counted = Statistics.of([data], codes, pairs)
    assert by_name(kept) == by_name(type(kept)(counted, {}, None, TermOptions()))
    assert kept.statistics.items.n.sum() == (data.notes.roles == 0).sum()


def test_an_opened_run_scores_and_serves_the_same(finished):
    again = evaluate_run(finished.run_dir)
    expected = {k: v for k, v in lasting(finished.metrics).items() if k in again.metrics}
    assert lasting(again.metrics) == expected and any("evidence.with_model" in name for name in expected)
    assert again.trainer.combined.served == finished.trainer.combined.served


def test_predictions_are_those_that_are_served(finished, without):
    """A user's last row, if it is a test sample, has the sample's score."""
    part, combined = finished.data.test_set, finished.trainer.combined
    own = finished.trainer.aggregate(
        part, finished.model.weights(finished.model.prompts_of(part)), "decomposition", "", False
    )
    expected = combined.served_of(part, own.numpy())
    pairs = [(s.user_id, s.item_id) for s in part.samples]
    found = predict_pairs(finished, pairs)
    rows = part.interactions
    last = {rows.users[row]: rows.items[row] for row in part.windows.order.tolist()}
    of_last = [place for place, (user, item) in enumerate(pairs) if last[user] == item]
    assert len(of_last) > 5
    for place in of_last:
        assert found[place].score == pytest.approx(expected[place], abs=1e-6)
        assert found[place].model_score == pytest.approx(float(own[place]), abs=1e-6)
    assert any(p.score != pytest.approx(p.model_score, abs=1e-3) for p in found)
    for p in predict_pairs(without, pairs):
        assert p.score == p.model_score


def test_a_prediction_does_not_rest_on_the_answer(finished):
    """A pair that the run has learnt: with the other answer in the data, the statistics say the same."""
    rows = finished.data.train_set.run_data
    trained = np.flatnonzero(rows.notes.roles[rows.kept] == 0)[:4].tolist()
    for row in trained:
        user, item = rows.rows.users[row], rows.rows.items[row]
        turned = turned_round(finished.trainer.combined, row)
        past = np.array([r for r in rows.windows.order.tolist() if rows.rows.users[r] == user and r != row])
        asked = [AskedPair(user, item, past, True)]
        before, after = (c.served_of_pairs(asked, np.array([0.5])) for c in (finished.trainer.combined, turned))
        assert before.tolist() == after.tolist()
        asked = [AskedPair(user, item, past, False)]
        before, after = (c.served_of_pairs(asked, np.array([0.5])) for c in (finished.trainer.combined, turned))
        assert before.tolist() != after.tolist()


def turned_round(combined, row):
    """The same combination over rows of which one has the other label."""
    labels = combined.data.rows.labels.copy()
    labels[row] = 1 - labels[row]
    return replace(combined, data=replace(combined.data, rows=replace(combined.data.rows, labels=labels)))


def test_an_item_without_rows_and_a_stranger_have_a_served_score(finished):
    rows = finished.data.train_set.interactions
    cold = sorted(set(finished.data.train_set.item_tokens()) - set(rows.items.texts()))
    found = predict_pairs(finished, [("nobody", rows.items[0]), *(("u1", item) for item in cold)])
    assert all(0 < p.score < 1 for p in found)


@pytest.mark.slow
def test_what_is_left_after_forgetting_is_what_was_never_counted(options, tmp_path):
    made = run("APA", "board", config_dict={**options, "variants": "chosen"}, run_dir=tmp_path / "run")
    before = {name: (made.run_dir / name).read_bytes() for name in FILES}
    assert verify(made.run_dir).holds
    for asked in ({"users": ["u3"]}, {"interactions": [("u5", "i2")]}):
        unlearn(made.run_dir, **asked)
        now = {name: (made.run_dir / name).read_bytes() for name in FILES}
        assert now[COLLABORATIVE_SUMS] != before[COLLABORATIVE_SUMS] and now[COMBINATION] != before[COMBINATION]
        before = now
        result = verify(made.run_dir)
        assert result.holds and set(FILES) <= set(result.compared), result.differences
        assert audit(made.run_dir).findings == []
    metrics, opened = read_json(made.run_dir / "metrics.json"), evaluate_run(made.run_dir)
    data, kept = opened.data.train_set.run_data, fitted_of(made.run_dir)
    assert "u3" not in data.rows.users.texts()
    codes = ItemCodes(data.rows.items.names)
    counted = Statistics.of([data], codes, needed_pairs(targets_of([data], codes, TermOptions()), TermOptions()))
    assert by_name(kept) == by_name(type(kept)(counted, {}, None, TermOptions()))
    scored = opened.trainer.combined.scores_of(opened.data.test_set, kept_in_order(opened, kept))
    labels = np.array([s.label for s in opened.data.test_set.samples])
    assert metrics["test.evidence.alone.logloss"] == pytest.approx(mean_log_loss(labels, scored["evidence"]))
    assert metrics["test.evidence.alone.auc"] == pytest.approx(auc(labels, scored["evidence"]))


def kept_in_order(opened, kept):
    samples = opened.data.test_set.samples
    out = np.empty(len(samples))
    out[sorted(range(len(samples)), key=lambda i: samples[i].sample_id)] = kept.scores["test"]
    return out


@pytest.mark.quick(1)
@pytest.mark.parametrize("name", FILES)
def test_a_verification_finds_another_file(finished, name, tmp_path):
    folder = copy_run(finished, tmp_path / "run")
    path = folder / name
    data = bytearray(path.read_bytes())
    if name == COMBINATION:
        path.write_text(path.read_text().replace("    0.0,", "    0.5,", 1))
    else:
        data[-8] ^= 1
        path.write_bytes(bytes(data))
    store = RunStore(folder)
    store.seal({})
    assert f"{name} differs" in verify(folder).differences


@pytest.mark.slow
def test_a_changed_column_of_items_is_refused(options, data_folder, tmp_path):
    """Words and years that no prompt shows decide what is served as well."""
    data = tmp_path / "data"
    shutil.copytree(data_folder / "board", data / "board")
    given = {**options, "data_path": str(data), "item_text": "{title}", "evidence_columns": ["title", "year"]}
    made = run("APA", "board", config_dict={**given, "variants": "none"}, run_dir=tmp_path / "run")
    assert "content" in made.trainer.combined.fitted.combination.terms
    assert evaluate_run(made.run_dir).metrics and verify(made.run_dir).holds
    path = data / "board" / "board.item"
    path.write_text(path.read_text().replace("\t1984", "\t1934"))
    for look in (evaluate_run, verify):
        with pytest.raises(RunError, match=r"the columns title, year of the items are not those.*restore the \.item"):
            look(made.run_dir)


@pytest.mark.slow
@pytest.mark.parametrize("step", ["added", "fresh", "all validation samples"])
def test_other_ways_to_a_new_state_count_what_is_there(options, tmp_path, step):
    made = run("APA", "board", config_dict={**options, "variants": "none"}, run_dir=tmp_path / "run")
    fitted_before = made.trainer.combined.fitted
    if step == "added":
        add(made.run_dir, [("u1", "i17", 5, 99_000), ("new", "i3", 2, 99_001), ("new", "i4", 5, 99_002)])
    elif step == "fresh":
        unlearn(made.run_dir, users=["u3"], exactness="fresh")
    else:
        targets = [(s.user_id, s.item_id) for s in made.data.valid_set.samples]
        unlearn(made.run_dir, interactions=targets)
    result = verify(made.run_dir)
    assert result.holds, result.differences
    assert audit(made.run_dir).findings == []
    opened = evaluate_run(made.run_dir)
    data, kept = opened.data.train_set.run_data, fitted_of(made.run_dir)
    codes = ItemCodes(data.rows.items.names)
    counted = Statistics.of([data], codes, needed_pairs(targets_of([data], codes, TermOptions()), TermOptions()))
    assert by_name(kept) == by_name(type(kept)(counted, {}, None, TermOptions()))
    assert kept.statistics.items.n.sum() == (data.notes.roles == 0).sum()
    if step == "added":
        assert kept.statistics.items.n.sum() > fitted_before.statistics.items.n.sum()
    if step == "all validation samples":
        assert kept.combination is None and opened.trainer.combined.served == "model"
        assert opened.metrics["recbole.test.logloss"] == pytest.approx(
            opened.metrics["test.aggregated.decomposition.logloss"], abs=1e-3
        )
        assert predict_pairs(opened, [("u1", "i3")])[0].score == predict_pairs(opened, [("u1", "i3")])[0].model_score


def with_turned(data_folder, folder, line):
    """The board with one line's rating on the other side of the threshold."""
    shutil.copytree(data_folder / "board", folder / "board")
    path = folder / "board" / "board.inter"
    lines = path.read_text().splitlines()
    user, item, rating, time = lines[line].split("\t")
    lines[line] = "\t".join((user, item, "2" if rating == "5" else "5", time))
    path.write_text("\n".join(lines) + "\n")
    return {"data_path": str(folder)}


@pytest.mark.quick(1)
@pytest.mark.parametrize("role, moves", [("test", False), ("train", True)])
def test_a_planted_test_label_moves_no_sum(finished, options, data_folder, tmp_path, role, moves):
    """Training, validation and what is fitted on both do not know the labels of test rows."""
    data = finished.data.train_set.run_data
    wanted = data.targets["test"] if role == "test" else np.flatnonzero(data.notes.roles[data.kept] == 0)
    # a row that is in no other sample's past: each user's last
    line = int(data.kept[wanted[-1] if role == "test" else wanted[0]]) + 1
    planted = with_turned(data_folder, tmp_path / "data", line)
    made = run("APA", "board", config_dict={**options, **planted, "variants": "none"}, run_dir=tmp_path / "run")
    before, after = by_name(finished.trainer.combined.fitted), by_name(fitted_of(made.run_dir))
    assert (before != after) == moves
    if role == "test":
        told = made.trainer.combined.fitted.combination.to_json()
        assert told == finished.trainer.combined.fitted.combination.to_json()


@pytest.mark.slow
def test_a_run_without_times_counts_the_order_of_rows(options, data_folder, tmp_path):
    given = {**options, "variants": "none", "epochs": 1}
    given["load_col"] = {**given["load_col"], "inter": ["user_id", "item_id", "rating"]}
    made = run("APA", "timeless", config_dict=given, run_dir=tmp_path / "run")
    assert made.store.manifest()["settings"]["evidence"] == "counts"
    unlearn(made.run_dir, users=["u3"])
    assert verify(made.run_dir).holds and audit(made.run_dir).findings == []
