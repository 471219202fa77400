"""Benchmarks whose tables stand in the documentation: what they count and keep."""

from dataclasses import replace

import pytest

from benchmarks.next_item_seeds import OnceRead, summary
from benchmarks.shards_reached import averages, slice_sizes
from recbole_apa.comparison.requests import TrainedSamples
from recbole_apa.core.places import Places, Slices
from recbole_apa.data.samples import Sample
from recbole_apa.next_item.differences import differences
from recbole_apa.next_item.fit import fit


def test_a_reader_of_several_seeds_makes_its_passes_once_and_changes_no_bit(read, monkeypatch):
    options, data, reader = read
    once, n_read = OnceRead(reader), []
    real = type(reader.states).of_many
    monkeypatch.setattr(type(reader.states), "of_many", lambda *args: n_read.append(1) or real(*args))
    settings = [replace(options.settings, seed=seed) for seed in (1, 2)]
    shared = [fit(data, once, told) for told in settings]
    assert len(n_read) == 1
    for told, found in zip(settings, shared, strict=True):
        assert differences(found, fit(data, reader, told)) == []


def test_means_and_deviations_are_those_of_the_rows():
    rows = [
        {"figures": {"X": {"test.recall@10": value, "test.ndcg@10": 0.5, "test.mrr@10": 0.1, "valid.ndcg@10": 0.2}}}
        for value in (0.1, 0.3)
    ]
    assert summary(rows) == [["X", "2", "0.2000 ± 0.1414", "0.5000 ± 0.0000", "0.1000 ± 0.0000", "0.2000 ± 0.0000"]]


@pytest.mark.parametrize(("shard_of_last", "n_shards", "share"), [(0, 1.0, 0.5), (1, 1.5, 0.875)])
def test_shards_reached_and_samples_trained_again(shard_of_last, n_shards, share):
    """Two users with two samples each, the first of whom is in shard 1: either the second is in shard 0, 2/4 and 2/4 of
    the samples; or in both, 3/4 and all."""
    samples = [Sample(f"{user}:{item}", user, item, 1, ()) for user in ("a", "b") for item in ("i", "j")]
    shard_of = dict(zip([one.sample_id for one in samples], (1, 1, 0, shard_of_last), strict=True))
    found = averages(TrainedSamples(samples, shard_of, 2, Places(slices=Slices(1, 0))), "users")
    assert (found["requests"], found["shards"], found["again"]) == (2, n_shards, share)


def test_slices_without_samples_are_counted():
    """Two shards of two slices: user a is in one of the first shard's, b in one of the second's."""
    samples = [Sample(f"{user}:{item}", user, item, 1, ()) for user, item in ("ai", "aj", "bi")]
    shard_of = {"a:i": 0, "a:j": 0, "b:i": 1}
    trained = TrainedSamples(samples, shard_of, 2, Places(slices=Slices(2, 0)))
    assert slice_sizes(trained, 2) == {"least": 0, "most": 2, "empty": 2}
