"""What a comparison measures, by name: of scores against labels, and of an unlearned model against a retrained one.

Others register theirs beside these. A measure is one class in one file: key, title, format and function.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np

from recbole_apa.core.errors import SettingsError
from recbole_apa.core.registry import Registry, require

Answers = Mapping[str, np.ndarray]
"""Scores of one model by part, (n,) each: ``forget``, ``test``, and ``retain``, ``neighbours`` if there are any."""


class Measure(ABC):
    """What all measures say of themselves."""

    name: ClassVar[str]
    """The key among a row's figures."""
    title: ClassVar[str]
    """The column of the table; a measure without one is kept in the rows alone."""
    format: ClassVar[str] = ".4f"
    """How a figure is written, as :func:`format` takes it."""


class ScoreMeasure(Measure):
    """A figure of scores against labels, a column of every comparison of labelled rows."""

    needs_probabilities: ClassVar[bool] = False
    """Whether scores have to be probabilities of a like; of others there is no such figure then."""

    @abstractmethod
    def __call__(self, labels: np.ndarray, scores: np.ndarray) -> float | None:
        """The figure; None where it has no meaning.

        Args:
            labels: (n,), 0 or 1.
            scores: (n,).
        """


@dataclass(frozen=True)
class Seen:
    """What a measure of forgetting may look at. Scores are probabilities of a like."""

    after: Answers
    """Of the model that was made to forget."""
    before: Answers
    """Of the model before the request."""
    goal: Answers
    """Of the model trained without the data."""
    without: Sequence[Answers]
    """Of all models that were trained without the data, but for the one that is measured."""
    labels: Mapping[str, np.ndarray]
    """Of each part, (n,), 0 or 1."""


class ForgettingMeasure(Measure):
    """A figure of one method that forgets, a column of every forgetting comparison."""

    spread: ClassVar[bool] = False
    """Whether its standard deviation over seeds stands beside it."""

    @abstractmethod
    def __call__(self, seen: Seen) -> float | None:
        """The figure; None where it has no meaning."""


SCORE_MEASURES: Registry[ScoreMeasure] = Registry("measure of scores")
FORGETTING_MEASURES: Registry[ForgettingMeasure] = Registry("measure of forgetting")
M = TypeVar("M", bound=type[Measure])


def register_measure(cls: M) -> M:
    """Make a measure known by its ``name``; stands as a decorator above the class.

    Raises:
        SettingsError: the name is taken, or the class lacks something.
    """
    require(cls, Measure, name=str, title=str, format=str)
    if not _is_format(cls.format):
        raise SettingsError(f"{cls.__qualname__}: found format = {cls.format!r}, expected a number's, e.g. '.4f'")
    if issubclass(cls, ScoreMeasure):
        require(cls, ScoreMeasure, needs_probabilities=bool)
        SCORE_MEASURES.add(cls.name, cls)
    elif issubclass(cls, ForgettingMeasure):
        require(cls, ForgettingMeasure, spread=bool)
        FORGETTING_MEASURES.add(cls.name, cls)
    else:
        raise SettingsError(f"found {cls!r}, expected a subclass of ScoreMeasure or ForgettingMeasure")
    return cls


def _is_format(how: str) -> bool:
    try:
        return bool(format(0.5, how))
    except ValueError:
        return False
