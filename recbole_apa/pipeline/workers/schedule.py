"""Give jobs to workers, try again what a lost worker left, show how far all of them are."""

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
"""Seconds between two looks at the workers."""


class WorkerLost(Exception):
    """A worker, or the node that it was on, ended in the middle of a job."""


class Team(Protocol):
    """Workers that build the same model, wherever they are."""

    def has_room(self) -> bool:
        """Whether a worker waits for a job."""
        ...

    def submit(self, job: Job) -> Hashable:
        """Give a job to a worker that waits; what it is known by from now on."""
        ...

    def finished(self, seconds: float) -> list[Hashable]:
        """Wait a while; jobs that ended meanwhile, one way or another."""
        ...

    def result(self, known_as: Hashable) -> Any:
        """What a job that ended gave.

        Raises:
            WorkerLost: its worker is gone; the next job that is submitted gets a new one.
            Exception: what the job itself raised.
        """
        ...

    def messages(self) -> list[Message]:
        """What workers reported since the last look: title of the job, share that is done, text."""
        ...

    def close(self) -> None:
        """End all workers at once."""
        ...


def run_jobs(team: Team, jobs: Sequence[Job], title: str, show: bool) -> Iterator[tuple[int, Any]]:
    """Place and result of each job, as they come.

    Raises:
        APAError: what a job refused; it would refuse it anywhere.
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
                except Exception as error:  # whatever it was, another try may do
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
            f"{jobs[place].title}{others} failed {MOST_ATTEMPTS} times, the last time with {_reason(last)}; what the "
            "others gave is kept: mend the reason and start again with the same --run_dir"
        ) from last


def _tell(job: Job, error: Exception, attempt: int) -> None:
    more = "trying again" if attempt < MOST_ATTEMPTS else "giving up"
    getLogger().warning(f"{job.title}: attempt {attempt} failed with {_reason(error)}; {more}")


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


class _Board:
    """One bar for all workers: a unit for each job, and what each of them is at."""

    def __init__(self, title: str, jobs: Sequence[Job], show: bool) -> None:
        self._bar = progress(None, title, show, total=len(jobs))
        # a job's share moves the bar by less than one
        self._bar.bar_format = "{l_bar}{bar}| [{elapsed}<{remaining}{postfix}]"
        self._shares: dict[str, float] = {}
        self._texts: dict[str, str] = {}

    def show(self, messages: Sequence[Message]) -> None:
        """Take over what workers reported."""
        for title, share, text in messages:
            self._move(title, share)
            self._texts[title] = f"{title} {share:.0%} {text}".strip()
        if messages:
            self._bar.set_postfix_str(", ".join(self._texts.values())[:60])

    def done(self, job: Job) -> None:
        """A job is done."""
        self._move(job.title, 1.0)
        self._texts.pop(job.title, None)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()

    def _move(self, title: str, share: float) -> None:
        self._bar.update(share - self._shares.get(title, 0.0))
        self._shares[title] = share
