"""RecBole models among the evidence of a run: trained on the training period alone, and again on every request."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from recbole_apa import add, audit, evaluate_run, predict_pairs, run, unlearn, verify
from recbole_apa.collaborative import ItemCodes
from recbole_apa.core.errors import RequestError, RunError, SettingsError, TrainingError
from recbole_apa.core.files.whole import read_json
from recbole_apa.data.baseline_rows import baseline_rows
from recbole_apa.pipeline import evidence_models, evidence_rows
from recbole_apa.pipeline.config import APAConfig
from recbole_apa.pipeline.evidence_models import evidence_models_of, train_model
from recbole_apa.pipeline.manifest_options import options_of
from recbole_apa.runs.collaborative_files import load_collaborative, save_collaborative_scores
from recbole_apa.runs.names import COLLABORATIVE_SCORES, COMBINATION
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.plan import plan_text
from tests.helpers.runs import copy_run, lasting, state

GIVEN = {"evidence": ["counts", "FM"], "variants": "chosen", "baselines": [], "epochs": 1}


@pytest.fixture(scope="module")
def made(options, work_folder, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(work_folder)
        folder = tmp_path_factory.mktemp("models") / "run"
        return run("APA", "board", config_dict={**options, **GIVEN}, run_dir=folder)


def fitted_of(folder):
    store = RunStore(folder)
    return load_collaborative(store, ItemCodes(store.open_index().items.names))


def test_it_is_a_term_of_both_fits_and_is_kept_as_scores_alone(made, work_folder):
    fitted = fitted_of(made.run_dir)
    assert fitted.models == ("FM",) and fitted.combination.terms[-1] == "FM"
    assert set(fitted.scores) == {"valid", "test", "valid.FM", "test.FM"}
    assert len(np.unique(fitted.scores["test.FM"])) > 5
    for name in ("evidence.alone", "evidence.with_model"):
        assert made.metrics[f"{name}.coefficients.FM"] != 0
    files = {path.name for path in Path(made.run_dir).rglob("*") if path.is_file()}
    assert not any("FM" in name or name.endswith(".pth") for name in files)
    assert not list(work_folder.rglob("*FM*.pth")) and not list(work_folder.rglob("presplit*"))
    assert verify(made.run_dir).holds and audit(made.run_dir).findings == []


def test_the_adapters_are_those_of_a_run_without_models(made, options, tmp_path):
    """Training a RecBole model sets the global seeds, and must move nothing else."""
    plain = run("APA", "board", config_dict={**options, **GIVEN, "evidence": "counts"}, run_dir=tmp_path / "run")
    named, bare = (RunStore(folder).manifest() for folder in (made.run_dir, plain.run_dir))
    shards = [name for name in named["files"] if name.endswith("adapter_model.safetensors")]
    assert shards and all(named["files"][name] == bare["files"][name] for name in shards)
    own = {k: v for k, v in lasting(made.metrics).items() if ".aggregated." in k}
    assert own and all(plain.metrics[k] == v for k, v in own.items())
    assert named["settings"]["evidence_models"] == ["FM"] and "evidence_models" not in bare["settings"]
    assert "models_seconds" in named["full_training"] and "models_seconds" not in bare["full_training"]
    assert "columns" not in read_json(plain.run_dir / COMBINATION)


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
def test_after_a_request_it_is_what_training_on_the_rest_gives(made, asked, tmp_path):
    folder, before = copy_run(made, tmp_path / "run"), fitted_of(made.run_dir)
    unlearn(folder, **asked)
    after = fitted_of(folder)
    assert before.scores["test.FM"].tolist() != after.scores["test.FM"].tolist()
    result = verify(folder)
    assert result.holds and {COLLABORATIVE_SCORES, COMBINATION} <= set(result.compared), result.differences
    assert audit(folder).findings == []


@pytest.mark.parametrize("name", ["FM", "BPR"])
def test_a_request_gives_what_files_without_the_rows_give(name, options, data_folder, tmp_path):
    """In every bit, and whatever numbers RecBole, dataset and index give to users and items."""
    given = {**options, **GIVEN, "evidence": ["counts", name], "variants": "none"}
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


def test_labels_of_validation_and_test_rows_move_nothing(made):
    data, terms = made.data.train_set.run_data, evidence_models_of(made.config)
    learnt = np.zeros(len(data.rows), dtype=bool)
    learnt[baseline_rows(data, "all")] = True
    assert (~learnt).sum() > 20
    expected = terms(data).scores["test.FM"].tolist()
    assert terms(with_labels(data, ~learnt)).scores["test.FM"].tolist() == expected
    assert terms(with_labels(data, np.flatnonzero(learnt)[:3])).scores["test.FM"].tolist() != expected
    assert expected == made.trainer.combined.fitted.scores["test.FM"].tolist()


def test_a_request_in_no_sample_trains_it_again(options, work_folder, tmp_path):
    few = {"train_samples": 8, "valid_samples": 3, "test_samples": 3, "MAX_ITEM_LIST_LENGTH": 1, "n_shards": 2}
    made = run("APA", "board", config_dict={**options, **GIVEN, **few}, run_dir=tmp_path / "run")
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


def test_an_addition_trains_it_again(made, tmp_path):
    folder = copy_run(made, tmp_path / "run")
    (tmp_path / "more.csv").write_text("user_id,item_id,rating,timestamp\nu3,i19,5,99999\n")
    add(folder, tmp_path / "more.csv")
    assert fitted_of(folder).scores["test.FM"].tolist() != fitted_of(made.run_dir).scores["test.FM"].tolist()
    assert verify(folder).holds and audit(folder).findings == []


def test_other_scores_are_found_by_a_verification(made, tmp_path):
    folder = copy_run(made, tmp_path / "run")
    fitted, store = fitted_of(folder), RunStore(folder)
    fitted.scores["test.FM"][0] += 1e-9
    save_collaborative_scores(store, fitted.scores)
    store.seal({})
    assert f"{COLLABORATIVE_SCORES} differs" in verify(folder).differences


@pytest.mark.parametrize("change", ["gone", "infinite", "one split", "other length"])
def test_damaged_scores_are_refused(change, made, tmp_path):
    folder = copy_run(made, tmp_path / "run")
    scores, store = dict(fitted_of(folder).scores), RunStore(folder)
    if change == "gone":
        scores = {name: values for name, values in scores.items() if not name.endswith("FM")}
    elif change == "one split":
        del scores["test.FM"]
    elif change == "infinite":
        scores["valid.FM"][0] = np.inf
    else:
        scores["valid.FM"] = scores["valid.FM"][1:]
    save_collaborative_scores(store, scores)
    store.seal({})
    with pytest.raises(RunError, match="restore the run folder from a copy"):
        evaluate_run(folder)


def test_columns_that_it_learnt_from_are_as_they_were(made, options, data_folder, tmp_path):
    data = tmp_path / "board"
    data.mkdir()
    for path in (data_folder / "board").iterdir():
        (data / path.name).write_bytes(path.read_bytes())
    given = {**options, **GIVEN, "item_text": "{title}", "variants": "none", "data_path": str(tmp_path)}
    folder = run("APA", "board", config_dict=given, run_dir=tmp_path / "run").run_dir
    (data / "board.item").write_text((data / "board.item").read_text().replace("\t1984", "\t1934"))
    with pytest.raises(RunError, match="the columns of the items are not those that FM learnt from"):
        evaluate_run(folder)


def test_predictions_are_those_that_are_served(made):
    """A user's last row, if it is a test sample, has the sample's score; the model is trained once for an open run."""
    opened = evaluate_run(made.run_dir)
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


def test_it_is_trained_on_one_thread_and_leaves_as_many_as_there_were(made):
    seen, before = [], torch.get_num_threads()
    train = evidence_models.train_baseline
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            evidence_models, "train_baseline", lambda *given: (seen.append(torch.get_num_threads()), train(*given))[1]
        )
        try:
            torch.set_num_threads(2)
            terms = evidence_models_of(made.config)(made.data.train_set.run_data).scores
            assert (seen, torch.get_num_threads()) == ([1], 2)
        finally:
            torch.set_num_threads(before)
    assert terms["test.FM"].tolist() == made.trainer.combined.fitted.scores["test.FM"].tolist()


def of_one_user(made, options, tmp_path, user):
    """Options of a dataset in which this user alone likes something in the training period."""
    data = made.data.train_set.run_data
    learnt = baseline_rows(data, "all").tolist()
    pairs = {(data.rows.users[row], data.rows.items[row]) for row in learnt if data.rows.users[row] != user}
    source, target = Path(options["data_path"]) / "board", tmp_path / "data" / "board"
    target.mkdir(parents=True)
    (target / "board.item").write_bytes((source / "board.item").read_bytes())
    head, *lines = (source / "board.inter").read_text().splitlines()
    place, changed = [field.split(":")[0] for field in head.split("\t")].index("rating"), [head]
    for line in lines:
        cells = line.split("\t")
        if tuple(cells[:2]) in pairs:
            cells[place] = "1"
        changed.append("\t".join(cells))
    (target / "board.inter").write_text("\n".join(changed) + "\n")
    return {**options, **GIVEN, "evidence": ["counts", "BPR"], "variants": "none", "data_path": str(target.parent)}


@pytest.fixture(scope="module")
def unfit(made, options, work_folder, tmp_path_factory):
    """The folder of a run whose request left nothing that BPR could learn from."""
    folder = tmp_path_factory.mktemp("unfit")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(work_folder)
        given = of_one_user(made, options, folder, "u0")
        run("APA", "board", config_dict=given, run_dir=folder / "run")
        before = fitted_of(folder / "run")
        assert before.scores["test.BPR"].any() and before.combination.alone.coefficients[-1] != 0
        unlearn(folder / "run", users=["u0"])
    return folder / "run"


def test_a_request_that_leaves_nothing_to_learn_from_leaves_terms_of_zeros(unfit):
    fitted = fitted_of(unfit)
    assert not fitted.scores["valid.BPR"].any() and not fitted.scores["test.BPR"].any()
    assert fitted.combination.alone.coefficients[-1] == 0 and fitted.combination.both.coefficients[-2] == 0
    assert verify(unfit).holds and audit(unfit).findings == []


@pytest.mark.parametrize("served", ["evidence", "model+evidence"])
def test_predictions_train_no_model_that_counts_for_nothing(served, unfit):
    opened = evaluate_run(unfit)
    combined = opened.trainer.combined
    fitted = replace(combined.fitted, combination=replace(combined.fitted.combination, served=served))
    opened.trainer.combined = replace(combined, fitted=fitted)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recbole_apa.pipeline.predictions.train_model", lambda *_: pytest.fail("trained"))
        found = predict_pairs(opened, [("u3", "i3"), ("nobody", "i3")])
    assert all(0 < one.score < 1 for one in found)


def test_rows_to_learn_nothing_from_are_refused_before_anything_is_written(options, tmp_path):
    """One user liked all items before anybody else rated any: BPR has nothing to compare them with."""
    source, target = Path(options["data_path"]) / "board", tmp_path / "data" / "board"
    target.mkdir(parents=True)
    (target / "board.item").write_bytes((source / "board.item").read_bytes())
    inter, items = ((source / f"board.{kind}").read_text().splitlines() for kind in ("inter", "item"))
    assert inter[0].split("\t") == ["user_id:token", "item_id:token", "rating:float", "timestamp:float"]
    own = [f"all\t{line.split(chr(9))[0]}\t5\t{time}" for time, line in enumerate(items[1:])]
    again = [f"all\ti{n}\t5\t{99990 + n}" for n in range(10)]
    (target / "board.inter").write_text("\n".join([inter[0], *own, *inter[1:], *again]) + "\n")
    given = {**options, **GIVEN, "evidence": ["counts", "BPR"], "data_path": str(target.parent)}
    with pytest.raises(
        SettingsError, match=r"evidence: BPR cannot be trained on this data \(found 1 user.*all 20 items"
    ):
        run("APA", "board", config_dict=given, run_dir=tmp_path / "run")
    assert not list((tmp_path / "run").rglob("*.safetensors")) and not (tmp_path / "run" / "manifest.json").exists()


def test_an_addition_that_rules_a_model_out_is_refused_as_a_start_is(options, tmp_path):
    """A user who would have all items; a run that has lost its model anyway takes what comes."""
    given = {**options, **GIVEN, "evidence": ["counts", "BPR"], "variants": "none", "train_samples": None}
    folder = run("APA", "board", config_dict=given, run_dir=tmp_path / "run").run_dir
    before = state(folder)
    rows = [("all", f"i{item}", 5, 99_000 + item) for item in range(20)]
    # of a new user's 30 rows the training period has the first 24
    rows += [("all", f"i{item}", 5, 99_100 + item) for item in range(10)]
    for dry_run in (True, False):
        with pytest.raises(RequestError, match=r"could not have BPR \(found 1 user.*all 20 items.*nothing was changed"):
            add(folder, rows, dry_run=dry_run)
    assert state(folder) == before and not (folder / "ledger.jsonl").exists()
    add(folder, rows[:8])
    assert fitted_of(folder).scores["test.BPR"].any()


def test_no_writer_outlives_its_folder(made):
    """TensorBoard's writers have a thread each, and an open file."""
    trained = []
    train = evidence_models.train_baseline
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evidence_models, "train_baseline", lambda *given: (trained.append(train(*given)), trained[-1])[1])
        evidence_models_of(made.config)(made.data.train_set.run_data)
    assert [one.trainer.tensorboard.all_writers for one in trained] == [None]


SHORT = RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory")


@pytest.mark.parametrize("step", ["train_baseline", "pair_scores"])
@pytest.mark.parametrize("error", [SHORT, MemoryError(), ValueError("odd")], ids=["torch", "Python", "any"])
def test_what_may_be_of_the_machine_leaves_the_request_waiting(step, error, made, tmp_path):
    folder = copy_run(made, tmp_path / "run")
    before = state(folder)

    def fails(*_):
        raise error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evidence_models, step, fails)
        with pytest.raises(TrainingError, match=rf"FM.*{type(error).__name__}(.|\n)*was accepted(.|\n)*--resume"):
            unlearn(folder, users=["u3"])
    assert state(folder) == before
    unlearn(folder)  # resumes
    assert fitted_of(folder).scores["valid.FM"].any() and verify(folder).holds and audit(folder).findings == []


def test_what_recbole_raises_at_a_prediction_is_the_error_that_is_documented(made):
    opened = evaluate_run(made.run_dir)

    def fails(*_):
        raise ValueError("odd")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evidence_models, "train_baseline", fails)
        with pytest.raises(TrainingError, match="FM, a model of the evidence, could not be trained"):
            predict_pairs(opened, [("u3", "i3")])


def test_the_log_has_no_line_for_each_epoch(made, caplog):
    with caplog.at_level("INFO"):
        evidence_models_of(made.config)(made.data.train_set.run_data)
    assert not [record for record in caplog.records if "epoch" in record.getMessage()]


def test_a_full_disk_fails_the_request_which_then_waits(made, tmp_path):
    folder = copy_run(made, tmp_path / "run")

    def full(*_):
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evidence_rows, "write_presplit", full)
        with pytest.raises(RunError, match=r"No space left(.|\n)*the request or addition was accepted"):
            unlearn(folder, users=["u3"])
    unlearn(folder)  # resumes
    assert fitted_of(folder).scores["valid.FM"].any() and verify(folder).holds


@pytest.mark.slow
@pytest.mark.parametrize("name", ["DeepFM", "LightGCN", "NeuMF"])
def test_other_models_are_trained_to_the_same_bits(name, made, options):
    config = APAConfig("APA", "board", None, {**options, **GIVEN, "evidence": ["counts", name]})
    data = made.data.train_set.run_data
    one, other = (train_model(config, name, data).terms(["u1", "u2"], ["i1", "i3"]).tolist() for _ in range(2))
    assert one == other and len(set(one)) == 2


def test_a_manifest_without_the_option_means_no_models(made):
    manifest = made.store.manifest()
    assert manifest["options"]["evidence"] == "counts" and manifest["options"]["evidence_models"] == ["FM"]
    old = {name: value for name, value in manifest["options"].items() if name != "evidence_models"}
    assert options_of({**manifest, "options": old}, "there")["evidence_models"] == []
