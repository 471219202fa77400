"""Shards trained in one batch come out as each does by itself, within rounding."""

import pytest
import torch

from recbole_apa import audit, run, unlearn
from recbole_apa.adapters.peft_files import read_adapter
from recbole_apa.core.errors import SettingsError
from recbole_apa.core.files.whole import read_json
from recbole_apa.model.shard_trainer import ShardTrainer
from recbole_apa.pipeline.build import build
from recbole_apa.pipeline.config import APAConfig


@pytest.fixture
def ready(options):
    """A model, and the batches of three shards of 20, 9 and 3 samples."""
    changed = {**options, "epochs": 3, "stopping_patience": 1, "stopping_min_delta": 0.005}
    model, data = build(APAConfig("APA", "board", config_dict=changed))
    ids = [s.sample_id for s in data[0]._dataset.samples]
    parts = (ids[:20], ids[20:29], ids[29:32])
    return model, [data[0].shard(part, 4, 2020) for part in parts]


def alone(model, shard, batches):
    model.engine.bank.resize(1)
    return ShardTrainer(model, False).fit(shard, 3, batches, lambda *a: None)


def assert_same(one, other):
    for name in one:
        for x, y in zip(one[name], other[name], strict=True):
            torch.testing.assert_close(x, y, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_each_shard_is_what_it_is_alone(ready):
    model, batches = ready
    singles = [alone(model, k, batches[k]) for k in range(3)]
    together = ShardTrainer(model, False).fit_together([0, 1, 2], 3, batches, lambda *a: None)
    for (factors, history, _), (own, own_history, _) in zip(together, singles, strict=True):
        assert_same(factors, own)
        assert history.step_losses == pytest.approx(own_history.step_losses, rel=1e-3)
        assert history.stopped_early == own_history.stopped_early
    assert len({len(history.step_losses) for _, history, _ in together}) > 1
    name = next(iter(singles[0][0]))
    assert not torch.allclose(singles[0][0][name][1], singles[1][0][name][1], atol=1e-3)


def test_losses_are_logged_by_shard_and_step(ready):
    model, batches = ready
    seen = []
    ShardTrainer(model, False).fit_together([4, 7], 9, batches[:2], lambda name, loss, step: seen.append((name, step)))
    for shard in (4, 7):
        steps = [step for name, step in seen if name == f"Loss/Train/shard_{shard:03d}"]
        assert steps and steps == list(range(len(steps)))


@pytest.mark.slow
def test_a_fused_run_gives_the_figures_of_a_plain_one_and_says_what_it_is(options, finished, tmp_path):
    made = run("APA", "board", config_dict={**options, "fused_shards": 2}, run_dir=tmp_path / "run")
    assert made.trainer.record.trained == [0, 1, 2]
    for k in range(3):
        assert_same(*(read_adapter(folder / f"shards/{k:03d}") for folder in (tmp_path / "run", finished.run_dir)))
    key = "test.aggregated.decomposition.logloss"
    assert made.metrics[key] == pytest.approx(finished.metrics[key], rel=1e-3)
    result = unlearn(tmp_path / "run", users=["u3"])
    certificate = read_json(result.certificates[0])
    assert certificate["fused_shards"] == 2 and not certificate["bit_exact"]
    assert "2 shards at a time" in result.certificates[0].with_suffix(".html").read_text()
    assert audit(tmp_path / "run").holds


@pytest.mark.parametrize("other", [{"lora_dropout": 0.1}, {"workers": 2}])
def test_what_does_not_go_together_is_refused(other, options, tmp_path):
    with pytest.raises(SettingsError, match="fused_shards"):
        run("APA", "board", config_dict={**options, "fused_shards": 2, **other}, run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()
