"""Hooks our strict reader into RecBole, at the first import of RecBole's dataset module.

``RECBOLE_APA_COMPAT=0`` in the environment leaves RecBole as it is; the model APA reads its files strictly all the
same.
"""

import importlib
import importlib.abc
import importlib.machinery
import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import Any

_DATASET, _QUICK_START = "recbole.data.dataset.dataset", "recbole.quick_start.quick_start"
_REPAIRS = {
    _DATASET: ("load_feat:apply",),
    _QUICK_START: ("tune:one_dictionary", "programs:config_for_apa", "programs:no_flops_of_apa"),
    "recbole.trainer.hyper_tuning": ("hyper_tuning:numpy_names", "hyper_tuning:name_missing"),
}
"""Module of RecBole's -> file and function of ours, called once the module's code has run."""
_VARIABLE = "RECBOLE_APA_COMPAT"


def is_on() -> bool:
    """Whether RecBole is to be repaired (``RECBOLE_APA_COMPAT``)."""
    return os.environ.get(_VARIABLE, "1") != "0"


def install() -> None:
    """Repair RecBole now if it is there already, and whenever it is imported. Safe to call again."""
    if not is_on():
        return
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    for name in _REPAIRS:
        if name in sys.modules:
            _apply(sys.modules[name])


def _apply(module: ModuleType) -> None:
    for repair in _REPAIRS[module.__name__]:
        file, function = repair.split(":")
        # heavy: what RecBole's own import brings anyway
        getattr(importlib.import_module(f"recbole_apa.compat.{file}"), function)(module)


def _around(module: ModuleType) -> AbstractContextManager[None]:
    """What is in place while a module's code runs."""
    if module.__name__ != _QUICK_START:
        return nullcontext()
    found: AbstractContextManager[None] = importlib.import_module("recbole_apa.compat.tune").around(module)
    return found


class _Finder(importlib.abc.MetaPathFinder):
    """Lets RecBole's dataset module be found as ever, and repairs it once its code has run."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """See :class:`importlib.abc.MetaPathFinder`."""
        if name not in _REPAIRS:
            return None
        others = (finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec"))
        spec = next((found for finder in others if (found := finder.find_spec(name, path, target))), None)
        if spec and spec.loader:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(importlib.abc.Loader):
    """The module's own loader, and then the repairs."""

    def __init__(self, own: Any) -> None:
        self._own = own

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """See :class:`importlib.abc.Loader`."""
        made: ModuleType | None = self._own.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        """See :class:`importlib.abc.Loader`."""
        with _around(module):
            self._own.exec_module(module)
        _apply(module)
