import platform
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

import pytest
import recbole
import yaml

from recbole_apa import compare
from recbole_apa.cli.arguments import names_in, read_words, refuse_near_misses, take
from recbole_apa.cli.main import main, parse_arguments
from recbole_apa.cli.option_facts import Use
from recbole_apa.cli.stages import STAGES, CompareOptions, ForgetOptions, names_for, names_of
from recbole_apa.comparison.registry import GROUPS
from recbole_apa.core.errors import SettingsError
from recbole_apa.core.option import all_field_docs
from recbole_apa.core.option_table import OPTIONS
from tests.helpers.places import ROOT


def arguments(options, **changes):
    return [f"--{k}={v}" for k, v in {**options, **changes}.items() if not isinstance(v, (dict, list))]


def test_values_are_typed_and_texts_stay_texts():
    given = parse_arguments(
        [
            "--epochs=3",
            "--learning_rate=1e-3",
            "--item_text={title} ({year}): a=b",
            "--train_samples=None",
            "--seed",
            "7",
        ]
    )
    assert given == {
        "epochs": 3,
        "learning_rate": 0.001,
        "item_text": "{title} ({year}): a=b",
        "train_samples": None,
        "seed": 7,
    }


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (None, []),
        (" , ", []),
        ("[]", []),
        ("a,b c", ["a", "b c"]),
        ("[a,b]", ["a", "b"]),
        (" [a] ", ["a"]),
        ("[PAD]:i1", ["[PAD]:i1"]),
        ("u1:[PAD]", ["u1:[PAD]"]),
        ("a],[b", ["a]", "[b"]),
    ],
)
def test_names_may_stand_in_brackets_and_may_hold_some(text, names):
    assert names_in(text) == names


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["epochs=3"], "expected --option=value"),
        (["--epochs"], "expected --epochs=value"),
        (["--epochs=3", "--epochs=4"], "given twice: 3 and 4"),
    ],
)
def test_malformed_words_are_refused(words, says):
    with pytest.raises(SettingsError, match=says):
        parse_arguments(words)


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


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--run=R", "--forget_user=u4"], "unknown option 'forget_user'; did you mean 'forget_users'?"),
        (["--run=R", "--forgetusers=u4"], "did you mean 'forget_users'?"),
        (["--run=R", "--worker=2"], "did you mean 'workers'?"),
        (["--run=R", "--audi=True"], "did you mean 'audit'?"),
        (["--run=R", "--dryrun", "--forget_users=u4"], "unknown option 'dryrun'; did you mean 'dry_run'?"),
        (["--run=R", "--ranges=x"], "--ranges does not go with this command; --help=ranges"),
        (["tune", "--dataset=ml-100k", "--max_eval=3"], "did you mean 'max_evals'?"),
        (["--plan", "--request_per_day=3", "--n_samples=100", "--requests_per_day=5"], "did you mean 'requests_per_"),
        (["--copy_to=x"], "--copy_to: expected on a finished run, together with --run=DIR"),
        (["--max_evals=3"], "--max_evals does not go with this command"),
        (["--seeds"], "found '--seeds' without a value"),
    ],
)
def test_a_mistyped_or_misplaced_option_is_named(words, says, capsys):
    assert main(words) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(f.name for s in STAGES for f in fields(s) if get_type_hints(s)[f.name] is bool))
def test_a_flag_is_true_or_false(name, capsys):
    beside = [] if name in ("plan", "rotate_key", "key_digests") else ["--run=R"]
    assert main([*beside, f"--{name}=maybe"]) == 2
    assert f"--{name}: found 'maybe', expected true or false" in capsys.readouterr().err


def test_no_option_of_recbole_is_taken_for_a_mistyped_one_of_ours():
    folder = Path(recbole.__file__).parent / "properties"
    names = {name for path in folder.rglob("*.yaml") for name in yaml.safe_load(path.read_text()) or {}}
    assert len(names) > 300
    refuse_near_misses(dict.fromkeys(names))


def test_a_place_is_taken_as_written(monkeypatch):
    seen = []
    monkeypatch.setattr("recbole_apa.pipeline.quick_start.run", lambda *a, run_dir: seen.append(run_dir))
    assert main(["--dataset=ml-100k", "--run_dir=007"]) == 0 and seen == ["007"]


def test_a_stage_takes_its_own_options_typed_and_leaves_the_rest():
    words = read_words(["--forget_users=007,a b", "--dry_run", "--resume=False", "--unlearn_ids={item_id: x}", "--k=3"])
    request, rest = take(ForgetOptions, words)
    assert request == ForgetOptions(forget_users="007,a b", dry_run=True, unlearn_ids={"item_id": "x"})
    assert rest == {"k": "3"}
    given, rest = take(CompareOptions, {"compare": "APA(D)", "seeds": "3", "slices": "False", "seed": "1"})
    assert (given.compare, given.seeds, given.slices, given.experiment) == ("APA(D)", 3, False, None)
    assert rest == {"seed": "1"}  # no name is completed


def test_every_option_of_a_request_is_declared_as_what_it_is():
    """A new one cannot be dropped silently: ``forget.is_asked`` refuses by these."""
    declared = {name for use in Use if use for name in names_for(use, ForgetOptions)}
    assert declared == names_of(ForgetOptions)
    assert set(names_for(Use.NAMES_DATA, ForgetOptions)) == {
        "unlearn",
        "gather",
        "forget_users",
        "forget_items",
        "forget_interactions",
    }
    assert set(names_for(Use.MANNER, ForgetOptions)) - set(names_for(Use.AS_MADE, ForgetOptions)) == {"other_machine"}


def test_no_stage_takes_an_option_of_the_settings_away():
    """But for a plan, whose ``workers`` and ``shard_size`` are the stream's."""
    assert names_of(*STAGES) & set(OPTIONS) == {"key_file", "workers", "shard_size"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--model=APA", "--dataset=ml-100k", "--n_shard=3"], "did you mean 'n_shards'"),
        (["--model=APPA", "--dataset=ml-100k"], "expected e.g. --model=APA"),
        (["--run=/nowhere"], "is not a run folder"),
        (["--dataset=ml-100k", "--config_files=/nowhere.yaml"], "cannot read options from /nowhere.yaml"),
        (["--dataset=ml-100k", "--metrics=[AUC, Recall]"], "RecBole rejects these options"),
        (["--dataset=ml-100k", "--test_samples=0"], "test_samples: found 0, expected at least 1"),
    ],
)
def test_bad_input_exits_with_2_and_one_or_two_lines(words, says, capsys):
    assert main(words) == 2
    err = capsys.readouterr().err.strip().splitlines()[-1]
    assert says in err and "Traceback" not in err


def test_a_run_and_its_reload_from_the_command_line(options, data_folder, tmp_path, caplog):
    caplog.set_level("INFO")
    words = arguments(options, dataset="board", run_dir=tmp_path / "run", epochs=1, model="APA")
    words.append("--load_col={inter: [user_id, item_id, rating, timestamp], item: [item_id, title, year]}")
    assert main(words) == 0
    assert (tmp_path / "run" / "report.html").is_file()
    assert main([f"--run={tmp_path / 'run'}"]) == 0
    assert main([f"--run={tmp_path / 'run'}", "--model=APA", "--lora_rank=4"]) == 2
    assert "APA(D)" in caplog.text and "HistoryLikeRate" in caplog.text


def test_an_interruption_says_where_things_are(monkeypatch, capsys):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("recbole_apa.pipeline.quick_start.run", interrupted)
    assert main(["--dataset=ml-100k"]) == 130
    assert "kept in the run folder" in capsys.readouterr().err


def test_an_unexpected_error_has_a_status_of_its_own_and_its_traceback(monkeypatch, capsys):
    def broken(*args, **kwargs):
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr("recbole_apa.pipeline.quick_start.run", broken)
    assert main(["--dataset=ml-100k"]) == 70  # 1 would be a proof that does not hold
    err = capsys.readouterr().err
    assert "Traceback" in err and "ZeroDivisionError: a fault of ours" in err


def test_the_version_is_printed_without_loading_torch():
    code = (
        "import sys; sys.argv[1:] = ['--version']; from recbole_apa.cli import run_command_line; "
        "status = run_command_line(); print(status, {'torch', 'recbole', 'transformers'} & {*sys.modules} or '')"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    found = re.fullmatch(r"recbole-apa (\S+), Python (\S+), torch (\S+)\n0 \n", out)
    assert found and found[2] == platform.python_version()


def test_the_version_is_an_option(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("recbole-apa ")


def test_a_folder_that_cannot_be_written_is_named(options, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    words = arguments(options, dataset="board", run_dir=tmp_path / "file" / "run")
    words.append("--load_col={inter: [user_id, item_id, rating, timestamp], item: [item_id, title, year]}")
    assert main(words) == 2
    assert "cannot write" in capsys.readouterr().err
