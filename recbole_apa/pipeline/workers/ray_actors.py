"""Workers as actors of a Ray cluster: a given one, or one on this machine."""

import importlib.util
import os
from collections.abc import Hashable
from dataclasses import dataclass
from logging import getLogger
from typing import Any

from recbole_apa.core.errors import TrainingError
from recbole_apa.core.system.signals import sigterm_kept
from recbole_apa.pipeline.workers.jobs import Job, Setup, ShardWorker
from recbole_apa.pipeline.workers.messages import Message, Messages
from recbole_apa.pipeline.workers.schedule import MOST_ATTEMPTS, WorkerLost

RAY_NEEDED = "ray>=2.60,<3"
"""What the extra ``ray`` asks for."""


def is_installed() -> bool:
    """Whether Ray can be imported."""
    return importlib.util.find_spec("ray") is not None


@dataclass(frozen=True)
class RayOptions:
    """Where the cluster is, and what each worker uses of it."""

    address: str | None
    """As for ``ray.init``; None starts a cluster on this machine."""
    cpus: float
    gpus: float


@dataclass
class _Slot:
    """One actor; ``ready`` is set until it has built its model, ``job`` while it has one."""

    actor: Any
    ready: Any
    job: Any = None


def _no_cluster(address: str | None, error: Exception) -> str:
    """What to do if no cluster answers, or if it rejects this program."""
    said = " ".join(str(error).split())
    if _is_about_tokens(error) or os.environ.get("RAY_AUTH_MODE") == "token":
        return (
            f"ray_address: the Ray cluster at {address!r} did not accept this program's token ({said}); "
            "expected the same RAY_AUTH_MODE=token and RAY_AUTH_TOKEN in the environment of every `ray start` and of "
            "this program"
        )
    return (
        f"ray_address: cannot connect to a Ray cluster at {address!r} ({said}); start one with `ray start --head` and "
        "use the address that it prints. `ray start` of newer releases asks for a token: set the same "
        "RAY_AUTH_MODE=token and RAY_AUTH_TOKEN in its environment and in this program's"
    )


def _is_about_tokens(error: Exception) -> bool:
    return any(word in f"{type(error).__name__} {error}".lower() for word in ("authent", "auth_token", "auth_mode"))


class _Worker:
    """The actor."""

    def __init__(self, setup: Setup, messages: Any) -> None:
        self._worker, self._messages = ShardWorker(setup), messages

    def ready(self) -> bool:
        """Returns once the model is built."""
        return True

    def do(self, job: Job) -> Any:
        """Do a job and return its result."""
        return self._worker.do(job, lambda share, text: self._messages.put.remote((job.title, share, text)))


class RayTeam:
    """Up to ``n_workers`` actors; one that dies, alone or with its node, is replaced.

    Raises:
        TrainingError: no usable cluster at the address.
    """

    def __init__(self, setup: Setup, n_workers: int, options: RayOptions) -> None:
        with sigterm_kept():
            self._connect(options)
        # once for all workers; what stays in the cluster goes with the reference
        self._setup, self._options = self._ray.put(setup), options
        self._messages: Any = None
        self._taken: Any = None
        self._open_messages()
        self._slots = [self._start() for _ in range(n_workers)]
        self._job_of: dict[Hashable, _Slot] = {}
        self._lost = 0
        getLogger().info(
            f"{n_workers} Ray worker(s), logs in {self._ray._private.worker._global_node.get_logs_dir_path()}"
        )

    def _connect(self, options: RayOptions) -> None:
        import ray

        self._ray = ray
        self._ours = not ray.is_initialized()
        if self._ours:
            try:
                ray.init(
                    address=options.address,
                    log_to_driver=False,
                    include_dashboard=False if not options.address else None,
                )
            except ConnectionError as error:
                raise TrainingError(_no_cluster(options.address, error)) from error
            except ray.exceptions.RayError as error:
                if not _is_about_tokens(error):
                    raise
                raise TrainingError(_no_cluster(options.address, error)) from error

    def has_room(self) -> bool:
        """See :class:`~recbole_apa.pipeline.workers.schedule.Team`."""
        self._poll()
        return any(slot.ready is None and slot.job is None for slot in self._slots)

    def submit(self, job: Job) -> Hashable:
        """See :class:`~recbole_apa.pipeline.workers.schedule.Team`."""
        slot = next(s for s in self._slots if s.ready is None and s.job is None)
        slot.job = slot.actor.do.remote(job)
        self._job_of[slot.job] = slot
        known_as: Hashable = slot.job
        return known_as

    def finished(self, seconds: float) -> list[Hashable]:
        """See :class:`~recbole_apa.pipeline.workers.schedule.Team`."""
        waited_for = [*self._job_of, *(s.ready for s in self._slots if s.ready is not None)]
        done = set(self._ray.wait(waited_for, num_returns=len(waited_for), timeout=seconds)[0]) if waited_for else set()
        return [known_as for known_as in self._job_of if known_as in done]

    def result(self, known_as: Hashable) -> Any:
        """See :class:`~recbole_apa.pipeline.workers.schedule.Team`."""
        slot = self._job_of.pop(known_as)
        slot.job = None
        try:
            return self._ray.get(known_as)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from error
        except self._ray.exceptions.RayError as error:
            self._replace(slot)
            raise WorkerLost(str(error).strip().splitlines()[0]) from error

    def messages(self) -> list[Message]:
        """See :class:`~recbole_apa.pipeline.workers.schedule.Team`."""
        if not self._ray.wait([self._taken], timeout=0)[0]:
            return []
        try:
            found: list[Message] = self._ray.get(self._taken)
        except self._ray.exceptions.RayError:  # its node is gone; what it kept was only for display
            self._open_messages()
            return []
        self._taken = self._messages.take.remote()
        return found

    def close(self) -> None:
        """See :class:`~recbole_apa.pipeline.workers.schedule.Team`."""
        for actor in [*(slot.actor for slot in self._slots), self._messages]:
            self._ray.kill(actor)
        self._setup = None
        if self._ours:
            self._ray.shutdown()

    def _open_messages(self) -> None:
        self._messages = self._ray.remote(Messages).options(num_cpus=0).remote()
        self._taken = self._messages.take.remote()

    def _start(self) -> _Slot:
        how = {"num_cpus": self._options.cpus, "num_gpus": self._options.gpus}
        actor = self._ray.remote(_Worker).options(**how).remote(self._setup, self._messages)
        return _Slot(actor, actor.ready.remote())

    def _replace(self, slot: _Slot) -> None:
        fresh = self._start()
        slot.actor, slot.ready = fresh.actor, fresh.ready

    def _poll(self) -> None:
        """Find out which of the new workers are ready.

        Raises:
            TrainingError: workers repeatedly end before they are ready.
        """
        for slot in self._slots:
            if slot.ready is None or not self._ray.wait([slot.ready], timeout=0)[0]:
                continue
            try:
                self._ray.get(slot.ready)
                slot.ready, self._lost = None, 0
            except self._ray.exceptions.RayError as error:
                self._lost += 1
                if self._lost >= MOST_ATTEMPTS * len(self._slots):
                    raise TrainingError(f"cannot start a Ray worker; the last one ended with {error}") from error
                self._replace(slot)
