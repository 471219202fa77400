import sys

import pytest

from recbole_apa.cli.arguments import read_words, take
from recbole_apa.cli.main import main, parse_arguments
from recbole_apa.cli.stages import STAGES, CompareOptions, ForgetOptions, names_of
from recbole_apa.core.errors import SettingsError
from recbole_apa.core.option_table import OPTIONS


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


def test_help_tells_of_every_option_from_the_table(capsys):
    assert main(["--help=options"]) == 0
    out = capsys.readouterr().out
    assert out.count("\n  --") == len(OPTIONS) and "  --MAX_ITEM_LIST_LENGTH=10  (whole number; at least 1)" in out
    assert main(["--help=dtype"]) == 0
    assert capsys.readouterr().out.startswith(
        "  --dtype=auto  (auto, float32, bfloat16, float16)\n      auto (bfloat16"
    )
    assert main(["--help=n_shard"]) == 2
    assert "did you mean 'n_shards'" in capsys.readouterr().err


def test_a_stage_takes_its_own_options_typed_and_leaves_the_rest():
    words = read_words(["--forget_users=007,a b", "--dry_run", "--resume=False", "--unlearn_ids={item_id: x}", "--k=3"])
    request, rest = take(ForgetOptions, words)
    assert request == ForgetOptions(forget_users="007,a b", dry_run=True, unlearn_ids={"item_id": "x"})
    assert rest == {"k": "3"}
    given, rest = take(CompareOptions, {"compare": "APA(D)", "seeds": "3", "slices": "False", "seed": "1"})
    assert (given.compare, given.seeds, given.slices, given.experiment) == ("APA(D)", 3, False, None)
    assert rest == {"seed": "1"}  # no name is completed


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


def test_a_folder_that_cannot_be_written_is_named(options, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    words = arguments(options, dataset="board", run_dir=tmp_path / "file" / "run")
    words.append("--load_col={inter: [user_id, item_id, rating, timestamp], item: [item_id, title, year]}")
    assert main(words) == 2
    assert "cannot write" in capsys.readouterr().err
