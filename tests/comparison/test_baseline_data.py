"""What RecBole's models learn from in a comparison: three blocks of rows, and each block's options."""

import json

import pytest

from recbole_apa import compare
from recbole_apa.cli.main import main
from recbole_apa.comparison.context import open_context
from recbole_apa.comparison.presets import read_preset
from recbole_apa.comparison.registry import make_methods, options_of_row
from recbole_apa.comparison.run_methods import _key
from recbole_apa.core.properties import properties_folder
from recbole_apa.core.yaml import read_yaml
from recbole_apa.data.baseline_rows import baseline_rows
from recbole_apa.data.index.rows import VALID
from recbole_apa.data.loaders import dataset_of
from recbole_apa.pipeline.recbole_names import baseline_defaults, usual_options
from tests.helpers.compared import BLOCKS, is_of, lines_of, with_other_label


@pytest.mark.parametrize("block", BLOCKS)
def test_a_planted_test_label_moves_no_training_file_and_no_rule(block, opened, options, data_folder, tmp_path):
    context = opened(block)
    sample = context.splits["test"][0]
    options = {**options, "data_path": with_other_label(data_folder, tmp_path / "data", sample)}
    planted = open_context("board", [], options, tmp_path / "planted", block)
    assert planted.splits["test"][0].label != sample.label
    for part in ("train", "train_likes", "train_sequences"):
        assert lines_of(planted.presplit(), part) == lines_of(context.presplit(), part)
    assert lines_of(planted.presplit(), "test") != lines_of(context.presplit(), "test")
    assert list(planted.train_rows) == list(context.train_rows)


def test_a_model_of_sequences_with_labels_learns_from_both_labels(opened):
    """From the liked rows alone DIN learnt that everything is liked."""
    context = opened()
    din, sasrec = make_methods(context, ["DIN", "SASRec"], {name: {"epochs": 1} for name in ("DIN", "SASRec")})
    n_rows = din.fit(1).n_labels
    learnt = dataset_of(din.trained.loaders.train).inter_feat
    assert set(learnt["label"].tolist()) == {0, 1} and learnt["item_length"].min() > 0
    assert n_rows == len(lines_of(context.presplit(), "train_labelled_sequences")) > sasrec.fit(1).n_labels
    assert din.score("DIN").is_probability and not sasrec.score("SASRec").is_probability
    assert set(dataset_of(sasrec.trained.loaders.train).inter_feat["label"].tolist()) == {1}


def test_a_model_that_normalises_batches_gets_no_last_batch_of_one_row(opened):
    """Its row failed with an error of torch's: one in 64 trainings on ``shown`` or ``drawn`` rows."""
    context = opened()
    n = len(lines_of(context.presplit(), "train"))
    given = {"NFM": {"epochs": 1, "train_batch_size": n - 1}, "FM": {"epochs": 1, "train_batch_size": n - 1}}
    nfm, fm = make_methods(context, ["NFM", "FM"], given)
    assert nfm.fit(1).n_labels == fm.fit(1).n_labels == n
    sizes = [method.trained.trainer.config["train_batch_size"] for method in (nfm, fm)]
    assert sizes == [n, n - 1], "FM normalises nothing"


@pytest.mark.parametrize("block", BLOCKS)
def test_a_request_takes_its_rows_out_of_every_block_and_no_others(block, opened):
    context = opened(block)
    user, item = context.request()
    before = lines_of(context.presplit(), "train")
    after = lines_of(context.presplit_without(user, item), "train")
    assert [line[:3] for line in after] == [line[:3] for line in before if not is_of(line, user, item)]
    assert len(after) < len(before)


@pytest.mark.parametrize(("kind", "row"), [("labels", "FM"), ("likes", "EASE+history"), ("likes", "SASRec")])
def test_each_block_has_its_options_and_ones_own_come_first(kind, row):
    usual = read_yaml(properties_folder() / "comparison" / "baselines.yaml")
    assert set(usual) == {"labels", "likes", "searched"} and set(usual[kind]) == set(BLOCKS)
    model = row.removesuffix("+history")
    for block in BLOCKS:
        plain = {**usual[kind][block], **usual["searched"].get(model, {}).get(block, {})}
        assert options_of_row(row, block, {}) == plain and "stopping_step" in plain
        given = {model: {"stopping_step": 1, "reg_weight": 2}}
        plain.pop("stopping_rows", None)  # a patience that was asked for is kept
        assert options_of_row(row, block, given) == {**plain, "stopping_step": 1, "reg_weight": 2}
        given = {**given, "EASE+history": {"reg_weight": 3}}
        expected = 3 if row == "EASE+history" else 2
        assert options_of_row(row, block, given) == {**plain, "stopping_step": 1, "reg_weight": expected}


def test_what_was_searched_is_for_rows_beside_apa_and_not_for_evidence():
    """A request trains the models of evidence again: other options would give a state that no training has given."""
    assert usual_options("FM", "all") == {"stopping_step": 30}
    assert baseline_defaults("FM", "all") == options_of_row("FM", "all", {}) != usual_options("FM", "all")
    assert baseline_defaults("FM", "shown") == usual_options("FM", "shown")
    assert baseline_defaults("NFM", "all") == usual_options("NFM", "all")


def test_other_rows_to_learn_from_are_another_row_for_baselines_alone(opened):
    contexts = [opened(block) for block in BLOCKS]
    assert len({_key(context, "FM", {}) for context in contexts}) == 3
    assert len({_key(context, "APA(D)", {}) for context in contexts}) == 1


@pytest.mark.parametrize("word", ["some", "[all]"])
def test_a_block_that_there_is_not_is_refused(word, capsys):
    assert main(["--model=APA", "--dataset=board", "--compare=FM", f"--baseline_data={word}"]) == 2
    assert f"baseline_data: found {word!r}, expected one of all, shown, drawn" in capsys.readouterr().err


def test_blocks_go_with_a_comparison_of_rows_alone(capsys):
    assert main(["--compare=NPO", "--forget_n_users=1", "--baseline_data=all"]) == 2
    assert "--baseline_data does not go with a comparison of forgetting" in capsys.readouterr().err


@pytest.mark.slow
def test_a_comparison_tells_its_blocks(options, work_folder, tmp_path, capsys):
    (tmp_path / "mine.yaml").write_text("compare: [FM, EASE+history]\nbaseline_data: shown\n")
    assert read_preset(str(tmp_path / "mine.yaml")).baseline_data == "shown"
    given = [f"--{k}={json.dumps(v) if isinstance(v, (dict, list)) else v}" for k, v in options.items()]
    where = [f"--experiment={tmp_path / 'mine.yaml'}", f"--compare_dir={tmp_path / 'out'}"]
    assert (
        main(["--model=APA", "--dataset=board", *given, "--baseline_options={FM: {epochs: 2}}", *where, "--json"]) == 0
    )
    told = json.loads(capsys.readouterr().out)["compare"]
    context = open_context("board", [], options, tmp_path / "again", "shown")
    rows = {row["method"]: row["figures"] for row in told["rows"]}
    data = context.run_data
    shown = data.rows.take(baseline_rows(data, "shown"))
    assert rows["FM"]["n_labels"] == len(shown) and rows["EASE+history"]["n_labels"] == shown.labels.sum()
    parts = {part["name"]: part for part in told["slices"]}
    known = set(shown.items.texts())
    assert parts["item unseen"]["n"] == sum(s.item_id not in known for s in context.splits["test"])
    assert parts["user seen"]["n"] + parts["user unseen"]["n"] == 12
    more = compare(
        ["FM"], "board", config_dict=options, folder=tmp_path / "out", baseline_options={"FM": {"epochs": 2}}
    )
    (row,) = [row for row in more.rows if row.method == "FM" and row.seed == 1]
    assert row.figures["n_labels"] == len(baseline_rows(data, "all"))  # the default; the other row stays
    head = (tmp_path / "out" / "table.csv").read_text().splitlines()[0].split(",")
    assert "labels" in head and "user unseen" in head
    for name in ("report.html", "table.md"):
        told = (tmp_path / "out" / name).read_text()
        assert "labels" in told and "--baseline_data=all" in told
    assert "--baseline_data=all" in more.table
    n = int((data.notes.roles[data.kept] == VALID).sum())
    assert row.figures["n_stopping_labels"] == n and f"labelled rows of the validation split: {n} (FM)" in more.table
