"""What RecBole's models learn from in a comparison: three blocks of rows, told in the table; rows that read a past."""

import csv
import json
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch

from benchmarks.baseline_settings import counts, judged, measure, stopping
from recbole_apa import compare
from recbole_apa.cli.main import main
from recbole_apa.comparison import run_methods
from recbole_apa.comparison.context import open_context
from recbole_apa.comparison.older_rows import with_labels
from recbole_apa.comparison.presets import read_preset
from recbole_apa.comparison.registry import check_names, make_methods, options_of_row
from recbole_apa.comparison.report.criterion import ByLabel
from recbole_apa.comparison.report.judging import Judging
from recbole_apa.comparison.report.slices import slice_figures, slice_tables
from recbole_apa.comparison.report.table import comparison_rows, headers
from recbole_apa.comparison.row import DONE, FAILED, Row
from recbole_apa.comparison.run_methods import _key
from recbole_apa.compat import release
from recbole_apa.core.errors import SettingsError
from recbole_apa.core.properties import properties_folder
from recbole_apa.core.yaml import read_yaml
from recbole_apa.data.baseline_rows import BaselineData, baseline_rows
from recbole_apa.data.index.rows import TEST, VALID
from recbole_apa.data.loaders import dataset_of
from recbole_apa.pipeline.item_similarity import past_scores
from recbole_apa.pipeline.recbole_names import baseline_defaults, usual_options

BLOCKS = get_args(BaselineData)
PAPER = {"protocol": "tallrec", "min_history": 10, "train_samples": 20, "valid_samples": 6, "test_samples": 6}
FEW = {name: {"epochs": 2} for name in ("BPR", "FM", "SASRec", "LightGCN")}


@pytest.fixture
def opened(options, work_folder, tmp_path):
    """Opens a comparison of the small dataset."""

    def open_it(block="all", **changes):
        folder = tmp_path / f"{block}-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        return open_context("board", [], {**options, **changes}, folder, block)

    return open_it


def lines_of(folder, part):
    with open(folder / "presplit" / f"presplit.{part}.inter") as file:
        return list(csv.reader(file, delimiter="\t"))[1:]


def is_of(line, user, item):
    return line[:2] == [user, item]


@pytest.mark.parametrize("block", BLOCKS)
def test_a_planted_test_label_moves_no_training_file_and_no_rule(block, opened, options, data_folder, tmp_path):
    context = opened(block)
    sample = context.splits["test"][0]
    (tmp_path / "data" / "board").mkdir(parents=True)
    lines = (data_folder / "board" / "board.inter").read_text().splitlines()
    for n, line in enumerate(lines):
        words = line.split("\t")
        if is_of(words, sample.user_id, sample.item_id):
            lines[n] = "\t".join([*words[:2], "2" if sample.label else "5", words[3]])
    (tmp_path / "data" / "board" / "board.inter").write_text("\n".join(lines) + "\n")
    (tmp_path / "data" / "board" / "board.item").write_bytes((data_folder / "board" / "board.item").read_bytes())
    options = {**options, "data_path": str(tmp_path / "data")}
    planted = open_context("board", [], options, tmp_path / "planted", block)
    assert planted.splits["test"][0].label != sample.label
    for part in ("train", "train_likes", "train_sequences"):
        assert lines_of(planted.presplit(), part) == lines_of(context.presplit(), part)
    assert lines_of(planted.presplit(), "test") != lines_of(context.presplit(), "test")
    assert list(planted.train_rows) == list(context.train_rows)


@pytest.mark.parametrize("changes", [{}, {"min_history": 3}, PAPER], ids=["default", "late", "tallrec"])
@pytest.mark.parametrize("block", BLOCKS)
def test_epochs_are_chosen_on_the_whole_validation_split_or_on_its_samples(block, changes, opened):
    context = opened(block, **{"valid_samples": 3, **changes, "train_samples": 10})
    data, n_drawn = context.run_data, len(context.splits["valid"])
    roles = data.notes.roles[data.kept]
    users, items, labels = data.rows.users.texts(), data.rows.items.texts(), data.rows.labels.tolist()
    whole = sorted([users[n], items[n], str(labels[n])] for n in np.flatnonzero(roles == VALID))
    drawn = [[s.user_id, s.item_id, str(s.label)] for s in context.splits["valid"]]
    found = [line[:3] for line in lines_of(context.presplit(), "valid")]
    assert sorted(found) == whole if block == "all" else found == drawn
    assert len(whole) > n_drawn > 0 and all(line in whole for line in drawn)
    for name in ("FM", "SASRec"):
        (method,) = make_methods(context, [name], FEW)
        part = "valid" if name == "FM" else "valid_sequences"
        assert method.fit(1).n_stopping == len(lines_of(context.presplit(), part)) > 0
    (method,) = make_methods(context, ["Pop"], FEW)
    assert method.fit(1).n_stopping is None, "it has no epochs to choose from"
    assert all(line[3] for line in lines_of(context.presplit(), "valid_sequences"))


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
def test_a_validation_row_that_is_forgotten_chooses_no_epoch(block, opened):
    context = opened(block, valid_samples=3)
    data = context.run_data
    drawn = set(data.targets["valid"].tolist())
    row = next(n for n in np.flatnonzero(data.notes.roles[data.kept] == VALID) if (n in drawn) == (block != "all"))
    user, item = data.rows.users.texts()[row], data.rows.items.texts()[row]
    before = [line[:2] for line in lines_of(context.presplit(), "valid")]
    after = [line[:2] for line in lines_of(context.presplit_without(user, item), "valid")]
    assert [user, item] in before and after == [line for line in before if line != [user, item]]


def test_rows_whose_figures_meant_something_else_are_measured_again(opened):
    """The key of a stored row says what chose its epoch, and that its costs are its own; without these words it was the
    samples, and they were the model's."""
    settings = {block: [] for block in BLOCKS}
    with pytest.MonkeyPatch.context() as patch:
        for block in BLOCKS:
            patch.setattr(run_methods, "row_key", lambda told, _, block=block: settings[block].append(told))
            _key(opened(block), "FM", {})
            _key(opened(block), "APA(D)", {})
            _key(opened(block), "APA(D)+Evidence", {})
    with_costs = [["costs" in each for each in found] for found in settings.values()]
    assert with_costs == 3 * [[False, False, True]]
    told = {block: ["epoch_chosen_on" in each for each in found[:2]] for block, found in settings.items()}
    assert told == {"all": [True, False], "shown": [False, False], "drawn": [False, False]}


@pytest.mark.parametrize("block", BLOCKS)
def test_a_request_takes_its_rows_out_of_every_block_and_no_others(block, opened):
    context = opened(block)
    user, item = context.request()
    before = lines_of(context.presplit(), "train")
    after = lines_of(context.presplit_without(user, item), "train")
    assert [line[:3] for line in after] == [line[:3] for line in before if not is_of(line, user, item)]
    assert len(after) < len(before)


@pytest.mark.parametrize(
    ("name", "part"), [("FM", "train"), ("BPR", "train_likes"), ("SASRec", "train_sequences"), ("Pop", "train_likes")]
)
def test_a_models_labels_are_the_rows_of_its_file(name, part, opened):
    for block in ("all", "drawn"):
        context = opened(block, min_history=1)
        (method,) = make_methods(context, [name], FEW)
        assert method.fit(1).n_labels == len(lines_of(context.presplit(), part)) > 0
    assert all(line[3] for line in lines_of(opened().presplit(), "train_sequences"))
    assert not all(line[3] for line in lines_of(opened().presplit(), "train_likes"))  # first rows have no history


@pytest.mark.slow
@pytest.mark.parametrize("supervise", ["all", "target"])
def test_labels_of_adapters_are_targets_and_supervised_lines(supervise, opened):
    context = opened(supervise=supervise, epochs=1)
    (method,) = make_methods(context, ["APA(D)"])
    samples = context.splits["train"]
    learnt = {s.sample_id for s in samples}
    if supervise == "all":
        learnt |= {entry.interaction_id for s in samples for entry in s.history}
    assert method.count_labels("APA(D)") == method.fit(1).n_labels == len(learnt)
    short = opened(supervise=supervise, epochs=1, max_prompt_tokens=60)
    (method,) = make_methods(short, ["APA(D)"])
    n_cut = method.fit(1).n_labels
    assert method.count_labels("APA(D)") == n_cut
    assert method.made.trainer.record.n_cut_lines > 0
    assert n_cut < len(learnt) if supervise == "all" else n_cut == len(learnt)


def test_rows_of_older_versions_have_labels_where_samples_alone_say_how_many(opened):
    context = opened(supervise="all")
    learnt = {id for s in context.splits["train"] for id in (s.sample_id, *(e.interaction_id for e in s.history))}
    names = ["APA(D)", "APA(D)+Evidence", "Retraining", "SISA", "APA:supervise=target", "ItemMean", "FM"]
    of_row = {row: method for method in make_methods(context, names, FEW) for row in method.rows}
    old = Row("", 1, DONE, "", {"auc": 0.5}, [0.5])
    found = {name: with_labels(of_row[name], replace(old, method=name)).figures.get("n_labels") for name in names}
    assert found == {
        **dict.fromkeys(("APA(D)", "Retraining", "SISA"), len(learnt)),
        "APA:supervise=target": len(context.splits["train"]),
        "ItemMean": len(context.train_rows),
        **dict.fromkeys(("APA(D)+Evidence", "FM")),
    }
    assert len(context.splits["train"]) < len(learnt) and len(context.n_labels) == 2  # one count for three rows
    known, failed = replace(old, figures={"n_labels": 3}), Row("APA(D)", 1, FAILED, "why")
    assert with_labels(of_row["APA(D)"], known) is known and with_labels(of_row["APA(D)"], failed) is failed
    lost = opened(backbone=str(context.folder / "nowhere"))
    (method,) = make_methods(lost, ["APA(D)"])
    row = replace(old, method="APA(D)")
    assert with_labels(method, row) is row


def test_labels_of_rules_are_the_rows_that_they_count(opened):
    context = opened()
    found = {m.rows[0]: m.fit(1).n_labels for m in make_methods(context, ["HistoryLikeRate", "ItemMean"])}
    assert found == {"HistoryLikeRate": 0, "ItemMean": len(context.train_rows)}


@pytest.mark.parametrize("name", ["FM", "BPR", "SASRec", "Pop"])
def test_rows_of_models_that_need_the_users_id_say_how_many_are_unseen(name, opened):
    for block, changes in (("all", PAPER), ("all", {}), ("drawn", {"train_samples": 5})):
        context = opened(block, **changes)
        (method,) = make_methods(context, [name], FEW)
        method.fit(1)
        learnt = {line[0] for line in lines_of(context.presplit(), "train" if name == "FM" else "train_likes")}
        n = sum(s.user_id not in learnt for s in context.splits["test"])
        assert n == 6 if changes == PAPER else n == 0 if not changes else 0 < n <= 12
        assert method.score(name).n_users_unseen == (n if name in ("FM", "BPR") else None)


@pytest.mark.parametrize(
    ("name", "has"), [("FM", True), ("BPR", True), ("EASE", False), ("ItemKNN", False), ("Pop", False)]
)
def test_a_dummy_is_no_parameter(name, has, opened):
    (method,) = make_methods(opened(), [name], FEW)
    n = method.fit(1).n_parameters
    assert n > 100 if has else n is None


@pytest.mark.parametrize("model", ["ItemKNN", "EASE"])
def test_a_past_is_scored_as_the_model_scores_users_that_it_knows(model, opened):
    context = opened()
    (plain, asked) = make_methods(context, [model, f"{model}+history"])
    plain.fit(1)
    data = plain.trained.loaders.test._dataset
    liked = {}
    for user, item, _, _ in lines_of(context.presplit(), "train_likes"):
        liked.setdefault(user, []).append(item)
    tested = context.splits["test"]
    pasts, items = [liked[s.user_id] for s in tested], [s.item_id for s in tested]
    found = past_scores(plain.trained, [[*past, past[0], "nobody's"] for past in pasts], items)
    known = plain.trained.model.predict(data.inter_feat)
    np.testing.assert_allclose(found, torch.as_tensor(known).numpy(), rtol=1e-5, atol=1e-6)
    asked.fit(1)
    scored = asked.score(asked.rows[0])
    assert scored.n_users_unseen is None and not scored.is_probability
    assert scored.scores.tolist() == past_scores(plain.trained, context.pasts(), items).tolist()
    assert asked.unlearn().seconds > 0


def test_pasts_are_whole_and_those_of_the_prompt_for_new_users(opened):
    longest = max(map(len, opened().pasts()))
    assert longest > 4  # more than the prompt's four lines could show
    paper = opened(**PAPER)
    assert paper.pasts() == [[e.item_id for e in s.history if e.label] for s in paper.splits["test"]]


def test_a_past_is_scored_in_ranked_lists(opened):
    context = opened(**{"eval_args.mode": "uni4", "topk": [2]})
    (method,) = make_methods(context, ["ItemKNN+history"])
    method.fit(1)
    scores = method.score("ItemKNN+history").scores
    lists = context.ranking
    assert scores.shape == (len(lists.rows) * lists.n_candidates,)
    try:
        context.ranking = replace(lists, rows=lists.rows[::-1], items=[items[::-1] for items in lists.items[::-1]])
        assert method.score("ItemKNN+history").scores[::-1].tolist() == scores.tolist()
    finally:
        context.ranking = lists


def test_users_are_not_items(opened):
    says = "which needs RecBole 1.2.1" if release.is_first_release() else "expected 'item'"
    (method,) = make_methods(opened(), ["ItemKNN+history"], {"ItemKNN": {"knn_method": "user"}})
    with pytest.raises(SettingsError, match=f"knn_method: found 'user', {says}"):
        method.fit(1)
        method.score("ItemKNN+history")


def test_only_models_of_item_similarities_are_asked_about_a_past():
    check_names(["EASE+history", "ItemKNN+history"], ["EASE+history"])
    with pytest.raises(SettingsError, match=r"found BPR\+history, expected one of ItemKNN\+history, EASE\+history"):
        check_names(["BPR+history"])
    with pytest.raises(SettingsError, match="DIEN reads lists of items drawn as not chosen"):
        check_names(["DIN", "DIEN"])  # its row failed with KeyError: 'neg_item_id_list', after APA's training


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


def row_of(method, scores, **figures):
    keys = ("train_seconds", "unlearn_seconds", "unlearn_shards_hit", "n_shards", "inference_ms_per_sample")
    fixed = dict.fromkeys((*keys, "forward_passes", "peak_memory_bytes", "n_parameters"), 1.0)
    return Row(method, 1, DONE, "", {**fixed, "auc": 0.5, **figures}, scores)


def test_the_table_says_labels_and_unseen_users():
    judged, scores = ByLabel(np.array([1, 0, 1, 0])), [0.9, 0.1, 0.2, 0.8]
    rows = [
        row_of("Retraining", scores, n_labels=10910),
        row_of("FM", scores, n_labels=80808, n_users_unseen=3),
        row_of("Old", scores),
    ]
    table = {line[0]: dict(zip(headers(judged), line, strict=True)) for line in comparison_rows(rows, judged)}
    assert [table[name]["labels"] for name in ("Retraining", "FM", "Old")] == ["10,910", "80,808", "-"]
    assert [table[name]["user unseen"] for name in ("Retraining", "FM", "Old")] == ["", "3 of 4", ""]


def test_slices_of_users_and_items_that_the_rows_have_or_lack():
    labels = [1, 0, 1, 0, 1]
    samples = {
        "label": labels,
        "n_history": [1] * 5,
        "n_train_samples_of_user": [1] * 5,
        "n_train_rows_of_item": [1] * 5,
        "user_seen": [1, 1, 0, 0, 0],
        "item_seen": [1] * 5,
    }
    judging, rows = Judging({1: samples}), [row_of("A", [0.9, 0.1, 0.2, 0.8, 0.9])]
    parts = slice_figures(rows, judging)
    found = {part.name: (part.n, dict(part.values)) for part in parts}
    assert found["user seen"] == (2, {"A": 1.0}) and found["user unseen"] == (3, {"A": 0.5})
    assert found["item unseen"] == (0, {}) and found["item seen"][0] == 5
    head, lines = slice_tables(rows, judging, "AUC")["AUC by user in the baselines' rows"]
    assert head == ["method", "user unseen, n = 3", "user seen, n = 2"] and lines == [["A", "0.5000", "1.0000"]]


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


def test_settings_are_judged_on_rows_of_the_validation_period_alone(opened):
    context = opened(valid_samples=5)
    data = context.run_data
    roles = dict(zip(data.rows.row_ids(np.arange(len(data.rows))), data.notes.roles[data.kept].tolist(), strict=True))
    for block in BLOCKS:
        samples, stopped = judged(context, block), stopping(context, block)
        assert samples and {roles[s.sample_id] for s in samples} == {VALID}
        assert len(stopped) and not {s.sample_id for s in samples} & set(data.rows.row_ids(stopped))
    assert not {s.user_id for s in judged(context, "all")} & set(data.rows.users.texts(stopping(context, "all")))
    samples = judged(context, "shown")
    found = measure(context, "shown", "FM", {"epochs": 2})
    assert found["rows"] == len(baseline_rows(data, "shown")) and found["judged"] == len(samples)
    assert found["epochs"] == 2 and 0 <= found["auc"] <= 1
    shown = [roles[entry.interaction_id] for s in context.splits["test"] for entry in s.history]
    assert f"{shown.count(TEST) / len(shown):.0%} of the {len(shown)} labels" in counts(context)
