"""RecBole models among the evidence of a run whose rows leave a model nothing to learn from."""

from dataclasses import replace
from pathlib import Path

import pytest

from recbole_apa import add, audit, evaluate_run, predict_pairs, run, unlearn, verify
from recbole_apa.core.errors import RequestError, SettingsError
from recbole_apa.data.baseline_rows import baseline_rows
from tests.helpers.evidence_runs import WITH_FM, fitted_of
from tests.helpers.runs import state


def of_one_user(with_fm, options, tmp_path, user):
    """Options of a dataset in which this user alone likes something in the training period."""
    data = with_fm.data.train_set.run_data
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
    return {**options, **WITH_FM, "evidence": ["counts", "BPR"], "variants": "none", "data_path": str(target.parent)}


@pytest.fixture(scope="module")
def unfit(with_fm, options, work_folder, tmp_path_factory):
    """The folder of a run whose request left nothing that BPR could learn from."""
    folder = tmp_path_factory.mktemp("unfit")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(work_folder)
        given = of_one_user(with_fm, options, folder, "u0")
        run("APA", "board", config_dict=given, run_dir=folder / "run")
        before = fitted_of(folder / "run")
        assert before.scores["test.BPR"].any() and before.combination.alone.coefficients[-1] != 0
        unlearn(folder / "run", users=["u0"])
    return folder / "run"


@pytest.mark.slow
def test_a_request_that_leaves_nothing_to_learn_from_leaves_terms_of_zeros(unfit):
    fitted = fitted_of(unfit)
    assert not fitted.scores["valid.BPR"].any() and not fitted.scores["test.BPR"].any()
    assert fitted.combination.alone.coefficients[-1] == 0 and fitted.combination.both.coefficients[-2] == 0
    assert verify(unfit).holds and audit(unfit).findings == []


@pytest.mark.quick(1)
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
    given = {**options, **WITH_FM, "evidence": ["counts", "BPR"], "data_path": str(target.parent)}
    with pytest.raises(
        SettingsError, match=r"evidence: BPR cannot be trained on this data \(found 1 user.*all 20 items"
    ):
        run("APA", "board", config_dict=given, run_dir=tmp_path / "run")
    assert not list((tmp_path / "run").rglob("*.safetensors")) and not (tmp_path / "run" / "manifest.json").exists()


@pytest.mark.slow
def test_an_addition_that_rules_a_model_out_is_refused_as_a_start_is(options, tmp_path):
    """A user who would have all items; a run that has lost its model anyway takes what comes."""
    given = {**options, **WITH_FM, "evidence": ["counts", "BPR"], "variants": "none", "train_samples": None}
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
