"""The command line: train and compare, forget, prove, recommend."""

import csv
import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest
import torch

from recbole_apa.cli.main import main
from recbole_apa.next_item.ranking import split_of
from recbole_apa.next_item.run.baselines import rows_as_files, scores_of, train_on
from tests.helpers.inside import inside


@pytest.fixture(scope="module")
def words(next_options) -> list[str]:
    return ["--model=APANext", "--dataset=chains", *(f"--{k}={json.dumps(v)}" for k, v in next_options.items())]


@pytest.fixture(scope="module")
def run(words, work_folder) -> Path:
    """A run that forgot u5 in the same command."""
    with inside(work_folder):
        folder = work_folder / "next_item_cli"
        words = [word.replace('"', "") if "{" not in word else word for word in words]
        assert main([*words, f"--run_dir={folder}", "--forget_users=u5"]) == 0
    return folder


@pytest.mark.slow
def test_models_of_recbole_have_rows_of_the_same_users(run, capsys):
    assert main([f"--run={run}", "--compare=Pop,ItemKNN,EASE,BPR", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)["next_items"]["figures"]
    assert {"APANext", "Pop", "EASE", "ItemKNN", "BPR"} <= set(figures)


def test_scores_of_recbole_stand_in_the_columns_of_the_catalogue(read):
    _, data, _ = read
    split = split_of(data, "test")
    with rows_as_files(data) as folder:
        found = scores_of(train_on(folder, "EASE", 1), data, split)
    chosen = torch.zeros(len(split.sequences), split.n_items, dtype=torch.float64)
    for row, sequence in enumerate(split.sequences):
        for column in split.histories[row][: len(sequence.trained)]:
            chosen[row, column] += 1
    inverse = torch.linalg.inv(chosen.T @ chosen + 250 * torch.eye(split.n_items, dtype=torch.float64))
    weights = (inverse / -inverse.diagonal()).fill_diagonal_(0)  # RecBole's EASE, reg_weight 250
    assert torch.allclose(found, chosen @ weights, atol=1e-4) and float(found.std()) > 1e-3


@pytest.mark.slow
def test_sequential_networks_have_rows_that_are_named_as_what_they_are(run, capsys):
    assert main([f"--run={run}", "--compare=SASRec,GRU4Rec-all-positions"]) == 0
    told = capsys.readouterr().out
    assert told.count("the best of") == 2 and "SASRec-all-positions  " in told and "GRU4Rec-all-positions  " in told


def test_a_model_that_reads_both_ways_is_refused(run, capsys):
    assert main([f"--run={run}", "--compare=BERT4Rec"]) == 2
    assert "SASRec and GRU4Rec" in capsys.readouterr().err


def test_forget_prove_and_recommend(run, capsys, tmp_path):
    assert main([f"--run={run}", "--forget_interactions=u7:i9", "--dry_run"]) == 0
    assert "1 of 13 users" in capsys.readouterr().out
    assert main([f"--run={run}", "--audit", "--verify"]) == 0
    told = capsys.readouterr().out
    assert "the audit holds" in told and "equal, bit for bit" in told
    assert main([f"--run={run}", "--recommend=u3,u8", "--k=4"]) == 0
    table = capsys.readouterr().out
    assert table.count("Film number") >= 8 and "what follows" in table
    target = tmp_path / "all.csv"
    assert main([f"--run={run}", f"--export_recommendations={target}", "--k=3"]) == 0
    rows = list(csv.DictReader(target.open()))
    assert len({row["user_id"] for row in rows}) == 13 and "u5" not in {row["user_id"] for row in rows}
    assert max(int(row["rank"]) for row in rows) == 3
    capsys.readouterr()
    assert main([f"--run={run}", "--forget_users=u9"]) == 0
    assert main([f"--run={run}", "--audit"]) == 0
    assert f"{target} has recommendations of a state before" in capsys.readouterr().out


def test_recommended_is_nothing_that_the_user_has_chosen(run, read):
    from recbole_apa.next_item.run.recommend import recommend

    _, data, _ = read
    found = recommend(run, "u4", k=100)
    assert {one.item for one in found}.isdisjoint(data.of_user["u4"].items)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert found[0].terms and sum(found[0].terms.values()) > sum(found[-1].terms.values())


@pytest.mark.parametrize(
    "more, told",
    [
        (["--recommend=u5"], "who were not forgotten"),
        (["--k=3"], "--recommend"),
        (["--recommend=u4", "--k=0"], "at least 1"),
        (["--recommend=u4", "--audit"], "one command for each"),
        (["--unlearn_method=NPO", "--forget_users=u4"], "does not go with"),
        (["--n_shards=7"], "does not go with a finished run"),
        (["--model=APA"], "is a run of APANext; leave --model out"),
        (["--model=BPR", "--forget_users=u4"], "--model: found BPR, but "),
        (["--model=APA", "--add=new.csv"], "--model: found APA, but "),
    ],
)
def test_what_does_not_go_together_is_refused(run, capsys, more, told):
    assert main([f"--run={run}", *more]) == 2
    assert told in capsys.readouterr().err


def test_rows_join_and_what_does_not_go_with_it_is_refused(run, capsys, tmp_path):
    (tmp_path / "new.csv").write_text("user_id,item_id,rating,timestamp\nu2,i1,3,9000\nlate,i4,3,9001\n")
    grown = Path(shutil.copytree(run, tmp_path / "run"))
    asked = [f"--run={grown}", f"--add={tmp_path / 'new.csv'}"]
    for more in (["--forget_users=u2"], ["--audit"], ["--recommend=u2"], ["--compare=Pop"], ["--readmit"]):
        assert main([*asked, *more]) == 2
        assert "does not go with" in capsys.readouterr().err
    assert main([*asked, "--dry_run"]) == 0
    assert "would join" in capsys.readouterr().out
    assert main(asked) == 0
    told = capsys.readouterr().out
    assert "users grow and 1 are new" in told and "test.ndcg@10" in told
    assert main([f"--run={grown}", "--audit"]) == 0


def test_a_run_of_the_labelled_mode_recommends_and_says_what_it_took(finished, capsys):
    assert main([f"--run={finished.run_dir}", "--recommend=u4", "--k=2"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[2].split()[:2] == ["u4", "1"] and "unseen items" in told[-1]
    assert main([f"--run={finished.run_dir}", "--recommend=u4", "--k=2", "--audit"]) == 2
    assert "one command for each" in capsys.readouterr().err
    assert main(["--recommend=u4"]) == 2
    assert "--run=DIR" in capsys.readouterr().err


def test_candidates_are_for_the_labelled_mode(run, capsys):
    assert main([f"--run={run}", "--recommend=u4", "--candidates=20"]) == 2
    assert "ranks every item from one prompt" in capsys.readouterr().err


def test_rows_that_a_killed_comparison_left_go_with_the_next(read, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left, other = (tmp_path / f"recbole-apa-next-{number}-x" for number in (999999999, os.getpid()))
    for folder in (left, other):
        folder.mkdir()
        (folder / "presplit.train.inter").write_text("u5\ti1\n")
    with rows_as_files(read[1]) as folder:
        assert folder.is_dir() and not left.exists() and other.is_dir()
    assert [path.name for path in tmp_path.iterdir()] == [other.name]
