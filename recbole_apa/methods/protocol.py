"""What a method of the comparison has to do, and what is measured of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

SCORED = ("valid", "test")


@dataclass(frozen=True)
class FitFigures:
    """What training cost."""

    seconds: float
    """Training alone: no loading, no frozen passes of prompts, no evaluation."""
    n_parameters: int
    """Numbers that were trained."""
    n_shards: int


@dataclass(frozen=True)
class ScoreFigures:
    """What a prediction costs."""

    forward_passes: int
    """Through the upper layers of the language model, or of the model itself, for one sample."""
    milliseconds_per_sample: float
    """One after another, or in RecBole's batches: as the method is served here. Frozen trunk states are there."""


@dataclass(frozen=True)
class UnlearnFigures:
    """What one request cost, from the ledger's line to a state that can be served; evaluation apart."""

    seconds: float
    n_shards_hit: int


class Method(Protocol):
    """One training that serves one or more rows of the table.

    ``fit`` comes first, then ``scores`` and ``cost`` of each row; ``unlearn`` is the last call.
    """

    @property
    def rows(self) -> Sequence[str]:
        """Names of the table's rows that this training serves."""
        ...

    def fit(self, seed: int) -> FitFigures:
        """Train on the training samples; validation samples may choose, test samples are not looked at."""
        ...

    def scores(self, row: str, split: str) -> np.ndarray:
        """Scores of a split's samples (``valid`` or ``test``) in their order, (n,)."""
        ...

    def cost(self, row: str) -> ScoreFigures:
        """Of scoring the test samples."""
        ...

    def is_probability(self, row: str) -> bool:
        """Whether scores are probabilities of a like; else LogLoss has no meaning."""
        ...

    def unlearn(self) -> UnlearnFigures:
        """Forget one interaction of the training samples (for partitions: one that a single shard has seen)."""
        ...
