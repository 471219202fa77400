"""Workers as training sees them: they train shards, embed prompts and score adapters.

Shapes: n samples, d hidden.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from recbole_apa.adapters.bank import Factors
from recbole_apa.adapters.moments import Moments
from recbole_apa.adapters.training import ShardHistory
from recbole_apa.core.errors import SettingsError
from recbole_apa.data.recbole_settings import read_execution
from recbole_apa.data.sent_samples import SentSamples
from recbole_apa.evidence import KEY_FILE
from recbole_apa.model.contracts import ToTrain
from recbole_apa.pipeline.config import APAConfig
from recbole_apa.pipeline.plugins import modules_for_workers
from recbole_apa.pipeline.workers.jobs import (
    Job,
    PlainStart,
    Setup,
    from_plain,
    moments_from_plain,
    moments_to_plain,
    to_plain,
)
from recbole_apa.pipeline.workers.processes import ProcessTeam
from recbole_apa.pipeline.workers.ray_actors import RAY_NEEDED, RayOptions, RayTeam, is_installed
from recbole_apa.pipeline.workers.schedule import Team, run_jobs


class WorkerPool:
    """Workers of one training; they start with the first job and end with :meth:`close`."""

    def __init__(self, config: APAConfig) -> None:
        self._config = config
        self._execution = execution = read_execution(config)
        self.n_workers = execution.workers or 1
        self._modules = modules_for_workers(config)
        self._show = execution.show_progress
        self._team: Team | None = None
        self._samples: SentSamples | None = None
        self.is_elsewhere = execution.engine == "ray"
        self.embeds = self.is_elsewhere and execution.keep_states is not True

    def see(self, samples: SentSamples) -> None:
        """Set the samples that the workers work on; earlier workers are ended, with what they had."""
        self.close()
        self._samples = samples

    def train(
        self, n_shards: int, asked: Sequence[ToTrain]
    ) -> Iterator[tuple[int, Factors, ShardHistory, Moments | None, float]]:
        """Train one place each of several shards; yields each shard when done, with the seconds that it took."""
        jobs = [
            Job(
                "train",
                (one.shard, n_shards, one.members, _plain_start(one), tuple(one.place)),
                ", ".join(filter(None, (f"shard {one.shard + 1}", one.place.text()))),
            )
            for one in asked
        ]
        for i, (factors, history, moments, seconds) in self._run(jobs, f"Train {len(jobs)} shards"):
            kept = moments_from_plain(moments)
            yield asked[i].shard, from_plain(factors), ShardHistory(**history), kept, seconds

    def embed(self, split: str, rows: Sequence[int], step: int, title: str) -> Iterator[tuple[Sequence[int], Tensor]]:
        """Embeddings of some samples of a split; yields rows and their embeddings, (n, d).

        Args:
            step: number of samples that are computed together.
        """
        parts = self._parts(rows, step)
        jobs = [Job("embed", (split, part), f"part {i + 1}") for i, part in enumerate(parts)]
        for place, found in self._run(jobs, title):
            yield parts[place], torch.tensor(found)

    def score(
        self, split: str, rows: Sequence[int], which: Sequence[int], adapters: Sequence[Factors | None], step: int
    ) -> Iterator[tuple[Sequence[int], Tensor]]:
        """Scores of some samples of a split under each single adapter; yields rows and scores, (n, len(which))."""
        plain = [factors and to_plain(factors) for factors in adapters]
        parts = self._parts(rows, step)
        jobs = [Job("score", (split, part, which, plain), f"part {i + 1}") for i, part in enumerate(parts)]
        for place, found in self._run(jobs, "Score validation samples"):
            yield parts[place], torch.tensor(found)

    def close(self) -> None:
        """End all workers, and keep no sample: one of them may be forgotten."""
        self._samples = None
        if self._team:
            self._team.close()
            self._team = None

    def _parts(self, rows: Sequence[int], step: int) -> list[Sequence[int]]:
        """About two parts per worker, in whole steps, so that GPU batches have the same samples on any worker."""
        n_steps = -(-len(rows) // step)
        size = step * max(1, -(-n_steps // (2 * self.n_workers)))
        return [rows[begin : begin + size] for begin in range(0, len(rows), size)]

    def _run(self, jobs: Sequence[Job], title: str) -> Iterator[tuple[int, Any]]:
        if self._team is None:
            self._team = self._open()
        return run_jobs(self._team, jobs, title, self._show)

    def _open(self) -> Team:
        config, execution = self._config, self._execution
        assert self._samples is not None
        options = {name: value for name, value in config.external_config_dict.items() if name != KEY_FILE}
        if execution.engine == "ray":
            options.pop("gpu_id", None)  # Ray decides which GPU each worker sees
        setup = Setup(config.dataset, options, self._samples, torch.get_num_threads(), self._modules)
        if execution.engine == "ray":
            asked = RayOptions(execution.ray_address, execution.ray_cpus, execution.ray_gpus)
            return RayTeam(setup, self.n_workers, asked)
        return ProcessTeam(setup, self.n_workers)


def _plain_start(one: ToTrain) -> PlainStart:
    return None if one.start is None else to_plain(one.start), moments_to_plain(one.moments)


def pool_of(config: APAConfig) -> WorkerPool | None:
    """The workers that a configuration asks for; None if this process does the work itself.

    Raises:
        SettingsError: an engine that is not installed.
    """
    execution = read_execution(config)
    if execution.engine == "ray" and not is_installed():
        raise SettingsError(
            "engine: found 'ray', but Ray is not installed; expected engine: local, or the extra ray: "
            f'pip install ".[ray]", or pip install "{RAY_NEEDED}"'
        )
    return WorkerPool(config) if execution.engine == "ray" or (execution.workers or 1) > 1 else None
