"""What a method of the comparison has to do, and what is measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class FitFigures:
    """What training cost."""

    seconds: float
    """Of the state that is served, including its memory but not loading, frozen passes of prompts or evaluation."""
    n_parameters: int | None
    """Numbers that were trained; None for a model that has no parameters."""
    n_shards: int
    n_labels: int
    """Labelled interactions that were learnt from, each counted once. Labels that only choose (of validation samples),
    or that only a prompt shows, are not counted."""
    drawn: Mapping[str, float] = field(default_factory=dict)
    """Figures of requests drawn by hash, for methods with shards: see
    :func:`~recbole_apa.comparison.requests.drawn_figures`."""
    n_stopping: int | None = None
    """Labels of the validation split that the best epoch was chosen by; None if no epoch is chosen."""


@dataclass(frozen=True)
class Scored:
    """Predictions, and what they cost."""

    scores: np.ndarray
    """Scores of the test samples, in order, (n,)."""
    is_probability: bool
    """Whether scores are probabilities of a like; if not, LogLoss is meaningless."""
    forward_passes: int
    """Through the upper layers of the language model, or of the model itself, for one sample."""
    seconds: float
    """For all samples, one after another or in RecBole's batches, as the method is served here. Frozen trunk
    activations are already computed."""
    n_users_unseen: int | None = None
    """Test samples whose user the training rows do not contain, where scores depend on who the user is; else None."""
    all_scores: np.ndarray | None = None
    """If every row of the test split was scored: all of them, in the order of
    :attr:`~recbole_apa.comparison.tested_rows.TestedRows.samples`."""
    fitted: FitFigures | None = None
    """Of a row that holds more than the training it shares: all that it took; None takes what ``fit`` returned."""


@dataclass(frozen=True)
class UnlearnFigures:
    """What one request cost, from the ledger's line to a state that can be served, without evaluation."""

    seconds: float
    n_shards_hit: int
    further: Mapping[str, float] = field(default_factory=dict)
    """Seconds beyond these, for rows that hold more than the training that they share."""


class Method(Protocol):
    """One training that serves one or more rows of the table.

    ``fit`` comes first, then ``score`` of each row; ``unlearn`` is the last call.
    """

    @property
    def rows(self) -> Sequence[str]:
        """Names of the table's rows that this training serves."""
        ...

    def fit(self, seed: int) -> FitFigures:
        """Train on the training samples; validation samples may be used to choose, test samples are not used."""
        ...

    def score(self, row: str) -> Scored:
        """Score the test samples."""
        ...

    def unlearn(self) -> UnlearnFigures:
        """Forget one interaction of the training samples (with shards: one that only a single shard has seen)."""
        ...
