"""Seeds that draw other samples; requests drawn by hash, and how many shards they reach."""

import json

import pytest

from recbole_apa import compare
from recbole_apa.cli.main import main
from recbole_apa.comparison import ForgetRequest, compare_forgetting
from recbole_apa.comparison.context import context_in, open_context
from recbole_apa.comparison.presets import read_preset
from recbole_apa.comparison.report.costs import drawn_note, drawn_table
from recbole_apa.comparison.report.forgetting import write_forgetting
from recbole_apa.comparison.requests import TrainedSamples, drawn_figures, shards_hit
from recbole_apa.comparison.row import DONE, Row
from recbole_apa.core.errors import SettingsError
from recbole_apa.core.places import Places, Slices
from recbole_apa.data.samples import HistoryEntry, Sample
from recbole_apa.data.splits import SPLITS


def sample(user, item, *history):
    entries = tuple(HistoryEntry(shown, 1, f"{user}:{shown}") for shown in history)
    return Sample(f"{user}:{item}", user, item, 1, entries)


SAMPLES = [sample("u", "b", "a"), sample("u", "c", "a", "b"), sample("v", "a"), sample("v", "d", "a"), sample("w", "d")]
SHARD_OF = {"u:b": 0, "u:c": 1, "v:a": 2, "v:d": 2, "w:d": 0}


def test_shards_that_a_request_reaches_by_hand():
    """u:a is shown in both of u's prompts, u:b in one and the target of the other."""
    assert shards_hit(SAMPLES, SHARD_OF, "interactions") == {
        "u:b": {0, 1},
        "u:a": {0, 1},
        "u:c": {1},
        "v:a": {2},
        "v:d": {2},
        "w:d": {0},
    }
    assert shards_hit(SAMPLES, SHARD_OF, "users") == {"u": {0, 1}, "v": {2}, "w": {0}}
    assert shards_hit(SAMPLES, SHARD_OF, "items") == {"b": {0, 1}, "a": {0, 1, 2}, "c": {1}, "d": {0, 2}}


TRAINED = TrainedSamples(SAMPLES, SHARD_OF, 3)
COST = {"seconds": 56.0, "memory_seconds": 6.0, "shard_seconds": [20.0, 10.0, 20.0], "shard_samples": [2, 1, 2]}


def test_what_is_counted_beside_the_shards_adds_its_seconds_to_the_same_requests():
    """Requests that no prompt shows would cost a single model nothing, and are in none of the ratios."""
    alone, found = drawn_figures(TRAINED, COST), drawn_figures(TRAINED, COST, 7.0)
    assert found["drawn_further_seconds"] == 7 and "drawn_further_seconds" not in alone
    for kind in ("interactions", "users", "items"):
        assert found[f"drawn_{kind}_seconds"] == pytest.approx(7 + alone[f"drawn_{kind}_seconds"])
        assert found[f"drawn_{kind}_shards_hit"] == alone[f"drawn_{kind}_shards_hit"]
    rows = [Row("A", 1, DONE, figures=alone), Row("B", 1, DONE, figures=found)]
    assert "B: the same requests" in drawn_note(rows) and "the same requests" not in drawn_note(rows[:1])


def test_the_average_request_by_hand():
    """Ten seconds a sample, two for a shard's column of the memory; u reaches 3 samples in 2 shards, v and w 2 in 1."""
    found = drawn_figures(TRAINED, COST)
    assert found["drawn_users"] == 3 and found["drawn_users_shards_hit"] == pytest.approx(4 / 3)
    assert found["drawn_users_seconds"] == pytest.approx((34 + 22 + 22) / 3)
    assert found["drawn_interactions"] == 6 and found["drawn_interactions_shards_hit"] == pytest.approx(8 / 6)
    assert found["drawn_items_shards_hit"] == pytest.approx(8 / 4)
    assert drawn_figures(TRAINED, {**COST, "shard_seconds": [0, 0, 0]}) == {}


def test_with_slices_a_request_trains_again_from_the_first_that_it_reaches_by_hand():
    """u is in slice 0, v and w are in slice 1: in shard 0 u comes before w; shards 1 and 2 have one slice."""
    cut = Places(slices=Slices(2, listed={"u": 0, "v": 1, "w": 1}.get))
    trained = TrainedSamples(SAMPLES, SHARD_OF, 3, cut)
    assert trained.reached("users") == {"u": {0: (0, 0), 1: (0, 0)}, "v": {2: (0, 1)}, "w": {0: (0, 1)}}
    # d is v's and w's: after u's sample in shard 0
    assert trained.reached("items")["d"] == {2: (0, 1), 0: (0, 1)} and trained.reached("items")["a"][0] == (0, 0)
    assert [trained.n_again(first) for first in trained.reached("users").values()] == [3, 2, 1]
    found, whole = drawn_figures(trained, COST), drawn_figures(TRAINED, COST)
    assert found["drawn_users_seconds"] == pytest.approx((34 + 22 + 12) / 3)
    assert found["drawn_users_shards_hit"] == whole["drawn_users_shards_hit"] == whole["drawn_users_shards_again"]
    assert found["drawn_users_shards_again"] == pytest.approx((2 + 1 + 0.5) / 3)
    # b: u alone; a: u, and v in shard 2; c: u in shard 1; d: half of shard 0, and shard 2
    assert found["drawn_items_shards_again"] == pytest.approx((2 + 3 + 1 + 1.5) / 4)
    rows = [Row("A", 1, DONE, figures={**figures, "train_seconds": 56, "n_shards": 3}) for figures in (whole, found)]
    cells = [drawn_table([row])[1][0][1] for row in rows]
    assert cells[0] == "1.33 / 1.33 / 2.00 of 3" and cells[1] == f"{cells[0]}, 1.25 / 1.17 / 1.88 trained again"


def test_only_some_requests_are_drawn_by_hash_whatever_the_order(monkeypatch):
    monkeypatch.setattr("recbole_apa.comparison.requests.MOST_DRAWN", 2)
    one = drawn_figures(TRAINED, COST)
    assert one["drawn_items"] == 2
    assert drawn_figures(TrainedSamples(SAMPLES[::-1], SHARD_OF, 3), COST) == one


def ids(context):
    return {name: {s.sample_id for s in context.splits[name]} for name in SPLITS}


def test_a_seed_draws_samples_of_its_own_if_it_is_asked_to(options, work_folder, tmp_path):
    few = {**options, "train_samples": 15, "valid_samples": 5, "test_samples": 5}
    plain = ids(open_context("board", [], few, tmp_path))
    with context_in(tmp_path / "same", "board", [], few) as context:
        assert context.drawn_for(7) is context and ids(context) == plain
    with context_in(tmp_path / "other", "board", [], few, redraw=True) as context:
        one, other, again = (context.drawn_for(seed) for seed in (1, 2, 1))
        assert ids(one) == ids(again) and one.rows_digest == again.rows_digest
        assert len({context.rows_digest, one.rows_digest, other.rows_digest}) == 3
        assert one.caches is other.caches is context.caches and one.presplit() != other.presplit()
    for found in (ids(one), ids(other)):
        assert {name: len(found[name]) for name in SPLITS} == {"train": 15, "valid": 5, "test": 5}
        assert found["train"] != plain["train"]
    with (
        pytest.raises(SettingsError, match="draw_seed: found 3 with redraw"),
        context_in(tmp_path / "both", "board", [], {**few, "draw_seed": 3}, redraw=True),
    ):
        pass


@pytest.mark.slow
def test_a_comparison_of_seeds_that_draw_other_samples(options, work_folder, tmp_path):
    few = {**options, "train_samples": 15, "valid_samples": 5, "test_samples": 8, "epochs": 1}
    result = compare(["HistoryLikeRate"], "board", (), few, seeds=2, folder=tmp_path, slices=True, redraw=True)
    assert {row.status for row in result.rows} == {DONE}
    data = {(row.method, row.seed): row.digests["data"] for row in result.rows}
    assert data["APA(D)", 1] == data["Retraining", 1] != data["Retraining", 2] == data["HistoryLikeRate", 2]
    told = [json.loads((tmp_path / name).read_text()) for name in ("samples.json", "samples-2.json")]
    assert all(len(samples["label"]) == len(samples["user"]) == 8 for samples in told)
    assert "noise of draw and training" in result.table and "Retraining, another seed and draw" in result.table
    again = compare(["HistoryLikeRate"], "board", (), few, seeds=2, folder=tmp_path, redraw=True)
    assert [row.figures for row in again.rows] == [row.figures for row in result.rows]
    one_draw = compare(["HistoryLikeRate"], "board", (), few, seeds=2, folder=tmp_path)
    assert len({row.digests["data"] for row in one_draw.rows}) == 1
    assert not {row.digests["data"] for row in one_draw.rows} & set(data.values())
    assert "the noise of training alone" in one_draw.table
    sharded = [row for row in one_draw.rows if row.method == "APA(D)"]
    assert all(1 <= row.figures["drawn_users_shards_hit"] <= 3 for row in sharded)


def test_redraw_is_an_option_of_comparisons(tmp_path, capsys):
    (tmp_path / "mine.yaml").write_text("compare: [rules]\nredraw: true\n")
    assert read_preset(str(tmp_path / "mine.yaml")).redraw and not read_preset("table1").redraw
    assert main(["--model=APA", "--dataset=board", "--redraw"]) == 2
    assert "--redraw: expected together with --compare" in capsys.readouterr().err


def test_what_the_spread_of_a_forgetting_comparison_is_of(tmp_path):
    rows = [Row("NPO", seed, DONE, figures={"n_forget": 1, "n_requests": 1}) for seed in (1, 2)]
    for redrawn, says in ((False, "from the same samples (--redraw draws others)"), (True, "from other samples.")):
        text = write_forgetting(tmp_path, rows, redrawn)
        for told in (text, (tmp_path / "table.md").read_text(), (tmp_path / "report.html").read_text()):
            assert f"each of which draws its own request {says}" in told
    assert "±" not in write_forgetting(tmp_path, rows[:1])


@pytest.mark.slow
def test_a_forgetting_comparison_draws_other_samples_for_each_seed(options, work_folder, tmp_path):
    few = {**options, "train_samples": 15, "valid_samples": 5, "test_samples": 8, "epochs": 1}
    request = ForgetRequest(n_interactions=1)
    result = compare_forgetting(["APA(D)"], request, "board", (), few, seeds=2, folder=tmp_path, redraw=True)
    assert {row.status for row in result.rows} == {DONE}
    data = {row.seed: row.digests["data"] for row in result.rows}
    assert len(set(data.values())) == 2
    assert all(row.figures["js_divergence"] == 0.0 for row in result.rows if row.method in ("APA(D)", "Retraining"))
