"""Names and options of a comparison: what they stand for, and what is refused before anything is read."""

from dataclasses import fields

import pytest

from recbole_apa import compare
from recbole_apa.cli.main import main
from recbole_apa.comparison.methods.sharded import Serving
from recbole_apa.comparison.registry import ADAPTERS, GROUPS, check_names, row_names
from recbole_apa.core.errors import SettingsError
from recbole_apa.core.settings import AggregationSettings


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("LightGNC", r"RecBole has no model named 'LightGNC'; did you mean 'LightGCN'\?"),
        ("lightgcn", r"no model named 'lightgcn'; did you mean 'LightGCN'\?"),
        ("SISAA", r"no model named 'SISAA'; did you mean 'SISA'\?"),
        ("papers", r"no model named 'papers'; did you mean 'paper'\?"),
        ("NoSuchModel", r"no model named 'NoSuchModel'$"),
        ("Bert", r"no model named 'Bert'$"),
        ("a.b", r"no model named 'a.b'$"),
        ("CKE", "CKE reads a knowledge graph"),
        ("KGAT", "KGAT reads a knowledge graph"),
        ("KSR", "KSR reads a knowledge graph"),
        ("NPO", "NPO forgets approximately; expected together with something to forget"),
    ],
)
def test_a_name_that_cannot_be_compared_is_rejected_before_anything_is_read(name, says, tmp_path):
    with pytest.raises(SettingsError, match=says):
        compare(["SISA", name], "no-such-dataset", folder=tmp_path / "here")
    assert not (tmp_path / "here").exists()


def test_a_model_that_options_are_given_for_is_one_that_exists(tmp_path):
    with pytest.raises(SettingsError, match="did you mean 'BPR'"):
        compare(["BPR"], "no-such-dataset", folder=tmp_path / "here", baseline_options={"BPRR": {"epochs": 1}})


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"learning_rte": 0.5}, "'learning_rte'; did you mean 'learning_rate'"),
        ({"epochs": "many"}, "epochs: found 'many', expected a whole number"),
        ({"stopping_rows": "abc"}, "stopping_rows: found 'abc'"),
    ],
)
def test_options_of_a_model_are_checked_before_anything_is_read(given, says, tmp_path):
    with pytest.raises(SettingsError, match=says):
        compare(["FM"], "no-such-dataset", folder=tmp_path / "here", baseline_options={"FM": given})
    assert not (tmp_path / "here").exists()


def test_every_model_of_a_group_has_a_name_that_is_known():
    check_names(row_names(["all", "ablations"]))


def test_a_rows_serving_covers_every_setting_of_the_aggregation():
    assert [f.name for f in fields(Serving)] == [f.name for f in fields(AggregationSettings)]
    with pytest.raises(SettingsError, match="tau: found 'high'"):
        row_names(["APA:tau=high"])


def test_names_and_groups():
    assert row_names(["paper"])[:3] == ["APA(D)", "APA(ND)", "Retraining"]
    assert row_names(["rules", "HistoryLikeRate", "APA"]) == ["APA(D)", "APA(ND)", "Retraining", *GROUPS["rules"]]
    assert set(row_names(["all"])) >= {*ADAPTERS, *GROUPS["recbole"], *GROUPS["rules"]}
    for name in row_names(["ablations"]):
        assert name in ADAPTERS or name.startswith("APA:")
    with pytest.raises(SettingsError, match="expected option=value"):
        row_names(["APA:partition"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--model=FM", "--compare=SISA"], "name FM in --compare"),
        (["--seeds=3"], "expected together with --compare"),
        (["--compare=SISA", "--seeds=many"], "expected a whole number of at least 1"),
        (["--compare=SISA", "--seeds=0"], "found 0, expected a whole number"),
        (
            ["--compare=SISA", "--baseline_options=LightGCN"],
            "baseline_options: found 'LightGCN', expected options by model",
        ),
        (
            ["--compare=FM", "--baseline_options={FM: {stopping_rows: many}}"],
            "stopping_rows: found 'many', expected a whole number of at least 1",
        ),
        (["--compare=SISA", "--audit"], "--audit does not go with --compare"),
        (["--comparre=SISA"], "did you mean 'compare'?"),
    ],
)
def test_the_command_line_refuses_what_makes_no_sense(arguments, says, capsys):
    assert main(arguments) == 2
    assert says in capsys.readouterr().err
