"""The command line as a whole: a run, its reload, the version, and how it ends where something is wrong."""

import platform
import re
import subprocess
import sys

import pytest

from recbole_apa.cli.main import main
from tests.helpers.places import ROOT


def arguments(options, **changes):
    return [f"--{k}={v}" for k, v in {**options, **changes}.items() if not isinstance(v, (dict, list))]


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


@pytest.mark.slow
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
