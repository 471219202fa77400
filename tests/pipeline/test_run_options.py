"""Runs with other partitions, and with a shorter evaluation."""

import json
from types import SimpleNamespace

import pytest

from recbole_apa import evaluate_run, run, unlearn, verify
from recbole_apa.core.errors import SettingsError
from recbole_apa.pipeline.build import _as_evaluated


def test_a_run_is_evaluated_again_as_it_was(tmp_path):
    """Validation figures have every adapter anyhow: all variants were scored on test samples where one had been."""
    for figures, expected in (
        ({"valid.adapters.000.auc": 0.5, "test.aggregated.decomposition.auc": 0.5}, {}),
        ({"valid.adapters.000.auc": 0.5, "test.adapters.000.auc": 0.5}, {"variants": "all"}),
    ):
        (tmp_path / "metrics.json").write_text(json.dumps(figures))
        store = SimpleNamespace(folder=tmp_path, manifest=dict, has=lambda name: True)
        assert _as_evaluated(store) == expected


@pytest.mark.quick(1)
@pytest.mark.parametrize("partition", ["user", "item", "bekm", "blpa"])
def test_partitions_of_a_collaborative_model_run_and_keep_users_together(partition, options, tmp_path):
    result = run("APA", "board", config_dict={**options, "partition": partition}, run_dir=tmp_path / "run")
    shard_of = result.trainer.partition.shard_of
    samples = result.data[0]._dataset.samples
    units = {s.sample_id: s.item_id if partition == "item" else s.user_id for s in samples}
    assert len({(unit, shard_of[name]) for name, unit in units.items()}) == len(set(units.values()))
    assert result.metrics["test.aggregated.decomposition.logloss"] > 0


def test_an_unknown_partition_is_refused(options, tmp_path):
    with pytest.raises(SettingsError, match="found 'sematic', expected one of semantic, semantic_user, random"):
        run("APA", "board", config_dict={**options, "partition": "sematic"}, run_dir=tmp_path / "run")


@pytest.mark.slow
def test_the_chosen_variant_alone_has_the_figures_it_has_among_all(options, finished, tmp_path):
    result = run("APA", "board", config_dict={**options, "variants": "chosen"}, run_dir=tmp_path / "run")
    figures = {k: v for k, v in result.metrics.items() if k.startswith("test.") and ".aggregated." in k}
    assert {k.split(".")[2] for k in figures} == {"decomposition"}
    assert figures == {k: finished.metrics[k] for k in figures}
    assert not [k for k in result.metrics if k.startswith("test.adapters")]


@pytest.mark.slow
def test_strict_forgetting_computes_a_collaborative_partition_again(options, tmp_path):
    run("APA", "board", config_dict={**options, "partition": "user"}, run_dir=tmp_path / "run")
    planned = unlearn(tmp_path / "run", users=["u3"], exactness="strict", dry_run=True).plan
    done = unlearn(tmp_path / "run", users=["u3"], exactness="strict").outcomes[0]
    record = done.result.trainer.record
    trained = [k for k, n in enumerate(record.sizes) if n and k not in record.taken_over]
    assert set(planned.shards) >= set(trained) and trained
    assert verify(tmp_path / "run").holds


def test_a_capacity_of_samples_is_refused_where_it_would_be_passed_over(options, tmp_path):
    with pytest.raises(SettingsError, match="needs partition: semantic, semantic_user or random, found 'bekm'"):
        run("APA", "board", config_dict={**options, "partition": "bekm", "shard_capacity": 20}, run_dir=tmp_path / "r")


@pytest.mark.parametrize("option", ["variants=most", "variants=1"])
def test_an_unknown_evaluation_is_refused(option, options, tmp_path):
    name, _, value = option.partition("=")
    with pytest.raises(SettingsError, match=r"variants: found .* expected all, chosen or none"):
        run("APA", "board", config_dict={**options, name: value}, run_dir=tmp_path / "r")


@pytest.mark.slow
def test_without_validation_samples_all_adapters_count_the_same(options, tmp_path):
    result = run("APA", "board", config_dict={**options, "valid_samples": 0}, run_dir=tmp_path / "run")
    weights = result.model.weights(result.model.prompts(result.data[2]._dataset.labelled))
    assert weights.allclose(weights.new_full(weights.shape, 1 / 3))
    assert "test.aggregated.decomposition.auc" in result.metrics
    assert not [key for key in result.metrics if key.startswith("valid.")]
    again = evaluate_run(tmp_path / "run")
    assert again.metrics["test.aggregated.decomposition.auc"] == result.metrics["test.aggregated.decomposition.auc"]
    with pytest.raises(SettingsError, match="valid_samples: found -1, expected at least 0"):
        run("APA", "board", config_dict={**options, "valid_samples": -1}, run_dir=tmp_path / "other")
