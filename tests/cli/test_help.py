"""What ``--help`` says: of the program, of groups, of every option."""

import re
import sys
from dataclasses import fields

import pytest

from recbole_apa import compare
from recbole_apa.cli.main import main
from recbole_apa.cli.stages import STAGES
from recbole_apa.comparison.registry import GROUPS
from recbole_apa.core.option import all_field_docs
from recbole_apa.core.option_table import OPTIONS
from tests.helpers.places import ROOT


def test_help_names_the_main_options(capsys):
    assert main(["--help"]) == 0
    assert "--run_dir=DIR" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("called", "named"),
    [
        ("/venv/bin/recbole-apa", "usage: recbole-apa --model"),
        ("/venv/lib/recbole_apa/__main__.py", "usage: python -m recbole_apa --model"),
        ("run_recbole_apa.py", "usage: python run_recbole_apa.py --model"),
        ("/venv/lib/pytest/__main__.py", "usage: recbole-apa --model"),
    ],
)
def test_help_names_the_program_as_it_was_called(called, named, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [called])
    assert main(["--help"]) == 0 and main(["tune", "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(named) and named.replace("--model", "tune --model") in out and "@" not in out


def test_help_names_every_group_of_a_comparison(capsys):
    assert main(["--help"]) == 0
    told = re.search(r"or the groups ([a-z, ]+)\.", " ".join(capsys.readouterr().out.split()))
    assert set(told[1].split(", ")) == set(GROUPS)
    for text in (compare.__doc__, (ROOT / "docs" / "comparing.md").read_text()):
        assert all(f"`{name}`" in text for name in GROUPS)


def test_help_tells_of_every_option_from_the_table(capsys):
    assert main(["--help=options"]) == 0
    out = capsys.readouterr().out
    n_of_stages = sum(len(fields(stage)) for stage in STAGES)
    assert out.count("\n  --") == len(OPTIONS) + n_of_stages
    assert "  --MAX_ITEM_LIST_LENGTH=10  (whole number; at least 1)" in out
    assert main(["--help=dtype"]) == 0
    assert capsys.readouterr().out.startswith(
        "  --dtype=auto  (auto, float32, bfloat16, float16)\n      auto (bfloat16"
    )
    assert main(["--help=n_shard"]) == 2
    assert "did you mean 'n_shards'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--help=exactness"], "fresh: what a training today on the dataset without those rows gives"),
        (["--help=audit"], "--audit  (true or false)\n      Prove it in seconds"),
        (["--help=forget_users"], "--forget_users=12,57  (text)\n      Whole users."),
        (["--help=seeds"], "--seeds=3  (whole number; at least 1)"),
        (["--help=workers"], "Workers that retrain shards."),
        (["--help=workers"], "the result does not depend on it"),
        (["--help=--dtype"], "--dtype=auto"),
        (["tune", "--help=ranges"], "--ranges=FILE"),
        (["--model=APA", "--help"], "usage: "),
    ],
)
def test_help_explains_any_option(words, says, capsys):
    assert main(words) == 0
    assert says in capsys.readouterr().out


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("", "expected --help=options, or an option's name"),
        ("forget_user", "did you mean 'forget_users'?"),
        ("zzz", "unknown option 'zzz'; --help=options lists ours"),
        ("learner", "an option of RecBole's that has no effect with APA: AdamW"),
        ("metrics", "an option of RecBole's; its documentation"),
    ],
)
def test_help_for_what_is_no_option_of_ours(asked, says, capsys):
    assert main([f"--help={asked}"]) == 2
    assert says in capsys.readouterr().err


def test_every_option_of_a_command_says_what_it_does_and_stands_in_the_usage(capsys):
    assert main(["--help"]) == 0 and main(["tune", "--help"]) == 0
    text = capsys.readouterr().out
    for stage in STAGES:
        docs = all_field_docs(stage)
        for f in fields(stage):
            assert docs[f.name] and f"\n  --{f.name}" in text, (stage, f.name)


def test_help_lines_are_not_wider_than_a_terminal_that_the_documents_assume(capsys):
    assert main(["--help"]) == 0 and main(["--help=options"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 120
