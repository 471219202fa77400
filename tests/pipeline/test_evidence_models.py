"""RecBole models among the evidence of a run: trained on the training period alone, and again on every request."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from recbole_apa import add, audit, evaluate_run, predict_pairs, run, unlearn, verify
from recbole_apa.core.files.whole import read_json
from recbole_apa.data.baseline_rows import baseline_rows
from recbole_apa.pipeline import evidence_models
from recbole_apa.pipeline.config import APAConfig
from recbole_apa.pipeline.evidence_models import evidence_models_of, train_model
from recbole_apa.pipeline.manifest_options import options_of
from recbole_apa.runs.names import COLLABORATIVE_SCORES, COMBINATION
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.plan import plan_text
from tests.helpers.evidence_runs import WITH_FM, fitted_of
from tests.helpers.runs import copy_run, lasting


@pytest.mark.slow
def test_it_is_a_term_of_both_fits_and_is_kept_as_scores_alone(with_fm, work_folder):
    fitted = fitted_of(with_fm.run_dir)
    assert fitted.models == ("FM",) and fitted.combination.terms[-1] == "FM"
    assert set(fitted.scores) == {"valid", "test", "valid.FM", "test.FM"}
    assert len(np.unique(fitted.scores["test.FM"])) > 5
    for name in ("evidence.alone", "evidence.with_model"):
        assert with_fm.metrics[f"{name}.coefficients.FM"] != 0
    files = {path.name for path in Path(with_fm.run_dir).rglob("*") if path.is_file()}
    assert not any("FM" in name or name.endswith(".pth") for name in files)
    assert not list(work_folder.rglob("*FM*.pth")) and not list(work_folder.rglob("presplit*"))
    assert verify(with_fm.run_dir).holds and audit(with_fm.run_dir).findings == []


@pytest.mark.slow
def test_the_adapters_are_those_of_a_run_without_models(with_fm, options, tmp_path):
    """Training a RecBole model sets the global seeds, and must move nothing else."""
    plain = run("APA", "board", config_dict={**options, **WITH_FM, "evidence": "counts"}, run_dir=tmp_path / "run")
    named, bare = (RunStore(folder).manifest() for folder in (with_fm.run_dir, plain.run_dir))
    shards = [name for name in named["files"] if name.endswith("adapter_model.safetensors")]
    assert shards and all(named["files"][name] == bare["files"][name] for name in shards)
    own = {k: v for k, v in lasting(with_fm.metrics).items() if ".aggregated." in k}
    assert own and all(plain.metrics[k] == v for k, v in own.items())
    assert named["settings"]["evidence_models"] == ["FM"] and "evidence_models" not in bare["settings"]
    assert "models_seconds" in named["full_training"] and "models_seconds" not in bare["full_training"]
    assert "columns" not in read_json(plain.run_dir / COMBINATION)


@pytest.mark.slow
@pytest.mark.parametrize(
    "asked",
    [
        {"users": ["u3"]},
        {"interactions": [("u5", "i2")]},
        {"items": ["i4"], "exactness": "strict"},
        {"users": ["u3"], "exactness": "fresh"},
    ],
    ids=["user", "pair", "item, strict", "user, fresh"],
)
def test_after_a_request_it_is_what_training_on_the_rest_gives(with_fm, asked, tmp_path):
    folder, before = copy_run(with_fm, tmp_path / "run"), fitted_of(with_fm.run_dir)
    unlearn(folder, **asked)
    after = fitted_of(folder)
    assert before.scores["test.FM"].tolist() != after.scores["test.FM"].tolist()
    result = verify(folder)
    assert result.holds and {COLLABORATIVE_SCORES, COMBINATION} <= set(result.compared), result.differences
    assert audit(folder).findings == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["FM", "BPR"])
def test_a_request_gives_what_files_without_the_rows_give(name, options, data_folder, tmp_path):
    """In every bit, and whatever numbers RecBole, dataset and index give to users and items."""
    given = {**options, **WITH_FM, "evidence": ["counts", name], "variants": "none"}
    given |= dict.fromkeys(("train_samples", "valid_samples", "test_samples"))
    whole = run("APA", "board", config_dict=given, run_dir=tmp_path / "whole")
    unlearn(whole.run_dir, users=["u0"])
    source, left = data_folder / "board", tmp_path / "data" / "board"
    left.mkdir(parents=True)
    head, *lines = (source / "board.inter").read_text().splitlines()
    kept = [line for line in reversed(lines) if not line.startswith("u0\t")]
    (left / "board.inter").write_text("\n".join([head, *kept]) + "\n")
    (left / "board.item").write_bytes((source / "board.item").read_bytes())
    rest = run("APA", "board", config_dict={**given, "data_path": str(left.parent)}, run_dir=tmp_path / "rest")
    one, other = fitted_of(whole.run_dir), fitted_of(rest.run_dir)
    assert len(other.scores[f"valid.{name}"]) > 10
    for split in ("valid", "test"):
        key = f"{split}.{name}"
        assert one.scores[key].tobytes() == other.scores[key].tobytes()
        assert one.scores[key].tobytes() != whole.trainer.combined.fitted.scores[key][: len(one.scores[key])].tobytes()


def with_labels(data, turned):
    """The same data with other labels in some rows."""
    labels = data.rows.labels.copy()
    labels[turned] = 1 - labels[turned]
    return replace(data, rows=replace(data.rows, labels=labels))


@pytest.mark.slow
def test_labels_of_validation_and_test_rows_move_nothing(with_fm):
    data, terms = with_fm.data.train_set.run_data, evidence_models_of(with_fm.config)
    learnt = np.zeros(len(data.rows), dtype=bool)
    learnt[baseline_rows(data, "all")] = True
    assert (~learnt).sum() > 20
    expected = terms(data).scores["test.FM"].tolist()
    assert terms(with_labels(data, ~learnt)).scores["test.FM"].tolist() == expected
    assert terms(with_labels(data, np.flatnonzero(learnt)[:3])).scores["test.FM"].tolist() != expected
    assert expected == with_fm.trainer.combined.fitted.scores["test.FM"].tolist()


@pytest.mark.slow
def test_a_request_in_no_sample_trains_it_again(options, work_folder, tmp_path):
    few = {"train_samples": 8, "valid_samples": 3, "test_samples": 3, "MAX_ITEM_LIST_LENGTH": 1, "n_shards": 2}
    made = run("APA", "board", config_dict={**options, **WITH_FM, **few}, run_dir=tmp_path / "run")
    data = made.data.train_set.run_data
    drawn = [sample for part in data.samples.values() for sample in part]
    used = {s.sample_id for s in drawn} | {entry.interaction_id for s in drawn for entry in s.history}
    free = next(n for n in baseline_rows(data, "all").tolist() if data.rows.row_id(n) not in used)
    pair = data.rows.users[free], data.rows.items[free]
    plan = unlearn(made.run_dir, interactions=[pair], dry_run=True).plan
    assert not plan.shards and plan.models_seconds > 0 and plan.seconds >= plan.models_seconds - 0.1
    assert "evidence: its RecBole models are trained again" in plan_text(plan)
    outcome = unlearn(made.run_dir, interactions=[pair]).outcomes[0]
    assert not outcome.plan.shards
    before, after = made.trainer.combined.fitted, fitted_of(made.run_dir)
    assert before.scores["test"].tolist() == after.scores["test"].tolist()
    assert before.scores["test.FM"].tolist() != after.scores["test.FM"].tolist()
    assert verify(made.run_dir).holds and audit(made.run_dir).findings == []


@pytest.mark.slow
def test_an_addition_trains_it_again(with_fm, tmp_path):
    folder = copy_run(with_fm, tmp_path / "run")
    (tmp_path / "more.csv").write_text("user_id,item_id,rating,timestamp\nu3,i19,5,99999\n")
    add(folder, tmp_path / "more.csv")
    assert fitted_of(folder).scores["test.FM"].tolist() != fitted_of(with_fm.run_dir).scores["test.FM"].tolist()
    assert verify(folder).holds and audit(folder).findings == []


@pytest.mark.slow
def test_predictions_are_those_that_are_served(with_fm):
    """A user's last row, if it is a test sample, has the sample's score; the model is trained once for an open run."""
    opened = evaluate_run(with_fm.run_dir)
    part, combined = opened.data.test_set, opened.trainer.combined
    assert combined.served != "model"
    own = opened.trainer.aggregate(
        part, opened.model.weights(opened.model.prompts_of(part)), "decomposition", "", False
    )
    expected = combined.served_of(part, own.numpy())
    pairs = [(s.user_id, s.item_id) for s in part.samples]
    found, rows = predict_pairs(opened, pairs), part.interactions
    last = {rows.users[row]: rows.items[row] for row in part.windows.order.tolist()}
    of_last = [place for place, (user, item) in enumerate(pairs) if last[user] == item]
    assert len(of_last) > 3
    for place in of_last:
        assert found[place].score == pytest.approx(expected[place], abs=1e-6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recbole_apa.pipeline.predictions.train_model", lambda *_: pytest.fail("trained twice"))
        assert [p.score for p in predict_pairs(opened, pairs)] == pytest.approx([p.score for p in found])
        assert 0 < predict_pairs(opened, [("nobody", "i3")])[0].score < 1


def test_it_is_trained_on_one_thread_and_leaves_as_many_as_there_were(with_fm):
    seen, before = [], torch.get_num_threads()
    train = evidence_models.train_baseline
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            evidence_models, "train_baseline", lambda *given: (seen.append(torch.get_num_threads()), train(*given))[1]
        )
        try:
            torch.set_num_threads(2)
            terms = evidence_models_of(with_fm.config)(with_fm.data.train_set.run_data).scores
            assert (seen, torch.get_num_threads()) == ([1], 2)
        finally:
            torch.set_num_threads(before)
    assert terms["test.FM"].tolist() == with_fm.trainer.combined.fitted.scores["test.FM"].tolist()


def test_no_writer_outlives_its_folder(with_fm):
    """TensorBoard's writers have a thread each, and an open file."""
    trained = []
    train = evidence_models.train_baseline
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evidence_models, "train_baseline", lambda *given: (trained.append(train(*given)), trained[-1])[1])
        evidence_models_of(with_fm.config)(with_fm.data.train_set.run_data)
    assert [one.trainer.tensorboard.all_writers for one in trained] == [None]


def test_the_log_has_no_line_for_each_epoch(with_fm, caplog):
    with caplog.at_level("INFO"):
        evidence_models_of(with_fm.config)(with_fm.data.train_set.run_data)
    assert not [record for record in caplog.records if "epoch" in record.getMessage()]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["DeepFM", "LightGCN", "NeuMF"])
def test_other_models_are_trained_to_the_same_bits(name, with_fm, options):
    config = APAConfig("APA", "board", None, {**options, **WITH_FM, "evidence": ["counts", name]})
    data = with_fm.data.train_set.run_data
    one, other = (train_model(config, name, data).terms(["u1", "u2"], ["i1", "i3"]).tolist() for _ in range(2))
    assert one == other and len(set(one)) == 2


def test_a_manifest_without_the_option_means_no_models(with_fm):
    manifest = with_fm.store.manifest()
    assert manifest["options"]["evidence"] == "counts" and manifest["options"]["evidence_models"] == ["FM"]
    old = {name: value for name, value in manifest["options"].items() if name != "evidence_models"}
    assert options_of({**manifest, "options": old}, "there")["evidence_models"] == []
