"""Repairs RecBole when it is first imported: one table of what is repaired, where, and by which function of ours.

RecBole's last release is of February 2025; numpy 2, pandas 3, scipy 1.13 and torch 2.6 came after it or were not
followed. ``RECBOLE_APA_COMPAT=0`` in the environment leaves RecBole's own reading of files as it is (``optional``
below); what it needs to work at all on the installed libraries stays. The model APA reads its files strictly all the
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

from recbole_apa.compat.repairs import REPAIRS
from recbole_apa.compat.repairs_of_stack import QUICK_START

_VARIABLE = "RECBOLE_APA_COMPAT"
_DONE = "__recbole_apa_repairs__"


def is_on() -> bool:
    """Whether RecBole's own reading of files is to be repaired, too (``RECBOLE_APA_COMPAT``)."""
    return os.environ.get(_VARIABLE, "1") != "0"


def install() -> None:
    """Repair what of RecBole is there already, and the rest whenever it is imported. Safe to call again."""
    if not any(type(finder) is _Finder for finder in sys.meta_path):
        # one of this package's that was loaded before, as notebooks reload it, would ask this one, and this one it
        sys.meta_path[:] = [_Finder(), *(finder for finder in sys.meta_path if not _is_ours(finder))]
    for name in dict.fromkeys(repair.module for repair in REPAIRS):
        module = sys.modules.get(name)
        if module is not None and not getattr(module.__spec__, "_initializing", False):
            _apply(module)


def _apply(module: ModuleType) -> None:
    done: set[str] = vars(module).setdefault(_DONE, set())
    for repair in REPAIRS:
        if repair.module != module.__name__ or repair.by in done or (repair.optional and not is_on()):
            continue
        if repair.is_mended_later and not _is_first_release():
            continue
        # heavy: what RecBole's own import brings anyway
        file, function = repair.by.split(":")
        getattr(importlib.import_module(f"recbole_apa.compat.{file}"), function)(module)
        done.add(repair.by)


def _is_first_release() -> bool:
    # RecBole is being imported, so this costs nothing
    first: bool = importlib.import_module("recbole_apa.compat.release").is_first_release()
    return first


def _around(module: ModuleType) -> AbstractContextManager[None]:
    """What is in place while a module's code runs."""
    if module.__name__ != QUICK_START:
        return nullcontext()
    found: AbstractContextManager[None] = importlib.import_module("recbole_apa.compat.tune").around(module)
    return found


def _is_ours(finder: Any) -> bool:
    return bool(getattr(finder, "repairs_recbole", False))


class _Finder(importlib.abc.MetaPathFinder):
    """Lets RecBole's modules be found as ever, and repairs each once its code has run."""

    repairs_recbole = True

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """See :class:`importlib.abc.MetaPathFinder`."""
        if not any(repair.module == name for repair in REPAIRS):
            return None
        others = (finder for finder in sys.meta_path if not _is_ours(finder) and hasattr(finder, "find_spec"))
        spec = next((found for finder in others if (found := finder.find_spec(name, path, target))), None)
        if spec and spec.loader:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(importlib.abc.Loader):
    """The module's own loader, and then the repairs."""

    def __init__(self, own: Any) -> None:
        self._own = own

    def __getattr__(self, name: str) -> Any:
        if name == "_own" or name.startswith("__"):  # asked for while a copy is made
            raise AttributeError(name)
        return getattr(self._own, name)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """See :class:`importlib.abc.Loader`."""
        made: ModuleType | None = self._own.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        """See :class:`importlib.abc.Loader`."""
        # a module that is loaded again has lost its repairs
        vars(module).pop(_DONE, None)
        with _around(module):
            self._own.exec_module(module)
        _apply(module)
