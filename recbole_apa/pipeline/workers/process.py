"""The process of a worker, from its first moment; imports nothing heavy, so that it ends with its parent at once.

It runs nothing of the program that started it: a script needs no ``if __name__ == "__main__":``, and may come from
standard input or a notebook.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection, Pipe
from typing import Any

_PROGRAM = "import sys; sys.path[:] = {path!r}; from recbole_apa.pipeline.workers.process import main; main({line})"


def start_process() -> tuple["subprocess.Popen[bytes]", Connection]:
    """A process that waits for what it is to do (:func:`main`), and the line to it.

    The process ends when the pipe that is its standard input does: when this process ends, in whatever way.
    """
    ours, theirs = Pipe()
    program = _PROGRAM.format(path=[str(place) for place in sys.path], line=theirs.fileno())
    # -O, -W, -X: as multiprocessing hands them on
    flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    try:
        process = subprocess.Popen(
            [sys.executable, *flags, "-c", program], stdin=subprocess.PIPE, pass_fds=[theirs.fileno()]
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    return process, ours


def main(line_number: int) -> None:
    """Mind the parent, then do what comes: a function and its first message, by which heavy modules are imported."""
    # Ctrl-C reaches all processes of a terminal; the one that gave the job ends this one
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    line = Connection(line_number)
    work: Callable[[Connection, Any], None]
    work, setup = line.recv()
    work(line, setup)


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)


def how_it_ended(code: int) -> str:
    """Why a process is gone, for a person.

    Args:
        code: its exit code; -9 where signal 9 ended it.
    """
    if code == -signal.SIGKILL:
        return (
            "its process was killed (signal 9), mostly because the machine had no memory left; fewer workers need "
            "less: --workers=1"
        )
    if code < 0:
        return f"its process was ended by {signal.Signals(-code).name}"
    return f"its process ended with code {code}"
