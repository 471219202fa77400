"""An odd encoding, too little memory, ``-OO``: each works, or is told in a sentence."""

import ast
import json
import os
import subprocess
import sys

import pytest
import torch

from recbole_apa.backbone import threads
from recbole_apa.backbone.load import load_backbone
from recbole_apa.backbone.threads import map_on_threads
from recbole_apa.cli.main import main
from recbole_apa.core.errors import BackboneError, SettingsError
from recbole_apa.core.system.surroundings import explained, refuse_name
from tests.helpers.places import ROOT

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def started(*words, cwd, flags=(), **environment):
    return subprocess.run(
        [sys.executable, *flags, *words],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
    )


def test_every_text_file_is_opened_with_its_encoding():
    for path in sorted((ROOT / "recbole_apa").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            own = name == "write_text" and isinstance(node.func, ast.Name)  # files.write_text
            binary = any(isinstance(a, ast.Constant) and "b" in str(a.value) for a in node.args[1:2])
            if (name in ("read_text", "write_text") and not own) or (
                isinstance(node.func, ast.Name) and name == "open"
            ):
                assert binary or "encoding" in {k.arg for k in node.keywords}, f"{path}:{node.lineno}"


@pytest.mark.slow
@pytest.mark.parametrize("words", [["--forget_users=\u00fcser3", "--run=x"], ["--data_path=d\u00e4t\u00e4"]])
def test_arguments_that_an_ascii_environment_cannot_read_are_refused(words, tmp_path):
    done = started("-m", "recbole_apa", *words, cwd=tmp_path, **ASCII)
    assert done.returncode == 2 and b"Traceback" not in done.stderr
    assert b"not valid text in this environment's ascii; set PYTHONUTF8=1" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_path_in_a_file_that_an_ascii_environment_cannot_say_is_refused(options, tmp_path):
    config = tmp_path / "options.yaml"
    config.write_text(json.dumps({**options, "data_path": str(tmp_path / "d\u00e4t\u00e4")}), encoding="utf-8")
    words = ["--dataset=board", f"--config_files={config}", f"--run_dir={tmp_path / 'run'}"]
    done = started("-m", "recbole_apa", *words, cwd=tmp_path, **ASCII)
    assert done.returncode == 2 and b"Traceback" not in done.stderr
    assert b"which this environment's ascii cannot represent; set PYTHONUTF8=1" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_name_that_no_encoding_can_say_is_refused():
    with pytest.raises(SettingsError, match=r"cannot represent; set PYTHONUTF8=1"):
        refuse_name("\ud800")  # as a path outside an ascii environment's letters
    refuse_name("d\u00e4t\u00e4")


def test_without_threads_the_limits_are_named(monkeypatch, capsys):
    class Pool:
        def __init__(self, n):
            raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch, pytest.raises(BackboneError, match=r"ulimit -v.*OMP_NUM_THREADS=1"):
        patch.setattr(threads, "ThreadPoolExecutor", Pool)
        map_on_threads(str, [1])
    for error in (
        RuntimeError("can't start new thread"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:1] . DefaultCPUAllocator: can't allocate memory"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        MemoryError(),
    ):

        def broken(*args, error=error, **kwargs):
            raise error

        monkeypatch.setattr("recbole_apa.pipeline.quick_start.run", broken)
        assert main(["--dataset=ml-100k"]) == 2
        assert "out of memory or threads" in capsys.readouterr().err
    assert explained(RuntimeError("other")) is None

    def other(*args, **kwargs):
        raise RuntimeError("a fault of the program")

    monkeypatch.setattr("recbole_apa.pipeline.quick_start.run", other)
    assert main(["--dataset=ml-100k"]) == 70
    err = capsys.readouterr().err
    assert "Traceback" in err and "RuntimeError: a fault of the program" in err


def test_docstrings_that_are_gone_are_refused(monkeypatch):
    monkeypatch.setattr(
        "recbole_apa.core.system.surroundings.sys", type("Sys", (), {"flags": type("F", (), {"optimize": 2})})
    )
    with pytest.raises(SettingsError, match=r"found python -OO .*expected -O or neither"):
        load_backbone(None, torch.device("cpu"))  # before anything else is looked at


@pytest.mark.slow
def test_the_module_is_the_command(tmp_path):
    by_module = started("-m", "recbole_apa", "--help", cwd=tmp_path)
    by_script = started(str(ROOT / "run_recbole_apa.py"), "--help", cwd=tmp_path)
    assert by_module.returncode == by_script.returncode == 0
    named = by_module.stdout.replace(b"python -m recbole_apa", b"python run_recbole_apa.py")
    assert named == by_script.stdout != by_module.stdout and b"--run_dir=DIR" in named
    assert started("-m", "recbole_apa", "nonsense", cwd=tmp_path).returncode == 2
