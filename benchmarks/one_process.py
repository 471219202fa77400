"""Runs one command and measures it from outside: seconds from its start to its end, and its peak RAM.

    python benchmarks/one_process.py FILE COMMAND ...       # FILE gets status, seconds, cpu_seconds, peak_bytes

A program of its own that imports next to nothing: Linux counts the memory of the process that a command was started
from towards the command's peak.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Measured:
    """What a command took, its interpreter's start included."""

    status: int
    seconds: float
    cpu_seconds: float
    """Of all its threads, in the program and in the system: depends less on what else runs."""
    peak_bytes: int
    """The largest RAM of the command or of one of its own processes that it waited for."""
    output: str
    """What it printed to standard output."""
    said: str
    """The same of standard error."""


def measured(command: Sequence[str], folder: Path, variables: Mapping[str, str]) -> Measured:
    """Run a command in a fresh process.

    Args:
        folder: the folder that it runs in.
        variables: environment variables besides this process's.
    """
    with tempfile.NamedTemporaryFile(suffix=".json") as told:
        line = [sys.executable, str(Path(__file__).resolve()), told.name, *command]
        env = {**os.environ, **variables}
        done = subprocess.run(line, cwd=folder, env=env, capture_output=True, text=True, check=True)
        return Measured(**json.loads(Path(told.name).read_text()), output=done.stdout, said=done.stderr)


def main(file: str, command: Sequence[str]) -> None:
    """Run the command and write its figures to the file."""
    start = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)  # so that its destructor does not wait for it again
    figures = {
        "status": process.returncode,
        "seconds": time.perf_counter() - start,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_bytes": used.ru_maxrss * 1024,
    }
    Path(file).write_text(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
