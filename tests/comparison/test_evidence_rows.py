"""Rows of collaborative statistics alone, and APA with them."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from recbole_apa import compare
from recbole_apa.backbone import text_states
from recbole_apa.collaborative.pasts import pasts_of
from recbole_apa.comparison.measured import measure
from recbole_apa.comparison.methods import sharded
from recbole_apa.comparison.methods.evidence import Joined, asked_of, fitted_on, untested_pasts
from recbole_apa.comparison.registry import make_methods
from recbole_apa.comparison.run_methods import _key
from recbole_apa.core.errors import DataError, SettingsError
from recbole_apa.data.baseline_rows import split_targets
from recbole_apa.data.index.rows import TEST, TRAIN, VALID
from tests.helpers.compared import with_other_label

CONTEXT_FREE = (
    "Evidence",
    "Evidence-shown",
    "Evidence-fixed",
    "ItemMean",
    "HistoryLikeRate+ItemMean",
    "FM",
    "EASE+history",
)


@pytest.fixture
def opened(opened):
    """Opens a comparison with few validation samples, and with every row of the test split where asked to."""

    def open_it(whole=False, **changes):
        context = opened(**{"valid_samples": 8, **changes})
        context.all_test_rows = whole
        return context

    return open_it


def test_a_planted_test_label_moves_no_sum_no_coefficient_and_no_other_users_score(
    opened, options, data_folder, tmp_path
):
    context = opened()
    sample = context.splits["test"][0]
    planted = opened(data_path=with_other_label(data_folder, tmp_path / "data", sample))
    assert planted.splits["test"][0].label != sample.label
    for name in ("Evidence", "Evidence-shown"):
        (mine,), (theirs,) = make_methods(context, [name]), make_methods(planted, [name])
        assert mine.fit(1).n_labels == theirs.fit(1).n_labels
        sums, others = mine._made[0].source.items, theirs._made[0].source.items
        assert all(np.array_equal(getattr(sums, key), getattr(others, key)) for key in ("n", "values", "squares"))
        assert mine._made[1].coefficients.tolist() == theirs._made[1].coefficients.tolist()
        elsewhere = np.array([s.user_id != sample.user_id for s in context.splits["test"]])
        found, other = mine.score(name).scores, theirs.score(name).scores
        assert elsewhere.any() and found[elsewhere].tolist() == other[elsewhere].tolist()


def test_labels_are_the_rows_of_the_training_period_and_the_validation_samples(opened):
    context = opened()
    (method,) = make_methods(context, ["Evidence"])
    roles = context.run_data.notes.roles[context.run_data.kept]
    assert method.fit(1).n_labels == (roles == TRAIN).sum() + len(context.splits["valid"])
    with pytest.raises(DataError, match="raise valid_samples"):
        make_methods(opened(valid_samples=0), ["Evidence"])[0].fit(1)


def test_evidence_reads_the_whole_past_and_its_twin_the_lines_of_the_prompt(opened):
    context = opened(MAX_ITEM_LIST_LENGTH=2)
    whole, shown = make_methods(context, ["Evidence", "Evidence-shown"])
    targets = context.run_data.targets["test"]
    asked = asked_of(context, context.run_data)
    assert shown._pasts(asked, context.run_data, targets).lengths.max() == 2
    assert whole._pasts(asked, context.run_data, targets).lengths.max() > 2
    for method in (whole, shown):
        method.fit(1)
    assert whole.score("Evidence").scores.tolist() != shown.score("Evidence-shown").scores.tolist()


def test_at_one_moment_a_users_rows_differ_by_their_items_alone(opened):
    """A rate that knows a user's earlier test rows puts a like last: after it the rate is high, and what is left is not
    liked. Without them all of a user's rows have the same rate."""
    thirds = {"split": {"RS": [0.4, 0.2, 0.4]}, "order": "TO", "group_by": "user", "mode": "labeled"}
    context = opened(True, eval_args=thirds)
    usual, fixed = make_methods(context, ["Evidence", "Evidence-fixed"])
    data, targets = context.run_data, context.tested.targets
    for method in (usual, fixed):
        method.fit(1)
    assert usual._made[1].coefficients.tolist() == fixed._made[1].coefficients.tolist()
    terms = usual._made[0].source
    names = [terms.names.index(name) for name in ("bias", "recent_bias", "recent_rate")]
    users = np.array(data.rows.users.texts(targets))
    varied = [
        max(np.ptp(terms.table(pasts)[users == user][:, names], axis=0).max() for user in set(users))
        for pasts in (pasts_of(data, targets), untested_pasts(usual._made[0], data, targets))
    ]
    assert varied[0] > 0 and varied[1] == 0
    firsts = [np.flatnonzero(users == user)[0] for user in set(users)]
    found, other = usual.score("Evidence").all_scores, fixed.score("Evidence-fixed").all_scores
    assert found[firsts].tolist() == other[firsts].tolist() and found.tolist() != other.tolist()


def test_a_request_leaves_what_a_fit_without_the_row_gives(opened):
    context = opened()
    (method,) = make_methods(context, ["Evidence"])
    before = method.fit(1).n_labels
    method.unlearn()
    user, item = context.request()
    assert len(method._made[0].source.rows) == before - len(fitted_on(context.run_data)) - 1
    left = asked_of(context, context.data_without(user, item))
    assert method._made[0].source.items.values.tolist() == left.source.items.values.tolist()


@pytest.mark.parametrize("name", CONTEXT_FREE)
def test_scores_of_all_test_rows_contain_those_of_the_samples(name, opened):
    few = {"FM": {"epochs": 2}}
    plain, whole = opened(test_samples=5), opened(True, test_samples=5)
    (alone,), (method,) = make_methods(plain, [name], few), make_methods(whole, [name], few)
    for each in (alone, method):
        each.fit(1)
    found, expected = method.score(name), alone.score(name)
    targets = split_targets(whole.run_data, TEST)
    assert len(found.all_scores) == len(targets) > 5 and expected.all_scores is None
    assert found.scores == pytest.approx(expected.scores, abs=1e-6)
    assert set(whole.run_data.targets["test"].tolist()) <= set(targets.tolist())
    roles = whole.run_data.notes.roles[whole.run_data.kept]
    assert set(roles[targets]) == {TEST} and set(roles[split_targets(whole.run_data, VALID)]) == {VALID}
    assert len(found.all_scores) == len(whole.tested.samples)
    if name == "ItemMean":
        means = {}
        for item, label in whole.train_rows:
            means.setdefault(item, []).append(label)
        assert found.all_scores == pytest.approx([np.mean(means[s.item_id]) for s in whole.tested.samples])


@pytest.mark.slow
def test_stored_rows_are_of_the_values_and_the_fit_that_were_asked_for(opened):
    """A row of sums of labels was shown as one of sums of ratings, one fitted on averages as one on merged adapters."""

    def keys(row):
        asked = (
            {"evidence_values": v, "evidence_fit": f} for v in ("labels", "ratings") for f in ("averages", "merged")
        )
        return [_key(opened(**changes), row, {}) for changes in asked]

    for row in ("Evidence", "Evidence-shown", "Evidence-fixed"):
        first, second, third, fourth = keys(row)
        assert first == second != third == fourth, "alone, no score of the language model is in it"
    assert len(set(keys("APA(D)+Evidence"))) == 4
    assert len(set(keys("APA(D)"))) == len(set(keys("FM"))) == 1


def test_joined_scores_know_the_model(opened):
    """A model that knows the labels makes the two together right; one that knows nothing leaves evidence as it is."""
    context = opened(valid_samples=None, test_samples=None)
    labels = {name: np.array([s.label for s in context.splits[name]]) for name in ("valid", "test")}
    scores = {name: 0.1 + 0.8 * y for name, y in labels.items()}
    both = Joined.fit(context, scores["valid"]).scores(context, scores["test"])
    assert both[labels["test"] == 1].min() > both[labels["test"] == 0].max()
    blind = Joined.fit(context, np.full(len(labels["valid"]), 0.5))
    (method,) = make_methods(context, ["Evidence"])
    method.fit(1)
    assert blind.scores(context, np.full(len(labels["test"]), 0.5)) == pytest.approx(method.score("Evidence").scores)


@pytest.mark.slow
def test_a_row_with_evidence_has_its_own_labels_seconds_parameters_and_requests(opened, monkeypatch):
    """The shared training knows 10 samples; the row beside it also every row of the training period and the validation
    samples, and pays for them at each request."""
    context = opened(train_samples=10, epochs=1, n_shards=2)
    (method,) = make_methods(context, ["APA(D)", "APA(D)+Evidence"])
    evidence, seconds = make_methods(context, ["Evidence"])[0].fit(1), 100.0
    fit = Joined.fit

    def slow(*given):
        clock[0] += seconds
        asked.append(fit(*given))
        return asked[-1]

    clock, asked, real = [0.0], [], sharded.time.perf_counter
    monkeypatch.setattr(Joined, "fit", slow)
    monkeypatch.setattr(sharded, "time", SimpleNamespace(perf_counter=lambda: real() + clock[0]))
    plain, joined = measure(context, method, ["APA(D)", "APA(D)+Evidence"], 1)
    samples = context.splits
    learnt = {s.sample_id for s in samples["train"]} | {h.interaction_id for s in samples["train"] for h in s.history}
    data = context.run_data
    roles = data.notes.roles[data.kept]
    known = set(data.rows.row_ids(np.flatnonzero(roles == TRAIN))) | {s.sample_id for s in samples["valid"]}
    assert plain.figures["n_labels"] == len(learnt) < evidence.n_labels == len(known)
    assert joined.figures["n_labels"] == len(learnt | known)
    assert joined.figures["n_parameters"] == plain.figures["n_parameters"] + len(asked[0].asked.source.names) + 2
    for key in ("train_seconds", "unlearn_seconds"):
        assert seconds <= joined.figures[key] - plain.figures[key] < seconds + 60
    for kind in ("interactions", "users", "items"):
        assert joined.figures[f"drawn_{kind}"] == plain.figures[f"drawn_{kind}"]
        assert joined.figures[f"drawn_{kind}_seconds"] > seconds > plain.figures[f"drawn_{kind}_seconds"]
    # the second fit, after the request, has one row less
    assert [len(each.asked.source.rows) for each in asked] == [sum(roles == TRAIN), sum(roles == TRAIN) - 1]


@pytest.mark.slow
def test_compare_has_the_rows(options, work_folder, tmp_path):
    given = {**options, "valid_samples": 8, "test_samples": 8, "epochs": 1}
    found = compare(["evidence", "ItemMean"], "board", config_dict=given, folder=tmp_path / "out", all_test_rows=True)
    assert not found.problems
    rows = {row.method: row for row in found.rows if row.seed == given["seed"]}
    assert {"Evidence", "Evidence-shown", "APA(D)+Evidence"} <= set(rows)
    n_all = len(json.loads((tmp_path / "out" / "samples.json").read_text())["all_label"])
    assert len(rows["Evidence"].all_scores) == n_all > len(rows["Evidence"].scores)
    assert not rows["APA(D)+Evidence"].all_scores and rows["APA(D)+Evidence"].scores != rows["APA(D)"].scores
    assert "every row of the test split" in found.table
    again = compare(["evidence"], "board", config_dict=given, folder=tmp_path / "out", all_test_rows=True)
    (kept,) = [row for row in again.rows if row.method == "Evidence"]
    assert (kept.figures, kept.scores) == (rows["Evidence"].figures, rows["Evidence"].scores)  # not computed again
    assert kept.all_scores == rows["Evidence"].all_scores
    with pytest.raises(SettingsError, match="all_test_rows"):
        ranked = {**given, "eval_args": {**given.get("eval_args", {}), "mode": "uni3"}}
        compare(["evidence"], "board", config_dict=ranked, folder=tmp_path / "ranked", all_test_rows=True)


@pytest.mark.slow
def test_a_row_that_cannot_join_evidence_fails_alone(options, work_folder, tmp_path):
    """The rows that share its training are measured."""
    given = {**options, "valid_samples": 0, "epochs": 1}
    found = compare(["APA(D)+Evidence"], "board", config_dict=given, folder=tmp_path / "out")
    assert {row.method for row in found.rows if row.status != "done"} == {"APA(D)+Evidence"}
    assert "DataError" in found.problems[0] and "raise valid_samples" in found.problems[0]


@pytest.mark.slow
def test_candidates_are_ranked_by_evidence(options, work_folder, tmp_path):
    given = {**options, "valid_samples": 8, "test_samples": 8, "epochs": 1}
    ranked = {**given, "eval_args": {**given.get("eval_args", {}), "mode": "uni3"}}
    found = compare(["evidence"], "board", config_dict=ranked, folder=tmp_path / "out")
    assert not found.problems
    assert all("ndcg@10" in row.figures for row in found.rows if "Evidence" in row.method)


def test_states_of_item_texts_are_read_once_for_all_rows(opened, monkeypatch):
    changes = {"evidence_content": "both", "evidence_columns": ["title", "year"], "evidence_text": "{title} of {year}"}
    context, read = opened(**changes), []
    read_texts = text_states.text_states
    monkeypatch.setattr(text_states, "text_states", lambda e, texts: (read.extend(texts), read_texts(e, texts))[1])
    whole, shown = make_methods(context, ["Evidence", "Evidence-shown"])
    for method in (whole, shown):
        method.fit(1)
    asked = whole._made[0]
    assert asked.source.names[-2:] == ("content", "content_states") and len(whole._made[1].coefficients) == 7
    assert len(read) == len(set(read)) == len(asked.names) and all(" of " in text for text in read)
    assert np.isfinite(whole.score("Evidence").scores).all()
    plain = asked_of(opened(), context.run_data).source
    assert plain.names == asked.source.names[:5]
