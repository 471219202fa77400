"""RecBole's ``quick_start`` without Ray and with a new Ray (RecBole 1.2.0 and 1.2.1, ``quick_start/quick_start.py``).

Line 20, ``from ray import tune``: without Ray, or if its ``tune`` cannot be imported, nothing in ``quick_start`` can be
used. A stand-in serves that one line; afterwards ``import ray`` fails as before.
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
    """While RecBole's module runs, its ``from ray import tune`` finds Ray's own, or else the stand-in."""
    # the module imports this before Ray: nothing else must be imported while the stand-in is in place
    importlib.import_module("torch.distributed")
    door: _Door | None = None
    try:
        importlib.import_module("ray.tune")
    except Exception as error:  # an old Ray with a new numpy raises an AttributeError
        door = _Door(StandIn(f"{type(error).__name__}: {error}"))
    try:
        yield
    finally:
        if door:
            door.close()


def one_dictionary(module: ModuleType) -> None:
    """Translate RecBole's call of ``tune.report`` if Ray no longer accepts keyword arguments."""
    found: Any = module
    if not isinstance(found.tune, StandIn) and not _takes_names(found.tune.report):
        found.tune = _OneDictionary(found.tune)


class StandIn(ModuleType):
    """Replaces a missing ``tune``: reports are ignored, everything else raises an error that says what to install."""

    def __init__(self, why: str) -> None:
        super().__init__("ray.tune")
        self._why = why

    def report(self, *args: object, **figures: object) -> None:
        """Do nothing, as Ray's own outside a tuner; without Ray there can be none."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        raise ImportError(f"tune.{name}: ray.tune cannot be imported ({self._why}); {_HOW}")


class _Door(ModuleType):
    """Replaces ``ray`` until its ``tune`` has been read once, or until it is closed."""

    def __init__(self, tune: StandIn) -> None:
        super().__init__("ray")
        # in sys.modules, None means that it must not be imported
        self._tune, self._own = tune, [sys.modules["ray"]] if "ray" in sys.modules else []
        sys.modules["ray"] = self

    def close(self) -> None:
        """Restore ``sys.modules``."""
        if sys.modules.get("ray") is self:
            del sys.modules["ray"]
            sys.modules.update(("ray", own) for own in self._own)

    def __getattr__(self, name: str) -> object:
        if name != "tune":
            raise AttributeError(name)
        self.close()
        return self._tune


class _OneDictionary:
    """Ray's ``tune``, with a ``report`` that also accepts keyword arguments."""

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
