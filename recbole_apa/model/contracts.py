"""Protocols for the inputs of training besides model and data: this room depends on neither workers nor requests."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from torch import Tensor

from recbole_apa.adapters.bank import Factors
from recbole_apa.adapters.moments import Moments
from recbole_apa.adapters.training import ShardHistory
from recbole_apa.collaborative import ItemCodes
from recbole_apa.core.places import FIRST, Listed, Place
from recbole_apa.data.dataloader import ShardBatches
from recbole_apa.data.dataset import APADataset
from recbole_apa.data.run_data import RunData
from recbole_apa.data.sent_samples import SentSamples
from recbole_apa.evidence import Key
from recbole_apa.partition import Collaborative
from recbole_apa.runs.reuse import ReusableState

Log = Callable[[str, float, int], None]
"""Logs a training loss, given name, value and step."""


class ShardUpdate(Protocol):
    """Updates a trained adapter instead of training it again."""

    def key(self, exact: str) -> str:
        """The key of an updated shard's record, given the key it would have if trained."""
        ...

    def update(self, shard: int, batches: ShardBatches) -> tuple[Factors, ShardHistory]:
        """The updated adapter of a shard."""
        ...


@dataclass(frozen=True)
class ToTrain:
    """One place of a shard, to be trained."""

    shard: int
    members: Sequence[str]
    """Its samples' ids."""
    start: Factors | None = None
    """The adapter to continue from; None takes the common initial factors."""
    moments: Moments | None = None
    """The optimiser's, to continue with; None starts with new ones."""
    place: Place = FIRST


@dataclass(frozen=True)
class ModelTerms:
    """What RecBole models say about the validation and test samples of some rows, and the further rows."""

    scores: dict[str, np.ndarray] = field(default_factory=dict)
    """:func:`~recbole_apa.collaborative.model_key` -> its term of each row, in order of their ids, float64."""
    failed: dict[str, str] = field(default_factory=dict)
    """Model -> what about these rows it cannot learn from; its terms are zeros."""


class WorkerPool(Protocol):
    """Workers that do parts of the training: :mod:`recbole_apa.pipeline.workers`."""

    is_elsewhere: bool
    """Whether they run on other machines: then even a single shard is left to them."""
    embeds: bool
    """Whether they also do frozen passes and scoring."""

    def see(self, samples: SentSamples) -> None:
        """Give the workers the samples that they work on, instead of those that they had."""
        ...

    def train(
        self, n_shards: int, asked: Sequence[ToTrain]
    ) -> Iterator[tuple[int, Factors, ShardHistory, Moments | None, float]]:
        """Train one place each of several shards; yields each shard when it is done, with the seconds it took."""
        ...

    def embed(self, split: str, rows: Sequence[int], step: int, title: str) -> Iterator[tuple[Sequence[int], Tensor]]:
        """Embed some samples of a split; yields rows and their embeddings, (n, d)."""
        ...

    def score(
        self, split: str, rows: Sequence[int], which: Sequence[int], adapters: Sequence[Factors | None], step: int
    ) -> Iterator[tuple[Sequence[int], Tensor]]:
        """Score some samples of a split with single adapters; yields rows and their scores, (n, len(which))."""
        ...

    def close(self) -> None:
        """End all workers."""
        ...


@dataclass(frozen=True)
class FitInputs:
    """The inputs of training besides model, data and store."""

    reuse: ReusableState | None = None
    """The preceding state; what it shows to be unaffected is not computed again."""
    collaborative: Callable[[str, APADataset, Path | None], Collaborative] | None = None
    """(partition, training dataset, folder of the run that is written) -> the collaborative model that partitions of
    users and items use."""
    evidence_models: Callable[[RunData, Path | None], ModelTerms] | None = None
    """(rows, folder of the run that is written) -> what the RecBole models of its evidence say, trained on the rows."""
    refuses_models: bool = False
    """Whether rows that a model cannot learn from are refused, as in a new run; a request must not fail for them, and
    goes on with terms that say nothing."""
    shard_update: ShardUpdate | None = None
    """Updates the adapters of affected shards; None trains them again."""
    pool: WorkerPool | None = None
    """Workers that share the work; None does all of it here."""
    pieces: Mapping[str, int] = field(default_factory=dict)
    """Sample id -> number of the piece of its shard that it is trained in; 0 for those that are not in it. May name
    samples that are gone."""
    listed: Listed | None = None
    """The slices of users whom an order names."""
    serves_prefixes: bool = False
    """Train nothing: serve of each shard what the first places, as far as they are what they were, have left."""
    trains_models: bool = True
    """Whether RecBole models of the evidence are trained; otherwise their terms say nothing."""
    prefixes: Mapping[int, Place] = field(default_factory=dict)
    """Shard -> the place before which its training ends."""
    key: Key | None = None
    """The key for the state's digests; None if nothing was forgotten."""
    records_follow: bool = False
    """Whether the caller evaluates and writes records afterwards: the run counts as interrupted until then."""
    writes_index: bool = True
    """Whether the run gets an index of its data; a pending state has one already."""
    items: ItemCodes | None = None
    """The numbers of items in collaborative statistics, where the run that is made here gets no index."""
    writes_board: bool = True
    """Whether to log losses for tensorboard."""
    begin_line: str = ""
    """What the log says when the run's folder is begun: where it is, and how to resume. Empty: nothing."""


NO_INPUTS = FitInputs()
"""No additional inputs."""
