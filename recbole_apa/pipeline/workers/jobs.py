"""A worker's jobs, and how it does them: plain values only, so that they can be sent anywhere.

Shapes: n samples, d hidden, k adapters.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from recbole_apa.adapters.bank import Factors
from recbole_apa.adapters.moments import Moment, Moments
from recbole_apa.backbone.prompt_encoder import TokenizedPrompt
from recbole_apa.core.places import Place
from recbole_apa.data.sent_samples import SentSamples
from recbole_apa.model.apa import APA
from recbole_apa.model.shard_trainer import ShardTrainer, Start
from recbole_apa.pipeline.build import model_for
from recbole_apa.pipeline.config import APAConfig
from recbole_apa.pipeline.plugins import import_plugins
from recbole_apa.pipeline.workers.received import ReceivedData

Report = Callable[[float, str], None]
"""Called with the share done, and a text to show next to it."""
PlainFactors = dict[str, tuple[np.ndarray, ...]]
PlainMoments = dict[str, tuple[tuple[np.ndarray, ...], ...]]
PlainStart = tuple[PlainFactors | None, PlainMoments | None]


@dataclass(frozen=True)
class Setup:
    """What a worker needs to build the same model and batches: no file of the dataset."""

    dataset: str
    options: Mapping[str, Any]
    samples: SentSamples
    threads: int
    """Torch threads, as many as the caller has: another number could round differently."""
    modules: tuple[str, ...] = ()
    """To be imported first, as they register what the options name."""


@dataclass(frozen=True)
class Job:
    """One piece of work that depends on no other."""

    what: str
    """A method of :class:`ShardWorker`: ``train``, ``embed`` or ``score``."""
    arguments: tuple[Any, ...]
    title: str
    """For people, e.g. ``shard 3``."""


class ShardWorker:
    """Builds the model once, then does one job after another."""

    def __init__(self, setup: Setup) -> None:
        torch.set_num_threads(setup.threads)
        import_plugins(setup.modules)
        config = APAConfig("APA", setup.dataset, None, {**setup.options, "show_progress": False})
        self.data = ReceivedData(setup.samples, config)
        self.model: APA = model_for(config, self.data)

    def do(self, job: Job, report: Report) -> Any:
        """Do a job and return its result."""
        ways: dict[str, Callable[..., Any]] = {"train": self.train, "embed": self.embed, "score": self.score}
        return ways[job.what](*job.arguments, report)

    def train(
        self,
        shard: int,
        n_shards: int,
        members: Sequence[str],
        begin: PlainStart,
        place: tuple[int, int],
        report: Report,
    ) -> tuple[PlainFactors, dict[str, Any], PlainMoments | None, float]:
        """Train one place of a shard: factors, the history of its training, the optimiser's moments, seconds.

        Args:
            begin: the adapter to continue from, None for the common initial factors, and the optimiser's moments.
        """
        start, settings = time.perf_counter(), self.model.settings
        batches = self.data.batches(members, settings.training.train_batch_size, settings.seed)
        n_steps = settings.training.epochs * len(batches)

        def log(name: str, loss: float, step: int) -> None:
            report((step + 1) / n_steps, f"loss {loss:.4f}")

        first = Start(None if begin[0] is None else from_plain(begin[0]), moments_from_plain(begin[1]))
        done = ShardTrainer(self.model, False).fit(shard, n_shards, batches, log, first, Place(*place))
        moments = moments_to_plain(done.moments)
        return to_plain(done.factors), asdict(done.history), moments, time.perf_counter() - start

    def embed(self, split: str, rows: Sequence[int], report: Report) -> np.ndarray:
        """Embeddings of samples of a split, (n, d)."""
        return self._by_steps(lambda part: self.model.engine.embeddings(self._prompts(split, part)), rows, report)

    def score(
        self,
        split: str,
        rows: Sequence[int],
        which: Sequence[int],
        adapters: Sequence[PlainFactors | None],
        report: Report,
    ) -> np.ndarray:
        """Scores of samples of a split under each single adapter, (n, len(which))."""
        self.model.set_adapters([None if factors is None else from_plain(factors) for factors in adapters])
        return self._by_steps(
            lambda part: self.model.engine.adapter_scores(self._prompts(split, part), which), rows, report
        )

    def _prompts(self, split: str, rows: Sequence[int]) -> list[TokenizedPrompt]:
        return self.model.prompts(self.data.table(split)[list(rows)])

    def _by_steps(
        self, compute: Callable[[Sequence[int]], torch.Tensor], rows: Sequence[int], report: Report
    ) -> np.ndarray:
        size, found = self.model.engine.step_size, []
        for begin in range(0, len(rows), size):
            found.append(compute(rows[begin : begin + size]).numpy())
            report(min(1.0, (begin + size) / len(rows)), "")
        return np.concatenate(found)


def to_plain(factors: Factors) -> PlainFactors:
    """As numpy arrays."""
    return {name: tuple(part.numpy() for part in parts) for name, parts in factors.items()}


def from_plain(factors: PlainFactors) -> Factors:
    """As tensors, copied."""
    return {name: tuple(torch.tensor(part) for part in parts) for name, parts in factors.items()}


def moments_to_plain(moments: Moments | None) -> PlainMoments | None:
    """As numpy arrays."""
    if moments is None:
        return None
    return {name: tuple(tuple(x.numpy() for x in moment) for moment in parts) for name, parts in moments.items()}


def moments_from_plain(moments: PlainMoments | None) -> Moments | None:
    """As tensors, copied."""
    if moments is None:
        return None
    return {n: tuple(Moment(*(torch.tensor(x) for x in moment)) for moment in parts) for n, parts in moments.items()}
