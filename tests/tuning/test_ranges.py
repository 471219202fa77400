"""Ranges of options: how they are written, what is refused."""

import math

import pytest
import yaml

from recbole_apa.core.errors import SettingsError
from recbole_apa.tuning.ranges import Range, read_ranges

BY_OPTION = {
    "learning_rate": {"loguniform": [-8, 0]},
    "epochs": [1, 2],
    "warmup_ratio": {"uniform": [0, 0.5]},
    "lora_rank": {"quniform": [4, 16, 4]},
}
RECBOLE = """learning_rate loguniform -8,0
epochs choice [1, 2]

warmup_ratio uniform 0,0.5
lora_rank quniform 4, 16, 4
"""
EXPECTED = [
    Range("learning_rate", "loguniform", (-8, 0)),
    Range("epochs", "choice", (1, 2)),
    Range("warmup_ratio", "uniform", (0, 0.5)),
    Range("lora_rank", "quniform", (4, 16, 4)),
]


def test_ranges_are_read_from_each_kind_of_file(tmp_path):
    (tmp_path / "ranges.yaml").write_text(yaml.safe_dump(BY_OPTION, sort_keys=False))
    (tmp_path / "bpr.hyper").write_text(RECBOLE)
    grouped = {}
    for r in EXPECTED:
        grouped.setdefault(r.kind, {})[r.name] = list(r.values)
    for source in (BY_OPTION, tmp_path / "ranges.yaml", tmp_path / "bpr.hyper"):
        assert read_ranges(source) == EXPECTED
    assert read_ranges(grouped) == EXPECTED


def test_recboles_own_class_reads_the_same_space_from_the_same_file(tmp_path, hyperopt):
    from recbole.trainer import HyperTuning

    (tmp_path / "bpr.hyper").write_text(RECBOLE)
    theirs = HyperTuning._build_space_from_file(tmp_path / "bpr.hyper")
    assert list(theirs) == [r.name for r in read_ranges(tmp_path / "bpr.hyper")]


def test_recboles_lists_within_lists_and_texts(tmp_path):
    (tmp_path / "f.test").write_text("mlp_hidden_size choice ['[64,64]', '[128]']\nloss_type choice ['BPR', 'CE']\n")
    assert [r.values for r in read_ranges(tmp_path / "f.test")] == [([64, 64], [128]), ("BPR", "CE")]


def test_no_line_of_a_file_is_run(tmp_path):
    (tmp_path / "f.test").write_text("epochs choice [__import__('os').getpid()]\n")
    with pytest.raises(SettingsError, match=r"line 1: found .*expected a list of values"):
        read_ranges(tmp_path / "f.test")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"epochs": []}, "epochs: found choice .*empty"),
        ({"epochs": 3}, "epochs: found 3, expected a list of values"),
        ({"learning_rate": {"uniform": [0.1, 0.1]}}, "learning_rate: found uniform .*empty"),
        ({"learning_rate": {"uniform": [0.2, 0.1]}}, "the lower bound first"),
        ({"learning_rate": {"uniform": [0.1]}}, r"expected \[low, high\]"),
        ({"learning_rate": {"uniform": ["a", 1]}}, r"expected \[low, high\]"),
        ({"learning_rate": {"unifrom": [0, 1]}}, "unifrom.* did you mean 'uniform'"),
        ({"learning_rate": {"normal": [0, 1]}}, "expected one of choice, uniform, quniform"),
        ({"learning_rate": {"log_between": [0, 1]}}, "bounds above 0"),
        ({"learning_rate": {"loguniform": [1, 1000]}}, "natural logarithms"),
        ({"epochs": {"quniform": [1, 5, 0]}}, "a step above 0"),
        ({"epochs": {"quniform": [1, 5]}}, r"\[low, high, step\]"),
        ({"epochs": {"quniform": [1, 3, 10]}}, "no multiple of its step"),
        ({}, "found no range"),
        ({"epochs": [1], "choice": {"epochs": [2]}}, "epochs: found two ranges"),
        ({"epochs": [], "lora_rank": []}, "epochs: .*lora_rank: "),
    ],
)
def test_wrong_ranges_are_refused_by_name(given, says):
    with pytest.raises(SettingsError, match=says):
        read_ranges(given)


@pytest.mark.parametrize("line", ["epochs", "epochs choice", "epochs choice [1", "lr uniform a,b", "lr unifrom 0,1"])
def test_wrong_lines_are_refused(line, tmp_path):
    (tmp_path / "f.test").write_text(line)
    with pytest.raises(SettingsError, match=r"f\.test: "):
        read_ranges(tmp_path / "f.test")


def test_steps_and_bounds():
    r = Range("x", "quniform", (0.1, 0.5, 0.2))
    assert r.grid == (0.2, 0.4) and r.bounds == (0.2, 0.4) and r.value(0.1) == 0.2 and r.value(9) == 0.4
    assert Range("x", "quniform", (1, 5, 1)).grid == (1, 2, 3, 4, 5)
    assert Range("x", "loguniform", (-1, 0)).bounds == (math.exp(-1), 1)
    assert Range("x", "choice", ("a", None)).value(1) is None
