"""Names of one kind of thing (partitions, weight rules, ...) and the classes that are known by them.

Each room that can be added to has one registry, and one function ``register_...`` that others call from outside the
package. Nothing is looked for or imported by itself: a class is there once the module that registers it is imported.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

from recbole_apa.core.errors import SettingsError
from recbole_apa.core.options import nearest
from recbole_apa.core.yaml import parse_value

T = TypeVar("T")
PROGRAM = "__main__"
"""The module of a script or a notebook, which no other process can import."""
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_OURS = "recbole_apa."


class Registry(Mapping[str, type[T]], Generic[T]):
    """What was registered, by name, in order of registration.

    Args:
        kind: what is registered, for messages, e.g. ``partition``.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._known: dict[str, type[T]] = {}

    def add(self, name: str, cls: type[T]) -> None:
        """Make a class known under a name.

        Raises:
            SettingsError: the name is taken, or cannot stand in a YAML file and in the name of a row.
        """
        if not isinstance(name, str) or not _PLAIN.fullmatch(name) or parse_value(name) != name:
            raise SettingsError(
                f"{self.kind}: found the name {name!r}, expected a letter, then letters, digits, '_', '.' or '-', and "
                "no word that YAML reads as something else"
            )
        if name in self._known:
            other = self._known[name]
            raise SettingsError(
                f"{self.kind}: the name {name!r} is taken by {other.__module__}.{other.__qualname__}; expected another "
                f"name than {', '.join(self._known)}"
            )
        self._known[name] = cls

    def remove(self, name: str) -> None:
        """Take away what somebody registered from outside the package, e.g. to register it anew in a notebook.

        Raises:
            SettingsError: unknown, or one of the package's own.
        """
        if self.find(name).__module__.startswith(_OURS):
            raise SettingsError(f"{self.kind}: {name!r} is the package's own; expected one that was added from outside")
        del self._known[name]

    def find(self, name: object, option: str = "") -> type[T]:
        """The class of a name.

        Args:
            option: what a user calls the choice, for messages; the kind where it is left out.

        Raises:
            SettingsError: unknown; lists the known names, and says which is nearest.
        """
        problem = self.problem(name, option)
        if problem:
            raise SettingsError(problem)
        return self._known[str(name)]

    def problem(self, name: object, option: str = "", or_else: str = "") -> str | None:
        """What is wrong with a name, in words; None where it is known.

        Args:
            option: as in :meth:`find`.
            or_else: a further value that the option may have.
        """
        if isinstance(name, str) and name in self._known:
            return None
        near = nearest(name, self._known, 0.6) if isinstance(name, str) else None
        hint = f"; did you mean {near!r}?" if near else ""
        known = (f"{or_else} or " if or_else else "") + f"one of {', '.join(self._known)}"
        return f"{option or self.kind}: found {name!r}, expected {known}{hint}"

    def from_outside(self) -> dict[str, str]:
        """Names that were registered from outside the package, and the modules to import for them."""
        return {name: c.__module__ for name, c in self._known.items() if not c.__module__.startswith(_OURS)}

    def __getitem__(self, name: str) -> type[T]:
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


def require(cls: type, base: type, **wanted: type | tuple[type, ...]) -> None:
    """Refuse a class that lacks something, when it is registered and not in the middle of a run.

    Args:
        base: what it has to be a subclass of.
        wanted: class attribute -> its type.

    Raises:
        SettingsError: names what is missing.
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
