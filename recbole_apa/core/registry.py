"""Classes of one kind (partitions, weight rules, ...) by name.

Each extensible room has one registry, and one function ``register_...`` for callers outside the package. The package's
own classes are listed with their modules, which are imported when a class is first asked for. Of others nothing is
discovered or imported automatically: a class is known once the module that registers it has been imported.
"""

import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Generic, TypeVar

from recbole_apa.core.errors import SettingsError
from recbole_apa.core.options import nearest
from recbole_apa.core.yaml import parse_value

T = TypeVar("T")
PROGRAM = "__main__"
"""The module name of a script or notebook, which no other process can import."""
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_OURS = "recbole_apa."


class Registry(Mapping[str, type[T]], Generic[T]):
    """The registered classes by name: the package's own, then others in order of registration.

    Args:
        kind: what is registered, e.g. ``partition``; used in messages.
        ours: the package's own names, in the order in which messages list them -> the module that registers each.
    """

    def __init__(self, kind: str, ours: Mapping[str, str] | None = None) -> None:
        self.kind = kind
        self._ours = dict(ours or {})
        self._known: dict[str, type[T]] = {}

    def add(self, name: str, cls: type[T]) -> None:
        """Register a class under a name.

        Raises:
            SettingsError: the name is taken, or would not work in a YAML file or in the name of a row.
        """
        if not isinstance(name, str) or not _PLAIN.fullmatch(name) or parse_value(name) != name:
            raise SettingsError(
                f"{self.kind}: found the name {name!r}, expected a letter, then letters, digits, '_', '.' or '-', and "
                "not a word that YAML reads as something else"
            )
        if name in self._known or (name in self and cls.__module__ != self._ours[name]):
            other = self[name]
            raise SettingsError(
                f"{self.kind}: the name {name!r} is taken by {other.__module__}.{other.__qualname__}; expected a name "
                f"other than {', '.join(self)}"
            )
        self._known[name] = cls

    def remove(self, name: str) -> None:
        """Remove a class registered from outside the package, e.g. to register it again in a notebook.

        Raises:
            SettingsError: the name is unknown, or is one of the package's own.
        """
        if is_ours(self.find(name)):
            raise SettingsError(f"{self.kind}: {name!r} is the package's own; expected one registered from outside")
        del self._known[name]

    def find(self, name: object, option: str = "") -> type[T]:
        """The class registered under a name.

        Args:
            option: the option's name for messages; defaults to the kind.

        Raises:
            SettingsError: the name is unknown; lists the known names and suggests the nearest.
        """
        problem = self.problem(name, option)
        if problem:
            raise SettingsError(problem)
        return self[str(name)]

    def problem(self, name: object, option: str = "", or_else: str = "") -> str | None:
        """The message for an unknown name; None if it is known.

        Args:
            option: as in :meth:`find`.
            or_else: another value that the option accepts.
        """
        if isinstance(name, str) and name in self:
            return None
        near = nearest(name, self, 0.6) if isinstance(name, str) else None
        hint = f"; did you mean {near!r}?" if near else ""
        if isinstance(name, str) and not near:
            hint = "; a name of your own is known once its module is imported: --plugins=[module]"
        return self.unknown(name, option, or_else) + hint

    def unknown(self, name: object, option: str = "", or_else: str = "") -> str:
        """What was found and what was expected, for a name that is not registered; arguments as in :meth:`problem`."""
        known = (f"{or_else} or " if or_else else "") + f"one of {', '.join(self)}"
        return f"{option or self.kind}: found {name!r}, expected {known}"

    def from_outside(self) -> dict[str, str]:
        """Names registered from outside the package -> the modules to import for them."""
        return {name: c.__module__ for name, c in self._known.items() if not is_ours(c)}

    def __getitem__(self, name: str) -> type[T]:
        if name not in self._known and name in self._ours:
            import_module(self._ours[name])
        return self._known[name]

    def __contains__(self, name: object) -> bool:
        return name in self._ours or name in self._known

    def __iter__(self) -> Iterator[str]:
        yield from self._ours
        yield from (name for name in self._known if name not in self._ours)

    def __len__(self) -> int:
        return len(self._ours.keys() | self._known.keys())


def is_ours(cls: type) -> bool:
    """Whether a class comes from this package."""
    return cls.__module__.startswith(_OURS)


def require(cls: type, base: type, **wanted: type | tuple[type, ...]) -> None:
    """Reject an incomplete class when it is registered, rather than in the middle of a run.

    Args:
        base: the required base class.
        wanted: class attribute -> its type.

    Raises:
        SettingsError: something is missing; names it.
    """
    if not isinstance(cls, type) or not issubclass(cls, base):
        raise SettingsError(f"found {cls!r}, expected a subclass of {base.__module__}.{base.__qualname__}")
    for name, kind in wanted.items():
        if not isinstance(getattr(cls, name, None), kind):
            kinds = kind if isinstance(kind, tuple) else (kind,)
            raise SettingsError(
                f"{cls.__qualname__}: found {name} = {getattr(cls, name, None)!r}, expected a class attribute of type "
                f"{' or '.join(k.__name__ for k in kinds)}"
            )
    missing = sorted(getattr(cls, "__abstractmethods__", ()))
    if missing:
        raise SettingsError(f"{cls.__qualname__} does not define {', '.join(missing)}; expected it to")
