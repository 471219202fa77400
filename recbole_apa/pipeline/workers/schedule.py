"""Give jobs to workers, retry what a lost worker left, show everyone's progress."""

from collections import Counter, deque
from collections.abc import Hashable, Iterator, Sequence
from logging import getLogger
from typing import Any, Protocol

from recbole_apa.core.errors import APAError, TrainingError
from recbole_apa.core.progress import progress
from recbole_apa.pipeline.workers.jobs import Job
from recbole_apa.pipeline.workers.messages import Message

MOST_ATTEMPTS = 3
PATIENCE = 0.2
"""Seconds between two polls of the workers."""


class WorkerLost(Exception):
    """A worker, or its node, ended in the middle of a job."""


class Team(Protocol):
    """Workers that build the same model, wherever they are."""

    def has_room(self) -> bool:
        """Whether a worker is free."""
        ...

    def submit(self, job: Job) -> Hashable:
        """Give a job to a free worker; returns a handle to it."""
        ...

    def finished(self, seconds: float) -> list[Hashable]:
        """Wait a while; returns jobs that ended meanwhile, successfully or not."""
        ...

    def result(self, known_as: Hashable) -> Any:
        """The result of a job that ended.

        Raises:
            WorkerLost: its worker is gone; the next job that is submitted gets a new one.
            Exception: what the job itself raised.
        """
        ...

    def messages(self) -> list[Message]:
        """What workers reported since the last call: title of the job, share done, text."""
        ...

    def close(self) -> None:
        """End all workers at once."""
        ...


def run_jobs(team: Team, jobs: Sequence[Job], title: str, show: bool) -> Iterator[tuple[int, Any]]:
    """Index and result of each job, as they finish.

    Raises:
        APAError: raised by a job; it would fail on any worker.
        TrainingError: a job failed three times; the others are finished first.
    """
    waiting, running = deque(range(len(jobs))), dict[Hashable, int]()
    attempts: Counter[int] = Counter()
    reasons: dict[int, Exception] = {}
    board = _Board(title, jobs, show)
    try:
        while waiting or running:
            while waiting and team.has_room():
                place = waiting.popleft()
                running[team.submit(jobs[place])] = place
            for known_as in team.finished(PATIENCE):
                place = running.pop(known_as)
                try:
                    value = team.result(known_as)
                except APAError:
                    raise
                except Exception as error:  # whatever it was, a retry may succeed
                    attempts[place] += 1
                    reasons[place] = error
                    _tell(jobs[place], error, attempts[place])
                    if attempts[place] < MOST_ATTEMPTS:
                        waiting.append(place)
                    continue
                reasons.pop(place, None)
                board.done(jobs[place])
                yield place, value
            board.show(team.messages())
    finally:
        board.close()
    if reasons:
        place, last = next(iter(reasons.items()))
        others = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
        raise TrainingError(
            f"{jobs[place].title}{others} failed {MOST_ATTEMPTS} times, the last time with {_reason(last)}; the other "
            "jobs' results are kept: fix the cause and start again with the same --run_dir"
        ) from last


def _tell(job: Job, error: Exception, attempt: int) -> None:
    more = "trying again" if attempt < MOST_ATTEMPTS else "giving up"
    getLogger().warning(f"{job.title}: attempt {attempt} failed with {_reason(error)}; {more}")


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


class _Board:
    """One progress bar for all workers: one unit per job, and what each worker is doing."""

    def __init__(self, title: str, jobs: Sequence[Job], show: bool) -> None:
        self._bar = progress(None, title, show, total=len(jobs))
        # a job's share moves the bar by less than one
        self._bar.bar_format = "{l_bar}{bar}| [{elapsed}<{remaining}{postfix}]"
        self._shares: dict[str, float] = {}
        self._texts: dict[str, str] = {}

    def show(self, messages: Sequence[Message]) -> None:
        """Show what workers reported."""
        for title, share, text in messages:
            self._move(title, share)
            self._texts[title] = f"{title} {share:.0%} {text}".strip()
        if messages:
            self._bar.set_postfix_str(", ".join(self._texts.values())[:60])

    def done(self, job: Job) -> None:
        """Mark a job as done."""
        self._move(job.title, 1.0)
        self._texts.pop(job.title, None)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()

    def _move(self, title: str, share: float) -> None:
        self._bar.update(share - self._shares.get(title, 0.0))
        self._shares[title] = share
