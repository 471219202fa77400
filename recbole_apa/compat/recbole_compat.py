"""Repairs RecBole when it is first imported, following the table of repairs.

RecBole's last release dates from February 2025 and does not support numpy 2, pandas 3, scipy 1.13 and torch 2.6.
``RECBOLE_APA_COMPAT=0`` in the environment leaves RecBole's own reading of files unchanged (``optional`` repairs); what
it needs to work at all with the installed libraries is repaired regardless. APA itself always reads files strictly.
"""

import importlib
import importlib.abc
import importlib.machinery
import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType

from recbole_apa.compat.repairs import REPAIRS
from recbole_apa.compat.repairs_of_stack import QUICK_START

_VARIABLE = "RECBOLE_APA_COMPAT"
_DONE = "__recbole_apa_repairs__"


def is_on() -> bool:
    """Whether to repair RecBole's own reading of files, too (``RECBOLE_APA_COMPAT``)."""
    return os.environ.get(_VARIABLE, "1") != "0"


def install() -> None:
    """Repair the RecBole modules already imported, and the others when they are imported. Safe to call again."""
    if not any(type(finder) is _Finder for finder in sys.meta_path):
        # an older finder, left by a reload in a notebook, would call this one, and this one it
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
        # heavy imports, but RecBole's own import needs them anyway
        file, function = repair.by.split(":")
        getattr(importlib.import_module(f"recbole_apa.compat.{file}"), function)(module)
        done.add(repair.by)


def _is_first_release() -> bool:
    # RecBole is being imported, so this costs nothing
    first: bool = importlib.import_module("recbole_apa.compat.release").is_first_release()
    return first


def _around(module: ModuleType) -> AbstractContextManager[None]:
    """The context in which a module's code runs."""
    if module.__name__ != QUICK_START:
        return nullcontext()
    found: AbstractContextManager[None] = importlib.import_module("recbole_apa.compat.tune").around(module)
    return found


def _is_ours(finder: object) -> bool:
    return bool(getattr(finder, "repairs_recbole", False))


class _Finder(importlib.abc.MetaPathFinder):
    """Finds RecBole's modules as usual, and repairs each one after its code has run."""

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
    """Runs the module's own loader, then the repairs."""

    def __init__(self, own: importlib.abc.Loader) -> None:
        self._own = own

    def __getattr__(self, name: str) -> object:
        if name == "_own" or name.startswith("__"):  # looked up while a copy is being made
            raise AttributeError(name)
        return getattr(self._own, name)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """See :class:`importlib.abc.Loader`."""
        made: ModuleType | None = self._own.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        """See :class:`importlib.abc.Loader`."""
        # a reloaded module has lost its repairs
        vars(module).pop(_DONE, None)
        with _around(module):
            self._own.exec_module(module)
        _apply(module)
