"""Figures and drawings describe a state and are no part of it: one that cannot be made is left out, with a note."""

from collections.abc import Callable
from logging import getLogger
from typing import TypeVar

from recbole_apa.core.errors import APAError

T = TypeVar("T")
_ARITHMETIC = (ValueError, IndexError, KeyError, TypeError, ArithmeticError)
"""What libraries raise of too few rows, of one label, of values that are not finite."""


def attempt(title: str, make: Callable[[], T], otherwise: T) -> T:
    """What ``make`` gives, or ``otherwise`` where the rows have no such figure.

    Errors of the state itself (ours, of the disk, of torch) are passed on: they are not about figures.
    """
    try:
        return make()
    except APAError:
        raise
    except _ARITHMETIC as error:
        getLogger().warning(f"{title}: left out, it cannot be made of these rows ({type(error).__name__}: {error})")
        return otherwise
