"""Every exit status of docs/quickstart.md, from a process of its own."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers.places import ROOT
from tests.helpers.runs import copy_run

BROKEN = """
import recbole_apa.pipeline.quick_start, sys
from recbole_apa.cli import run_command_line

def broken(*arguments, **options):
    raise ZeroDivisionError("a fault of ours")

recbole_apa.pipeline.quick_start.run = broken
sys.exit(run_command_line())
"""
MODULE = ("-m", "recbole_apa")


def ended(*words, program=MODULE):
    """Status, standard output and standard error."""
    done = subprocess.run([sys.executable, *program, *words], capture_output=True, text=True, timeout=900)
    return done.returncode, done.stdout, done.stderr


def test_the_table_names_the_statuses_that_are_tested_here():
    page = (ROOT / "docs" / "quickstart.md").read_text(encoding="utf-8")
    table = page[page.index("## Exit statuses") :].split("\n## ")[0]
    assert re.findall(r"^\| (\d+) \|", table, re.MULTILINE) == ["0", "1", "2", "70", "130", "143"]


@pytest.mark.slow
def test_0_and_1_are_a_proof_that_holds_and_one_that_does_not(finished, tmp_path):
    status, out, _ = ended(f"--run={finished.run_dir}", "--audit")
    assert status == 0 and "the audit holds" in out
    folder = copy_run(finished, tmp_path / "run")
    (folder / "shards" / "000" / "stranger.txt").write_text("who left this?")
    status, out, _ = ended(f"--run={folder}", "--audit")
    assert status == 1 and "the audit does not hold" in out
    status, out, _ = ended(f"--run={folder}", "--audit", "--json")
    assert status == 1 and json.loads(out)["status"] == 1


@pytest.mark.slow
def test_1_is_a_comparison_with_a_failed_row(options, tmp_path):
    words = [f"--{k}={json.dumps(v) if isinstance(v, (dict, list)) else v}" for k, v in options.items()]
    words += ["--model=APA", "--dataset=board", f"--compare_dir={tmp_path / 'compared'}", "--epochs=2"]
    status, out, _ = ended(*words, "--compare=BPR", "--baseline_options={BPR: {learning_rate: .inf}}")
    assert status == 1 and "failed: BPR, seed 1" in out


def test_2_is_a_refusal_whose_last_line_says_what_to_do():
    status, out, err = ended("--run=/nowhere/at/all", "--audit")
    assert status == 2 and not out and "Traceback" not in err
    assert err.splitlines()[-1].startswith("RunError: ") and "is not a run folder" in err


@pytest.mark.slow
def test_70_is_an_error_in_the_program():
    status, out, err = ended("--dataset=ml-100k", program=["-c", BROKEN])
    assert status == 70 and not out and "Traceback" in err and "ZeroDivisionError: a fault of ours" in err
    status, out, err = ended("--dataset=ml-100k", "--json", program=["-c", BROKEN])
    error = {"type": "ZeroDivisionError", "message": "a fault of ours"}
    assert json.loads(out) == {"format": 1, "status": 70, "error": error} and status == 70 and "Traceback" in err


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")
@pytest.mark.parametrize(
    ("sent", "status", "kind", "says"),
    [
        (signal.SIGINT, 130, "KeyboardInterrupt", "interrupted; "),
        (signal.SIGTERM, 143, "Terminated", "ended by SIGTERM; "),
    ],
)
def test_130_and_143_are_signals_during_a_training_that_goes_on_later(sent, status, kind, says, options, tmp_path):
    config = tmp_path / "options.json"
    config.write_text(json.dumps({**options, "epochs": 4000}))
    words = ["--dataset=board", f"--config_files={config}", f"--run_dir={tmp_path / 'run'}", "--json"]
    process = subprocess.Popen(
        [sys.executable, *MODULE, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        _wait_for(tmp_path / "run" / "manifest.json", process)
        time.sleep(0.5)
        process.send_signal(sent)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == status and "Traceback" not in err and says in err
    found = json.loads(out)
    assert found["status"] == status and found["error"]["type"] == kind and says in found["error"]["message"]
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["status"] == "training"


def _wait_for(path: Path, process: subprocess.Popen) -> None:
    end = time.monotonic() + 240
    while not path.is_file():
        assert process.poll() is None and time.monotonic() < end, process.communicate()
        time.sleep(0.05)
