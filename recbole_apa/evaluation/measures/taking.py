"""Take measures one by one: one that fails, or returns no number, is named and does not stop the others."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from logging import getLogger
from numbers import Real
from typing import TypeVar

from recbole_apa.core.foreign_code import error_text, file_of, shown
from recbole_apa.evaluation.measures.measure import Measure

M = TypeVar("M", bound=Measure)


@dataclass(frozen=True)
class Taken:
    """What was measured."""

    figures: dict[str, float] = field(default_factory=dict)
    """By the measures' names; a measure that has no meaning for these rows is missing."""
    faults: list[str] = field(default_factory=list)
    """Which measures failed, and how."""


def take(measures: Mapping[str, type[M]], value_of: Callable[[M], object]) -> Taken:
    """Take all measures; faults are also logged.

    Args:
        value_of: calls a measure on what is measured.
    """
    out = Taken()
    for name, cls in measures.items():
        try:
            value = value_of(cls())
        except Exception as error:  # a measure of others may raise anything
            out.faults.append(f"measure {name!r} failed: {error_text(error, file_of(cls))}")
            continue
        number = _finite(value)
        if number is not None:
            out.figures[name] = number
        elif value is not None:
            out.faults.append(
                f"measure {name!r} returned {shown(value)}, expected a finite number, or None if it has no meaning here"
            )
    for fault in out.faults:
        getLogger().warning(fault)
    return out


def _finite(value: object) -> float | None:
    """A finite number of any type as ``float``; None for anything else, True and False included."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
