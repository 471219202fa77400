"""The model of slices against draws and a simulated stream."""

import numpy as np
import pytest

from recbole_apa.unlearning.capacity import DAY, ShardWork, StepCosts, Stream, plan, shards_hit, waiting_times
from recbole_apa.unlearning.capacity_disk import DiskCosts
from recbole_apa.unlearning.capacity_slices import makespan, share_of_batch, share_of_one, shares_of

STREAM = Stream(500, 100_000, 11)


def test_known_answers():
    assert share_of_one(1) == 1 and [share_of_one(n) for n in (4, 8, 16)] == [0.625, 0.5625, 0.53125]
    assert share_of_batch(8, 1e9) == pytest.approx(1) and share_of_batch(8, 0) == 0
    assert share_of_batch(1, 2.0) == pytest.approx(1 - np.exp(-2))
    # so few requests that no shard has two
    assert share_of_batch(8, 1e-6) == pytest.approx(1e-6 * share_of_one(8), rel=1e-4)
    assert shares_of([{0, 1}, {1, 2}], [0.25, 0.75]) == {0: 0.25, 1: 0.75, 2: 0.75}
    assert makespan([], 2) == 0 and makespan([3.0] * 5, 2) == 9.0 and makespan([5, 3, 3, 2], 2) == 7


@pytest.mark.quick(1)
@pytest.mark.parametrize("n_slices", [1, 4, 8])
@pytest.mark.parametrize("mean", [0.3, 2.0])
def test_the_share_of_a_batch_is_what_draws_give(n_slices, mean):
    generator = np.random.default_rng(0)
    counts = generator.poisson(mean, 40_000)
    drawn = [max(generator.integers(1, n_slices + 1, n), default=0) / n_slices for n in counts.tolist()]
    assert np.mean(drawn) == pytest.approx(share_of_batch(n_slices, mean), abs=0.01)


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("k", [4, 64])
def test_a_simulated_stream_trains_what_the_model_says(batched, k):
    _, trained = waiting_times(STREAM, ShardWork(k, 1.0, n_slices=8), batched, n_requests=20_000)
    per_interval, hit = STREAM.requests_per_day * STREAM.interval / DAY, shards_hit(k, 11)
    expected = hit * share_of_one(8) if not batched else k * share_of_batch(8, per_interval * hit / k) / per_interval
    assert trained == pytest.approx(expected, rel=0.02)


@pytest.mark.slow
def test_a_plan_with_slices_spares_training_and_not_scoring():
    costs = {n: StepCosts(0.1, 0.05, 100, 1, 1, DiskCosts(1, 1, 1, 1), n) for n in (1, 8)}
    (whole,), (sliced,) = (plan(Stream(5, 1000, 1), costs[n], [250]) for n in (1, 8))
    train, score = 25.0, 5.0
    assert whole.hours_at_once == pytest.approx(5 * (train + score) / 3600)
    assert sliced.hours_at_once == pytest.approx(5 * (0.5625 * train + score) / 3600)
    assert sliced.hours_batched < whole.hours_batched and sliced.p95_at_once <= whole.p95_at_once
    assert sliced.seconds_of_prefix == whole.seconds_of_prefix == pytest.approx(score)
    assert sliced.hours_caught_up < whole.hours_caught_up <= whole.hours_batched
