"""Comparisons of data as people have them: columns of their own, labels that are all alike."""

import csv
from pathlib import Path

import numpy as np
import pytest

from recbole_apa import compare
from recbole_apa.cli import main
from recbole_apa.comparison_record import DONE
from recbole_apa.data.presplit import Layout, write_presplit
from recbole_apa.data.samples import HistoryEntry, Sample
from recbole_apa.errors import DataError
from recbole_apa.methods.bench import open_bench
from recbole_apa.methods.registry import make_methods

OWN = {
    "USER_ID_FIELD": "customer",
    "ITEM_ID_FIELD": "product",
    "RATING_FIELD": "stars",
    "TIME_FIELD": "day",
    "LABEL_FIELD": "liked",
    "threshold": {"stars": 4},
    "load_col": {"inter": ["customer", "product", "stars", "day"], "item": ["product", "item_id", "title", "year"]},
}
QUICK = {name: {"epochs": 2} for name in ("BPR", "FM", "SASRec")}


@pytest.fixture
def own(options, data_folder, tmp_path):
    """The checkerboard under columns of one's own, one of which has the usual id's name."""
    folder = tmp_path / "data" / "board"
    folder.mkdir(parents=True)
    lines = (data_folder / "board" / "board.inter").read_text().splitlines()
    head = "customer:token\tproduct:token\tstars:float\tday:float"
    (folder / "board.inter").write_text("\n".join([head, *lines[1:]]) + "\n")
    items = [line.split("\t") for line in (data_folder / "board" / "board.item").read_text().splitlines()[1:]]
    lines = [f"{item}\tisbn-{n}\t{title}\t{year}" for n, (item, title, year) in enumerate(items)]
    head = "product:token\titem_id:token\ttitle:token_seq\tyear:float"
    (folder / "board.item").write_bytes(("\n".join([head, *lines]) + "\n").encode())
    return {**options, **OWN, "data_path": str(tmp_path / "data"), "epochs": 1}


@pytest.mark.parametrize("name", ["Pop", "BPR", "FM", "SASRec", "RecEraser", "ItemMean"])
def test_methods_read_columns_of_ones_own(name, own, options, tmp_path):
    bench = open_bench("board", [], own, tmp_path / "own")
    usual = open_bench("board", [], {**options, "epochs": 1}, tmp_path / "usual")
    scores = []
    for each in (bench, usual):
        (method,) = make_methods(each, [name], QUICK)
        method.fit(1)
        scores.append(method.score(name).scores)
        method.unlearn()
    assert bench.labels("test").tolist() == usual.labels("test").tolist()
    if name != "FM":  # which has the further column to learn from
        assert scores[0].tolist() == pytest.approx(scores[1].tolist(), abs=1e-5)
    assert bench.item_columns == ["item_id", "title", "year"]


def test_a_comparison_of_ones_own_columns_has_figures(own, tmp_path, capsys):
    given = [f"--{k}={v}" for k, v in own.items() if k not in ("load_col", "threshold")]
    given += ["--threshold={stars: 4}", f"--load_col={own['load_col']}"]
    where = [f"--compare_dir={tmp_path / 'out'}", "--baseline_options={BPR: {epochs: 2}}"]
    assert main(["--model=APA", "--dataset=board", "--compare=Pop,BPR", *given, *where]) == 0
    assert "failed" not in capsys.readouterr().out
    ranked = compare(
        ["Pop"], "board", config_dict={**own, "eval_args.mode": "uni4", "topk": [2]}, folder=tmp_path / "r"
    )
    assert {row.status for row in ranked.rows} == {DONE}


def test_files_with_other_separators_encodings_and_marks_are_read(own, tmp_path):
    folder = Path(own["data_path"]) / "board"
    for file in folder.iterdir():
        text = file.read_text().replace("\t", ",").replace("Even", "Été")
        file.write_bytes(text.encode("latin-1"))
    changed = {**own, "field_separator": ",", "encoding": "latin-1", "load_col": {**own["load_col"], "item": "*"}}
    bench = open_bench("board", [], changed, tmp_path / "own")
    assert bench.item_columns == ["item_id", "title", "year"]
    for name in ("FM", "SASRec"):
        (method,) = make_methods(bench, [name], QUICK)
        method.fit(1)
        assert np.isfinite(method.score(name).scores).all()
    with open(bench.presplit() / "presplit" / "presplit.test.inter", encoding="latin-1") as lines:
        head = next(csv.reader(lines))
    assert head == ["customer:token", "product:token", "liked:float", "product_list:token_seq"]


def sample(user, item, history=()):
    return Sample(f"{user}:{item}", user, item, 1, tuple(HistoryEntry(h, 1, f"{user}:{h}") for h in history))


def test_ids_that_would_be_cut_in_two_are_refused(tmp_path):
    parts = {"train": [sample("a", "the film")], "valid": [], "test": []}
    with pytest.raises(DataError, match="the id 'the film' holds ' ', which divides columns"):
        write_presplit(tmp_path, "p", parts, tmp_path, Layout(field_separator=" "))


def test_item_ids_with_blanks_fail_models_of_histories_alone(options, data_folder, tmp_path):
    folder = tmp_path / "data" / "board"
    folder.mkdir(parents=True)
    for name in ("board.inter", "board.item"):
        text = (data_folder / "board" / name).read_text()
        (folder / name).write_text(text.replace("\ti", "\tthe i").replace("\ni", "\nthe i").replace("the item", "item"))
    bench = open_bench("board", [], {**options, "data_path": str(tmp_path / "data")}, tmp_path / "bench")
    general, sequential = make_methods(bench, ["BPR", "SASRec"], QUICK)
    general.fit(1)
    with pytest.raises(DataError, match=r"item ids such as 'the i\d+' hold ' '.*--seq_separator"):
        sequential.fit(1)
