"""The methods of a comparison: one contract, the same rows, one training for all rows that can share it."""

import csv

import numpy as np
import pytest

from recbole_apa.comparison.context import open_context
from recbole_apa.comparison.registry import GROUPS, make_methods
from recbole_apa.core.errors import RunError


@pytest.fixture(scope="module")
def context(options, work_folder, tmp_path_factory):
    return open_context("board", [], options, tmp_path_factory.mktemp("bench"))


CONTRACT = [
    "APA(D)",
    "Retraining",
    "SISA",
    "RecEraser",
    "RecEraser-attention",
    "GraphEraser",
    "BPR",
    "FM",
    "HistoryLikeRate",
]


@pytest.mark.quick(1)
@pytest.mark.parametrize("name", CONTRACT)
def test_every_method_keeps_the_contract(name, context):
    (method,) = make_methods(context, [name], {"BPR": {"epochs": 3}, "FM": {"epochs": 3}})
    if name not in GROUPS["rules"]:
        with pytest.raises(RunError, match="call fit first"):
            method.score(name)
    fitted = method.fit(1)
    scored = method.score(name)
    scores = scored.scores
    assert scores.shape == (len(context.splits["test"]),) and np.isfinite(scores).all()
    assert method.score(name).scores.tolist() == scores.tolist()
    if scored.is_probability:
        assert scores.min() >= 0 and scores.max() <= 1
    n_passes = {"SISA": 3, "RecEraser": 3, "RecEraser-attention": 3, "GraphEraser": 3, "HistoryLikeRate": 0}.get(
        name, 1
    )
    assert scored.forward_passes == n_passes
    forgotten = method.unlearn()
    if name == "HistoryLikeRate":
        assert fitted.n_parameters == forgotten.n_shards_hit == 0
    else:
        assert fitted.seconds > 0 and fitted.n_parameters > 0 and forgotten.seconds > 0
        assert 1 <= forgotten.n_shards_hit <= fitted.n_shards


@pytest.mark.slow
def test_options_that_change_the_rows_fail_and_seeds_do_not_change_them(options, work_folder, tmp_path):
    mixed = {**options, "eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "RO", "mode": "labeled"}}
    drawn = open_context("board", [], mixed, tmp_path)
    (other,) = make_methods(drawn, ["APA:test_samples=5"])
    with pytest.raises(RunError, match=f"test has 5 samples that are not the comparison's {len(drawn.splits['test'])}"):
        other.fit(1)
    (same,) = make_methods(drawn, ["APA(D)"])
    same.fit(7)
    tested = same.made.data[2]._dataset.samples
    assert [s.sample_id for s in tested] == [s.sample_id for s in drawn.splits["test"]]


def test_rows_of_one_training_are_trained_once(context):
    names = ["APA(D)", "APA(ND)", "APA:weight_rule=average", "APA:tau=1000", "SISA", "APA:partition=random"]
    methods = make_methods(context, names)
    assert [tuple(m.rows) for m in methods] == [tuple(names[:4]), tuple(names[4:])]


@pytest.mark.slow
def test_tau_and_n_of_a_row_are_those_that_a_training_with_them_has(context, options, tmp_path):
    row = "APA:tau=1000+n_neighbors=3"
    (served,) = make_methods(context, ["APA(D)", row])
    served.fit(1)
    other = open_context("board", [], {**options, "tau": 1000, "n_neighbors": 3}, tmp_path)
    (trained,) = make_methods(other, ["APA(D)"])
    trained.fit(1)
    assert served.score(row).scores.tolist() == trained.score("APA(D)").scores.tolist()
    (auto,) = make_methods(other, ["APA:tau=auto+n_neighbors=auto"])
    auto.fit(1)
    assert auto.score(auto.rows[0]).scores.tolist() == served.score("APA(D)").scores.tolist()
    assert served.score(row).scores.tolist() != served.score("APA(D)").scores.tolist()


def test_what_a_baseline_forgets_is_in_no_row_it_is_trained_on_again(context):
    user, item = context.request()
    folder = context.presplit_without(user, item)
    for part in ("train", "train_likes", "valid", "test"):
        with open(folder / "presplit" / f"presplit.{part}.inter") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                mine = row["user_id:token"] == user
                assert not mine or item not in [row["item_id:token"], *row["item_id_list:token_seq"].split()]


@pytest.mark.slow
def test_plain_averages_fill_no_memory_and_train_the_same_adapters(context):
    (plain,) = make_methods(context, ["SISA"])
    plain.fit(1)
    assert len(plain.made.model.rule.memory.labels) == 0
    scores = plain.score("SISA").scores.tolist()
    (cache,) = context.caches.values()
    known = cache.n_bytes
    plain.unlearn()
    assert plain.made.data[1]._dataset.samples == [] and plain.made.model.engine.cache.n_bytes < known
    assert cache.n_bytes == known  # the other methods' states are there still
    (both,) = make_methods(context, ["SISA", "APA:partition=random"])
    both.fit(1)
    assert len(both.made.model.rule.memory.labels) == 12
    assert both.score("SISA").scores.tolist() == scores
