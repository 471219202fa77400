"""Figures and plots describe a state but are not part of it: one that cannot be made is skipped with a warning."""

from collections.abc import Callable
from logging import getLogger
from typing import TypeVar

from recbole_apa.core.errors import APAError

T = TypeVar("T")
_ARITHMETIC = (ValueError, IndexError, KeyError, TypeError, ArithmeticError)
"""What libraries raise for too few rows, a single label, or values that are not finite."""


def attempt(title: str, make: Callable[[], T], otherwise: T) -> T:
    """The result of ``make``, or ``otherwise`` if the rows have no such figure.

    Other errors (ours, of the disk, of torch) are not caught: they are not about figures.
    """
    try:
        return make()
    except APAError:
        raise
    except _ARITHMETIC as error:
        getLogger().warning(f"{title}: skipped, cannot be computed from these rows ({type(error).__name__}: {error})")
        return otherwise
