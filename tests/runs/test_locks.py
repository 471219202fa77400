"""Locks of run folders: on file systems that have none, that do nothing, and in folders that cannot be written."""

import errno
import json
import os
import socket
import subprocess
import sys
from datetime import datetime, timezone

import pytest

from recbole_apa.core.errors import RunError
from recbole_apa.core.system import file_locks
from recbole_apa.runs.lock import HOLDER, LOCK, run_lock
from tests.helpers.ordinary_user import read_only


@pytest.fixture
def broken_locks(monkeypatch):
    """The number of the error that a lock ends with."""

    def break_them(number):
        def flock(handle, how):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(file_locks.fcntl, "flock", flock)

    return break_them


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EBADF, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_without_locks_is_called_so(number, broken_locks, tmp_path):
    broken_locks(number)
    (tmp_path / "run").mkdir()
    for folder in (tmp_path / "run", tmp_path / "new"):
        with pytest.raises(RunError, match=r"this file system has no locks.*put it on another disk"):
            run_lock(folder, "testing").__enter__()
    assert [p.name for p in tmp_path.iterdir()] == ["run"] and not list((tmp_path / "run").iterdir())
    with run_lock(tmp_path / "run", "testing", writes=False):
        pass


def test_another_error_is_not_called_so(broken_locks, tmp_path):
    broken_locks(errno.EIO)
    with pytest.raises(RunError, match="Input/output error"), run_lock(tmp_path / "run", "testing"):
        pass


def test_what_only_reads_needs_no_right_to_write(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "manifest.json").write_text("{}")
    with read_only(folder):
        with run_lock(folder, "reading", writes=False):
            assert [p.name for p in folder.iterdir()] == ["manifest.json"]
        with pytest.raises(RunError, match=r"cannot write .*Permission denied"), run_lock(folder, "writing"):
            pass
    (folder / LOCK).write_text("")
    with read_only(folder), run_lock(folder, "reading", writes=False):  # there is a lock, and it is held
        with pytest.raises(RunError, match="is in use by another process"), run_lock(folder, "x", writes=False):
            pass
        assert sorted(p.name for p in folder.iterdir()) == [LOCK, "manifest.json"]


def test_a_colleagues_lock_file_can_be_taken(tmp_path):
    """A lock file of mode 0644 kept everybody else out of a shared folder."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "manifest.json").write_text("{}")
    (folder / LOCK).write_text("")
    (folder / LOCK).chmod(0o444)
    with run_lock(folder, "mine"):
        assert json.loads((folder / HOLDER).read_text())["purpose"] == "mine"
    assert (folder / LOCK).exists() and not (folder / HOLDER).exists()


def test_locks_that_do_nothing_do_not_let_two_in(tmp_path):
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    holder = {"process": other.pid, "host": socket.gethostname(), "since": now, "purpose": "unlearning"}
    (tmp_path / HOLDER).write_text(json.dumps(holder))
    with pytest.raises(RunError, match=rf"process {other.pid} .*locks do not work on this file system"):
        run_lock(tmp_path, "testing").__enter__()
    assert json.loads((tmp_path / HOLDER).read_text()) == holder
    # a later process with the number of one that was killed
    (tmp_path / HOLDER).write_text(json.dumps({**holder, "since": "2020-01-01T00:00:00+00:00"}))
    with run_lock(tmp_path, "testing"):
        pass
    (tmp_path / HOLDER).write_text(json.dumps(holder))
    other.communicate(b"\n")
    with run_lock(tmp_path, "testing"):
        pass
    assert not (tmp_path / HOLDER).exists()


@pytest.mark.slow
def test_a_forked_child_does_not_keep_its_parents_lock(tmp_path):
    code = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from recbole_apa.runs.lock import run_lock\n"
        f"with run_lock(Path({str(tmp_path / 'run')!r}), 'testing'):\n"
        "    if os.fork() == 0:\n"
        "        print(os.getpid(), flush=True)\n"
        "        time.sleep(60)\n"
        "        os._exit(0)\n"
        "    time.sleep(0.2)\n"
        "    os._exit(9)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    try:
        assert parent.wait() == 9
        with run_lock(tmp_path / "run", "testing"):
            pass
    finally:
        os.kill(child, 9)
