"""RecBole's ``HyperTuning`` with hyperopt 0.3 and today's numpy (RecBole 1.2.0 and 1.2.1, ``trainer/hyper_tuning.py``).

Line 116, ``np.random.RandomState(seed)``: hyperopt draws from numpy's ``Generator`` since 0.2.6; ``algo="exhaustive"``,
the default, ends in an AttributeError.
Line 385, ``np.str``: numpy has none since 1.24; plotting a search (``display_file``) ends in an AttributeError.
Line 207 and others, ``from hyperopt import ...``: without hyperopt the error now names what to install.
"""

import functools
import importlib.util
from importlib.metadata import version
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from recbole.trainer import HyperTuning

MISSING = 'hyperopt is not installed; pip install ".[tune]", or pip install "hyperopt>=0.3,<0.4"'


def numpy_names(module: ModuleType) -> None:
    """Give the module a numpy of its own with the two names that it uses; numpy itself is unchanged."""
    found: Any = module
    if importlib.util.find_spec("hyperopt") is not None:
        found.np = _Numpy(_draws_with_generator())


def name_missing(module: ModuleType) -> None:
    """Say what to install as soon as a search is created without hyperopt."""
    tuning: Any = vars(module)["HyperTuning"]
    own = tuning.__init__
    if hasattr(own, "__wrapped__"):
        return

    @functools.wraps(own)
    def init(self: "HyperTuning", *args: object, **named: object) -> None:
        require()
        own(self, *args, **named)

    tuning.__init__ = init


def _draws_with_generator() -> bool:
    """True from hyperopt 0.2.6 on; RecBole's own extra pins 0.2.5."""
    numbers = [int(part) for part in version("hyperopt").split(".")[:3] if part.isdigit()]
    return tuple(numbers) >= (0, 2, 6)


def require() -> None:
    """
    Raises:
        ImportError: hyperopt is not installed.
    """
    if importlib.util.find_spec("hyperopt") is None:
        raise ImportError(MISSING)


class _Numpy:
    """Numpy with ``str``, and with a ``RandomState`` of the kind that hyperopt needs."""

    def __init__(self, with_generator: bool) -> None:
        state: Any = np.random.default_rng if with_generator else np.random.RandomState
        self.str, self.random = str, SimpleNamespace(RandomState=state)

    def __getattr__(self, name: str) -> object:
        return getattr(np, name)
