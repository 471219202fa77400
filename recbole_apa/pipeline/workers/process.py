"""A worker's process, from its start; imports nothing heavy, so that it ends as soon as its parent does.

It does not run the program that started it: a script needs no ``if __name__ == "__main__":``, and may come from
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
    """A process that waits for work (:func:`main`), and the connection to it.

    The process ends when the pipe to its standard input closes: when this process ends, for whatever reason.
    """
    ours, theirs = Pipe()
    program = _PROGRAM.format(path=[str(place) for place in sys.path], line=theirs.fileno())
    # -O, -W, -X: passed on, as multiprocessing does
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
    """Watch the parent, then receive and run a function and its argument, which imports the heavy modules."""
    # Ctrl-C reaches all processes of a terminal; the parent ends this one
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
    """Why a process ended, for a person.

    Args:
        code: its exit code; -9 if signal 9 ended it.
    """
    if code == -signal.SIGKILL:
        return (
            "its process was killed (signal 9), probably because the machine ran out of memory; fewer workers need "
            "less: --workers=1"
        )
    if code < 0:
        return f"its process was ended by {signal.Signals(-code).name}"
    return f"its process ended with code {code}"
