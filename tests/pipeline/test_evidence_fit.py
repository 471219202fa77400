"""Which scores of the validation samples the combination is fitted on."""

import pytest
import torch

from recbole_apa import APATrainer, audit, catch_up, run, unlearn, verify
from recbole_apa.core.collaborative_settings import CollaborativeSettings
from recbole_apa.evaluation.report.evidence_lines import evidence_lines
from recbole_apa.evaluation.report.run_table import HEADERS, table_rows, validation_note
from recbole_apa.model.lineage import sample_order

FEW = {"train_samples": 12, "valid_samples": 8, "test_samples": 6, "n_shards": 2, "epochs": 1, "evidence": "counts"}


def scores_by_id(made, how):
    """What the run's adapters say of the validation samples."""
    part = made.data.valid_set
    weights = made.trainer.validation_scores(part)["weights"]
    return made.trainer.aggregate(part, weights, how, "Score", False)[sample_order(part.samples)].double()


def made_with(options, folder, **changes):
    return run("APA", "board", config_dict={**options, **FEW, "variants": "chosen", **changes}, run_dir=folder)


@pytest.mark.quick(1)
@pytest.mark.parametrize(("fit", "how"), [("averages", "prediction"), ("merged", "decomposition")])
def test_the_combination_is_fitted_on_the_scores_that_are_asked_for(options, tmp_path, fit, how):
    made = made_with(options, tmp_path / "run", evidence_fit=fit)
    kept = torch.from_numpy(made.trainer.combined.fitted.scores["valid"])
    torch.testing.assert_close(kept, scores_by_id(made, how), rtol=0, atol=1e-6)
    other = scores_by_id(made, "decomposition" if how == "prediction" else "prediction")
    assert not torch.allclose(kept, other, rtol=0, atol=1e-6)
    # what nothing rests on takes no pass; the table has averages in its place, and says so
    averaged = fit == "averages"
    assert "valid.aggregated.prediction.auc" in made.metrics and "test.aggregated.decomposition.auc" in made.metrics
    assert ("valid.aggregated.decomposition.auc" in made.metrics) != averaged
    own = dict(zip(HEADERS, next(row for row in table_rows(made.metrics) if row[0].startswith("APA(D)")), strict=True))
    assert own["valid LogLoss"] == f"{made.metrics[f'valid.aggregated.{how}.logloss']:.4f}"
    assert ("averages of its adapters' scores" in validation_note(made.metrics)) == averaged
    assert made.metrics["evidence.log_loss.model"] == pytest.approx(made.metrics[f"valid.aggregated.{how}.logloss"])
    said = "averages of its adapters' here" in " ".join(evidence_lines(made.metrics))
    assert said == averaged
    assert (made.store.manifest()["settings"].get("evidence_fit") == "averages") == averaged


@pytest.mark.slow
def test_all_variants_have_their_own_validation_figures(options, tmp_path):
    made = made_with(options, tmp_path / "run", evidence_fit="averages", variants="all")
    how = ("decomposition", "non_decomposition", "prediction")
    assert {f"valid.aggregated.{name}.auc" for name in how} <= made.metrics.keys()
    assert "averages of its adapters' scores" not in validation_note(made.metrics)


@pytest.mark.slow
def test_averages_cost_a_request_no_pass_with_merged_adapters(options, tmp_path, monkeypatch):
    made = made_with(options, tmp_path / "run", evidence_fit="averages", shard_slices=2)
    user = made.data.train_set.samples[0].user_id
    with monkeypatch.context() as without:
        without.delattr(APATrainer, "aggregate")
        unlearn(made.run_dir, users=[user], at_once=True)
        assert audit(made.run_dir).findings == []
    catch_up(made.run_dir)
    assert audit(made.run_dir).findings == [] and verify(made.run_dir).holds


def test_a_run_from_before_the_option_is_fitted_on_merged_adapters():
    assert CollaborativeSettings.noted({"evidence": "counts"}).evidence_fit == "merged"
    assert not CollaborativeSettings.noted({"evidence": "none", "evidence_fit": "averages"}).fits_averages
