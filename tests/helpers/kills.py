"""Requests that are killed, and started again as a person would."""

import os
import signal

from recbole_apa import unlearn
from recbole_apa.core.errors import APAError
from recbole_apa.runs.ledger import Ledger
from recbole_apa.runs.store import RunStore
from tests.helpers import killed_process


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
