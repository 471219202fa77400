"""The model of batching against a simulated stream."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_apa.cli.main import main
from recbole_apa.core.files.whole import read_json
from recbole_apa.unlearning.capacity import (
    DAY,
    ShardWork,
    StepCosts,
    Stream,
    plan,
    shards_hit,
    shards_hit_by_batch,
    waiting_times,
)
from recbole_apa.unlearning.capacity_disk import DiskCosts

COSTS = StepCosts(0.1, 0.05, 100, 1_000_000, 300_000_000, DiskCosts(1_000_000, 2304, 3000, 8, fixed=5_000_000))
STREAM = Stream(500, 100_000, 11)


def test_known_answers():
    assert shards_hit(1, 5) == 1 and shards_hit(4, 1) == pytest.approx(1)
    assert shards_hit(2, 2) == pytest.approx(1.5)
    # so many shards that no two samples share one
    assert shards_hit(10**9, 11) == pytest.approx(11, rel=1e-6)
    # so many requests that no shard is spared
    assert shards_hit_by_batch(8, 11, 1e6) == pytest.approx(8)
    assert shards_hit_by_batch(1, 1, 2.0) == pytest.approx(1 - math.exp(-2))


@settings(deadline=None, max_examples=20)
@given(st.integers(2, 64), st.integers(1, 12), st.integers(0, 99))
def test_the_formula_is_what_draws_give(k, m, seed):
    drawn = np.random.default_rng(seed).integers(k, size=(4000, m))
    counts = [len(set(row)) for row in drawn.tolist()]
    assert np.mean(counts) == pytest.approx(shards_hit(k, m), abs=5 * np.std(counts) / math.sqrt(4000) + 0.01)


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("k", [4, 64, 1024])
def test_a_simulated_stream_trains_what_the_model_says(batched, k):
    _, trained = waiting_times(STREAM, ShardWork(k, 1.0), batched, n_requests=20_000)
    per_interval = STREAM.requests_per_day * STREAM.interval / DAY
    expected = shards_hit(k, 11) if not batched else shards_hit_by_batch(k, 11, per_interval) / per_interval
    assert trained == pytest.approx(expected, rel=0.02)


def test_a_lone_request_waits_for_its_own_training_alone():
    rare = Stream(1, 1000, 1)
    waits, trained = waiting_times(rare, ShardWork(8, 10.0), batched=False, n_requests=200)
    assert trained == 1 and np.allclose(waits, 10.0, atol=1e-6)
    together, _ = waiting_times(rare, ShardWork(8, 10.0), batched=True, n_requests=200)
    assert together.min() >= 10.0 and together.max() <= rare.interval + 20.0


GIVEN = [(None, True, 1), (None, False, 11), (5, True, 5), (5, False, 5)]


@pytest.mark.parametrize(("given", "whole", "expected"), GIVEN)
def test_a_request_reaches_one_sample_if_shards_are_of_whole_users(given, whole, expected):
    stream = Stream(500, 1000, given).reaching(whole)
    assert stream.samples_per_request == stream.m == expected
    assert Stream(500, 1000).m == 11


@pytest.mark.slow
def test_more_shards_cost_less_time_and_more_room():
    lines = plan(STREAM, COSTS, [256, 1024, 4096])
    assert [line.n_shards for line in lines] == [25, 98, 391]
    assert all(a.shard_seconds > b.shard_seconds for a, b in itertools.pairwise(lines))
    assert all(a.disk.total < b.disk.total for a, b in itertools.pairwise(lines))
    assert all(line.hours_batched <= line.hours_at_once for line in lines)


@pytest.mark.slow
def test_batching_serves_sooner_once_single_requests_pile_up():
    (line,) = plan(STREAM, COSTS, [1024])
    assert math.isfinite(line.break_even)
    (below,) = plan(replace(STREAM, requests_per_day=line.break_even / 4), COSTS, [1024])
    (above,) = plan(replace(STREAM, requests_per_day=line.break_even * 2), COSTS, [1024])
    assert below.p95_at_once < below.p95_batched
    assert above.p95_at_once > above.p95_batched
    # a shard that holds everything: there is nothing to share out
    (whole,) = plan(replace(STREAM, n_samples=100), COSTS, [100])
    assert whole.n_shards == 1 and whole.hours_at_once > whole.hours_batched


def test_no_request_waits_longer_than_training_all_shards_twice_and_an_interval():
    flood = Stream(1e6, 1000, 11)
    waits, _ = waiting_times(flood, ShardWork(8, 600.0), batched=True)
    assert waits.max() <= 2 * 8 * 600.0 + flood.interval


@pytest.mark.slow
def test_the_command_answers_from_a_run(finished, tmp_path, capsys):
    asked = ["--plan", "--requests_per_day=500", "--n_samples=10_000", "--shard_size=[250, 1000]"]
    folder = ["--run=" + str(finished.run_dir), f"--plan_dir={tmp_path / 'plan'}"]
    assert main([*asked, *folder]) == 0
    assert "40" in capsys.readouterr().out
    written = read_json(tmp_path / "plan" / "plan.json")
    full = finished.trainer.store.manifest()["full_training"]
    spent = written["costs"]["seconds_per_sample"] * sum(full["shard_samples"])
    scored = written["costs"]["seconds_per_score"] * 12 * 3
    assert spent + scored == pytest.approx(full["seconds"])
    assert [line["n_shards"] for line in written["plan"]] == [10, 40]
    assert written["stream"]["samples_per_request"] == 11  # the run's shards are of single samples
    assert "How many shards?" in (tmp_path / "plan" / "plan.html").read_text()


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (["--n_samples=100"], "found no requests_per_day"),
        (["--requests_per_day=-1", "--n_samples=100"], "--requests_per_day: found -1, expected a number above 0"),
        (["--requests_per_day=5", "--n_samples=100", "--shard_size=1000"], "shard_size: found 1000, expected 1 to"),
        (["--requests_per_day=5", "--n_samples=100", "--model=BPR"], "expected --model=APA"),
    ],
)
def test_a_plan_of_nonsense_is_refused(asked, expected, capsys):
    assert main(["--plan", *asked]) == 2
    assert expected in capsys.readouterr().err
