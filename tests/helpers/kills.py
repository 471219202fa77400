"""Requests that are killed, and started again as a person would."""

import os
import signal
import time

from recbole_apa import unlearn
from recbole_apa.core.errors import APAError
from recbole_apa.runs.ledger import Ledger
from recbole_apa.runs.store import RunStore
from tests.helpers import killed_process
from tests.helpers.runs import copy_run, state


def killed(server, run, work_folder, asked, kill_at=None, after=None):
    """Start the request and kill it before a file operation, or after some seconds; whether it was killed."""
    process = server.Process(target=killed_process.forget, args=(str(run), str(work_folder), asked, kill_at, None))
    process.start()
    if after is not None:
        process.join(after)
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
    process.join()
    return process.exitcode == -signal.SIGKILL


def completed(run, asked):
    """Start again as a person would, and say in how many requests the ledger is."""
    store = RunStore(run)
    ledger = Ledger(run, store.manifest()["salt"])
    if not (ledger.additions() if "added" in asked else ledger.requests()):
        killed_process.ask(run, asked)  # it was never acknowledged
    else:
        try:
            unlearn(run)
        except APAError as error:
            assert "found no request" in str(error)  # it was carried out to its end
    return ledger


def end_of(asked, finished, server, folder, work_folder):
    """(what is asked, the state it ends with, its file operations, its seconds, what each operation concerns)."""
    run = copy_run(finished, folder / "run")
    start = time.perf_counter()
    process = server.Process(
        target=killed_process.forget, args=(str(run), str(work_folder), asked, None, str(folder / "n"))
    )
    process.start()
    process.join()
    assert process.exitcode == 0
    paths = (folder / "n.paths").read_text().splitlines()
    return asked, state(run), int((folder / "n").read_text()), time.perf_counter() - start, paths


def some(n, n_wanted):
    """Evenly spread numbers from 1 to n, ends included."""
    return sorted({1 + round(i * (n - 1) / (n_wanted - 1)) for i in range(n_wanted)})
