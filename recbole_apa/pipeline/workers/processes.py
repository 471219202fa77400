"""Workers as processes on this machine."""

import contextlib
from collections.abc import Hashable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from subprocess import Popen
from typing import Any

from recbole_apa.core.errors import APAError
from recbole_apa.pipeline.workers.jobs import Job, Setup, ShardWorker
from recbole_apa.pipeline.workers.messages import Message
from recbole_apa.pipeline.workers.process import how_it_ended, start_process
from recbole_apa.pipeline.workers.schedule import WorkerLost

_SHARE, _VALUE, _ERROR = "share", "value", "error"


@dataclass
class _Slot:
    """One process and the connection to it."""

    process: Popen[bytes]
    line: Connection
    job: Job | None = None


class ProcessTeam:
    """Up to ``n_workers`` processes, each started when there is a job for it."""

    def __init__(self, setup: Setup, n_workers: int) -> None:
        self._setup, self._n_workers = setup, n_workers
        self._slots: dict[int, _Slot] = {}
        self._ended: dict[Hashable, tuple[str, Any]] = {}
        self._messages: list[Message] = []
        self._next = 0

    def has_room(self) -> bool:
        """See :class:`~recbole_apa.pipeline.workers.schedule.Team`."""
        return len(self._slots) < self._n_workers or any(slot.job is None for slot in self._slots.values())

    def submit(self, job: Job) -> Hashable:
        """See :class:`~recbole_apa.pipeline.workers.schedule.Team`."""
        number = next((n for n, slot in self._slots.items() if slot.job is None), None)
        if number is None:
            number = self._start()
        slot = self._slots[number]
        slot.job = job
        # a process that died meanwhile is noticed when it is waited for
        with contextlib.suppress(OSError):
            slot.line.send(job)
        return number

    def finished(self, seconds: float) -> list[Hashable]:
        """See :class:`~recbole_apa.pipeline.workers.schedule.Team`."""
        busy = {slot.line: number for number, slot in self._slots.items() if slot.job}
        for line in wait(list(busy), seconds):
            self._listen(busy[line])  # type: ignore[index]
        return list(self._ended)

    def result(self, known_as: Hashable) -> Any:
        """See :class:`~recbole_apa.pipeline.workers.schedule.Team`."""
        kind, value = self._ended.pop(known_as)
        if kind == _ERROR:
            raise value
        return value

    def messages(self) -> list[Message]:
        """See :class:`~recbole_apa.pipeline.workers.schedule.Team`."""
        out, self._messages = self._messages, []
        return out

    def close(self) -> None:
        """See :class:`~recbole_apa.pipeline.workers.schedule.Team`."""
        for slot in self._slots.values():
            slot.process.kill()
            _bury(slot)
        self._slots.clear()

    def _start(self) -> int:
        process, line = start_process()
        self._next += 1
        self._slots[self._next] = _Slot(process, line)
        with contextlib.suppress(OSError):
            line.send((_work, self._setup))
        return self._next

    def _listen(self, number: int) -> None:
        """Take everything that a process has sent."""
        slot = self._slots[number]
        try:
            while slot.job and slot.line.poll():
                kind, value = slot.line.recv()
                if kind == _SHARE:
                    self._messages.append((slot.job.title, *value))
                else:
                    self._ended[number], slot.job = (kind, value), None
        except (EOFError, OSError):
            del self._slots[number]
            self._ended[number] = (_ERROR, WorkerLost(how_it_ended(_bury(slot))))


def _bury(slot: _Slot) -> int:
    """Wait for a process to end; returns its exit code."""
    code = slot.process.wait()
    slot.line.close()
    if slot.process.stdin:
        slot.process.stdin.close()
    return code


def _work(line: Connection, setup: Setup) -> None:
    """A worker's process: build, then do jobs until the connection is closed."""
    worker = None
    while True:
        try:
            job = line.recv()
        except EOFError:
            return
        try:
            worker = worker or ShardWorker(setup)
            answer = (_VALUE, worker.do(job, lambda share, text: line.send((_SHARE, (share, text)))))
        except APAError as error:
            answer = (_ERROR, error)
        except Exception as error:  # reported where the job came from; not every exception can be pickled
            answer = (_ERROR, RuntimeError(f"{type(error).__name__}: {error}"))
        line.send(answer)
