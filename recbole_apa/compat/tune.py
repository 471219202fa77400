"""RecBole's ``quick_start`` without Ray and with a new Ray (RecBole 1.2.0 and 1.2.1, ``quick_start/quick_start.py``).

Line 20, ``from ray import tune``: without Ray, or with one whose ``tune`` cannot be imported, nothing of
``quick_start`` can be used. A stand-in answers that one line; ``import ray`` fails afterwards as it did before.
Line 223, ``tune.report(**test_result)``: since Ray 2.45 at the latest, ``report`` takes one dictionary.
"""

import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

_HOW = 'pip install "ray[tune]"'


@contextmanager
def around(module: ModuleType) -> Iterator[None]:
    """While RecBole's module is executed, its ``from ray import tune`` finds Ray's own, or else the stand-in."""
    # as the module itself does before it asks for Ray: nothing else is imported while the stand-in waits
    importlib.import_module("torch.distributed")
    door: _Door | None = None
    try:
        importlib.import_module("ray.tune")
    except Exception as error:  # an old Ray beside a new numpy ends in an AttributeError
        door = _Door(StandIn(f"{type(error).__name__}: {error}"))
    try:
        yield
    finally:
        if door:
            door.close()


def one_dictionary(module: ModuleType) -> None:
    """Translate RecBole's call of ``tune.report`` where Ray no longer takes names."""
    found: Any = module
    if not isinstance(found.tune, StandIn) and not _takes_names(found.tune.report):
        found.tune = _OneDictionary(found.tune)


class StandIn(ModuleType):
    """What ``tune`` is where Ray has none: reports go nowhere, all else says what to install."""

    def __init__(self, why: str) -> None:
        super().__init__("ray.tune")
        self._why = why

    def report(self, *args: object, **figures: object) -> None:
        """Ray's own does nothing outside of a tuner, and without Ray there can be none."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        raise ImportError(f"tune.{name}: ray.tune cannot be imported ({self._why}); {_HOW}")


class _Door(ModuleType):
    """Stands for ``ray`` until its ``tune`` is asked for once, or until it is closed."""

    def __init__(self, tune: StandIn) -> None:
        super().__init__("ray")
        # None says that it must not be imported
        self._tune, self._own = tune, [sys.modules["ray"]] if "ray" in sys.modules else []
        sys.modules["ray"] = self

    def close(self) -> None:
        """Leave ``sys.modules`` as it was."""
        if sys.modules.get("ray") is self:
            del sys.modules["ray"]
            sys.modules.update(("ray", own) for own in self._own)

    def __getattr__(self, name: str) -> object:
        if name != "tune":
            raise AttributeError(name)
        self.close()
        return self._tune


class _OneDictionary:
    """Ray's ``tune``, whose ``report`` takes names, too."""

    def __init__(self, tune: ModuleType) -> None:
        self._tune = tune

    def report(self, *args: object, **named: object) -> object:
        """``report(auc=.7)`` is ``report({"auc": .7})``."""
        if args or "metrics" in named:
            return self._tune.report(*args, **named)
        return self._tune.report(named)

    def __getattr__(self, name: str) -> object:
        return getattr(self._tune, name)


def _takes_names(report: Callable[..., object]) -> bool:
    return any(p.kind is inspect.Parameter.VAR_KEYWORD for p in inspect.signature(report).parameters.values())
