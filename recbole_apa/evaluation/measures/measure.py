"""The measures of a comparison, by name: of scores against labels, and of an unlearned model against a retrained one.

Others can register their own. A measure is one class in one file: key, title, format and function.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np

from recbole_apa.core.errors import SettingsError
from recbole_apa.core.registry import Registry, require

FIGURES_OF_ROWS = frozenset(
    {"n_samples", "train_seconds", "n_parameters", "n_shards", "unlearn_seconds", "unlearn_shards_hit"}
    | {"inference_ms_per_sample", "forward_passes", "peak_memory_bytes", "peak_memory_mib", "recbole_auc"}
    | {"n_forget", "n_requests", "uauc", "n_labels", "n_users_unseen"}
    | {
        f"drawn_{kind}{what}"
        for kind in ("interactions", "users", "items")
        for what in ("", "_shards_hit", "_shards_again", "_seconds")
    }
)
"""Keys that a comparison itself writes among a row's figures; no measure may have one of them."""
COLUMNS_OF_TABLES = frozenset(
    {"method", "spread", "minus Retraining", "95 % interval", "train s", "unlearn s", "shards hit", "UAUC"}
    | {"one model / request", "all anew / request", "labels", "user unseen"}
    | {"ms/sample", "passes", "peak MiB", "parameters", "seconds", "peak, MiB"}
)
"""Titles of columns that are no measure's."""
Answers = Mapping[str, np.ndarray]
"""Scores of one model by part, (n,) each: ``forget``, ``test``, and ``retain`` and ``neighbours`` if any."""


class Measure(ABC):
    """What all measures declare about themselves."""

    name: ClassVar[str]
    """The key among a row's figures."""
    title: ClassVar[str]
    """The column of the table; a measure without one is only in the rows."""
    format: ClassVar[str] = ".4f"
    """How a figure is written, a format spec for :func:`format`."""


class ScoreMeasure(Measure):
    """A figure of scores against labels: a column in every comparison of labelled rows."""

    needs_probabilities: ClassVar[bool] = False
    """Whether scores must be probabilities of a like; for other scores there is then no such figure."""

    @abstractmethod
    def __call__(self, labels: np.ndarray, scores: np.ndarray) -> float | None:
        """The figure; None if it is undefined.

        Args:
            labels: (n,), 0 or 1.
            scores: (n,).
        """


@dataclass(frozen=True)
class Seen:
    """The input of a measure of forgetting. Scores are probabilities of a like."""

    after: Answers
    """Answers of the model after unlearning."""
    before: Answers
    """Answers of the model before the request."""
    goal: Answers
    """Answers of the model trained without the data."""
    without: Sequence[Answers]
    """Answers of models trained without the data that are no rows themselves: the same for every row."""
    labels: Mapping[str, np.ndarray]
    """The labels of each part, (n,), 0 or 1."""


class ForgettingMeasure(Measure):
    """A figure of one unlearning method: a column in every forgetting comparison."""

    spread: ClassVar[bool] = False
    """Whether to show its standard deviation over seeds next to it."""

    @abstractmethod
    def __call__(self, seen: Seen) -> float | None:
        """The figure; None if it is undefined."""


SCORE_MEASURES: Registry[ScoreMeasure] = Registry("measure of scores")
FORGETTING_MEASURES: Registry[ForgettingMeasure] = Registry("measure of forgetting")
M = TypeVar("M", bound=type[Measure])


def register_measure(cls: M) -> M:
    """Class decorator that registers a measure under its ``name``.

    Raises:
        SettingsError: the name or title is taken, or the class is incomplete.
    """
    require(cls, Measure, name=str, title=str, format=str)
    if not _is_format(cls.format):
        raise SettingsError(f"{cls.__qualname__}: found format = {cls.format!r}, expected one for numbers, e.g. '.4f'")
    if issubclass(cls, ScoreMeasure):
        require(cls, ScoreMeasure, needs_probabilities=bool)
        _refuse_taken(cls, SCORE_MEASURES)
        SCORE_MEASURES.add(cls.name, cls)
    elif issubclass(cls, ForgettingMeasure):
        require(cls, ForgettingMeasure, spread=bool)
        _refuse_taken(cls, FORGETTING_MEASURES)
        FORGETTING_MEASURES.add(cls.name, cls)
    else:
        raise SettingsError(f"found {cls!r}, expected a subclass of ScoreMeasure or ForgettingMeasure")
    return cls


def _refuse_taken(cls: type[Measure], known: Mapping[str, type[Measure]]) -> None:
    """
    Raises:
        SettingsError: the name is one of a row's own figures, or the title is another column's.
    """
    if cls.name in FIGURES_OF_ROWS:
        raise SettingsError(
            f"{cls.__qualname__}: found name = {cls.name!r}, which every row has already; expected a name other than "
            f"{', '.join(sorted(FIGURES_OF_ROWS))}"
        )
    titles = COLUMNS_OF_TABLES | {other.title for name, other in known.items() if name != cls.name and other.title}
    if cls.title in titles:
        raise SettingsError(
            f"{cls.__qualname__}: found title = {cls.title!r}, which another column has; choose another"
        )


def _is_format(how: str) -> bool:
    try:
        return bool(format(0.5, how))
    except ValueError:
        return False
