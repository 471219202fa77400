"""Worker processes: what starts them, what ends them, what is said of it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from recbole_apa import run
from recbole_apa.core.errors import TrainingError
from recbole_apa.core.files.whole import read_json
from recbole_apa.core.system.signals import Terminated, sigterm_kept, terminable
from recbole_apa.pipeline.workers.process import how_it_ended, start_process
from recbole_apa.runs.store import RunStore
from tests.helpers.places import ROOT
from tests.helpers.runs import state

ROOT = str(ROOT)
LONG = {"epochs": 400, "workers": 2}
"""So that there is a middle to be ended in."""
NO_GUARD = """
import json, sys
import recbole_apa
print("this program runs")
recbole_apa.run("APA", "board", config_dict=json.loads({options!r}), run_dir={folder!r})
"""


def program(options, folder):
    return NO_GUARD.format(options=json.dumps(options), folder=str(folder))


def environment():
    return {**os.environ, "PYTHONPATH": ROOT}


def workers_of(process):
    with contextlib.suppress(psutil.NoSuchProcess):
        return [c for c in psutil.Process(process.pid).children() if "workers.process" in " ".join(c.cmdline())]
    return []


@pytest.fixture
def begin(tmp_path):
    """Starts a program in ``tmp_path``; a test that fails leaves none behind."""
    begun = []

    def start(command):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        begun.append(subprocess.Popen(command, env=environment(), cwd=tmp_path, **pipes))
        return begun[-1]

    yield start
    for process in begun:
        process.kill()
        process.communicate()


def before_the_next_shard(run_dir):
    """Seconds, as fast as this machine is now, in which a worker that went on would not finish a shard; 10 where none
    is finished yet: then it has nothing to go on with."""
    finished = [read_json(path)["train_seconds"] for path in run_dir.glob("shards/0*/training.json")]
    return 0.6 * min(finished) if finished else 10


def wait_until(condition, process, seconds=900):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["script", "standard input"])
def test_a_program_without_a_main_guard_runs_once_and_trains_by_workers(options, finished, tmp_path, way):
    text = program({**options, "workers": 2}, tmp_path / "run")
    (tmp_path / "train.py").write_text(text)
    command = [sys.executable, *([str(tmp_path / "train.py")] if way == "script" else ["-"])]
    done = subprocess.run(
        command, input=text if way != "script" else "", env=environment(), cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("this program runs") == 1
    assert sorted(p.name for p in tmp_path.iterdir() if p.suffix != ".py") == ["log", "log_tensorboard", "run"]
    assert state(tmp_path / "run") == state(finished.run_dir)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["at its start", "while it trains"])
def test_workers_end_with_a_parent_that_is_killed(begin, options, tmp_path, moment):
    text = program({**options, **LONG}, tmp_path / "run")
    process = begin([sys.executable, "-c", text])
    wait_until(lambda: len(workers_of(process)) == 2, process)
    if moment == "while it trains":
        wait_until(lambda: any((tmp_path / "run" / "shards").glob("0*/training.json")), process)
    workers, soon = workers_of(process), before_the_next_shard(tmp_path / "run")
    process.kill()
    process.communicate()
    assert not psutil.wait_procs(workers, timeout=soon)[1]


@pytest.mark.slow
@pytest.mark.parametrize("manner", ["command", "module", "script"])
def test_sigterm_ends_a_run_and_its_workers_with_143_and_a_later_start_goes_on(begin, options, tmp_path, manner):
    config = tmp_path / "options.yaml"
    config.write_text(json.dumps({**options, **LONG}))
    words = ["--dataset=board", f"--config_files={config}", f"--run_dir={tmp_path / 'run'}"]
    command = {
        "command": [str(Path(ROOT) / "run_recbole_apa.py"), *words],
        "module": ["-m", "recbole_apa", *words],
        "script": ["-c", program({**options, **LONG}, tmp_path / "run")],
    }[manner]
    process = begin([sys.executable, *command])
    wait_until(lambda: any((tmp_path / "run" / "shards").glob("0*/training.json")), process)
    workers, soon = workers_of(process), before_the_next_shard(tmp_path / "run")
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=soon)[1].decode()
    assert process.returncode == 143 and "Traceback" not in said
    assert ("ended by SIGTERM; what was finished is kept" in said) == (manner != "script")
    assert workers and not psutil.wait_procs(workers, timeout=1)[1]
    store = RunStore(tmp_path / "run")
    assert store.manifest()["status"] == "training" and not list((tmp_path / "run").rglob("*.tmp"))
    if manner == "command":
        resumed = run("APA", "board", config_dict={**options, **LONG, "workers": 1}, run_dir=tmp_path / "run")
        assert 1 <= len(resumed.trainer.record.trained) < 3  # what was finished was kept


@pytest.mark.slow
def test_sigterm_ends_process_1_of_a_container(begin, options, tmp_path):
    config = tmp_path / "options.yaml"
    config.write_text(json.dumps({**options, **LONG, "workers": 1}))
    words = ["--dataset=board", f"--config_files={config}", f"--run_dir={tmp_path / 'run'}"]
    inside = ["unshare", "--pid", "--fork", "--mount-proc"]
    if subprocess.run([*inside, "true"], capture_output=True).returncode:
        pytest.skip("no right to make a namespace of processes")
    process = begin([*inside, sys.executable, "-m", "recbole_apa", *words])
    wait_until(lambda: any((tmp_path / "run" / "shards").glob("0*/training.json")), process)
    (first,) = psutil.Process(process.pid).children()
    first.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=30)[1].decode()
    assert process.returncode == 143 and "ended by SIGTERM" in said


def test_a_program_keeps_its_own_way_with_sigterm():
    def own(*args):
        raise AssertionError

    before = signal.signal(signal.SIGTERM, own)
    try:
        with terminable():
            assert signal.getsignal(signal.SIGTERM) is own
        assert signal.getsignal(signal.SIGTERM) is own
    finally:
        signal.signal(signal.SIGTERM, before)
    with pytest.raises(Terminated) as ended, terminable():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    assert ended.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_reason_says_what_ended_a_process():
    assert "ran out of memory; fewer workers need less: --workers=1" in how_it_ended(-9)
    assert how_it_ended(-15) == "its process was ended by SIGTERM"
    assert how_it_ended(3) == "its process ended with code 3"


def test_a_worker_is_told_from_the_first_moment_that_its_parent_is_gone():
    """Its parent sends nothing, so that nothing heavy was imported; the parent's end is the end of a pipe."""
    process, line = start_process()
    process.stdin.close()
    assert process.wait(5) == 1
    line.close()


def test_ray_leaves_sigterm_as_it_was():
    with terminable():
        with sigterm_kept():
            ours = signal.getsignal(signal.SIGTERM)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as Ray does with its own
        assert signal.getsignal(signal.SIGTERM) is ours


@pytest.mark.slow
def test_workers_that_are_killed_each_time_end_the_run_with_that_advice(options, tmp_path, monkeypatch):
    def start_and_kill():
        process, line = start_process()
        process.kill()
        return process, line

    monkeypatch.setattr("recbole_apa.pipeline.workers.processes.start_process", start_and_kill)
    with pytest.raises(TrainingError, match=r"failed 3 times.*signal 9.*fewer workers need less: --workers=1"):
        run("APA", "board", config_dict={**options, "workers": 2}, run_dir=tmp_path / "run")
