"""What a field of the settings declares about its option besides name, type and docstring, and the check of its value.

A field is ``name: type = field(metadata=option(...))``, with its docstring below it. Everything else about an option is
derived from that by :mod:`recbole_apa.core.option_table`.
"""

import ast
import inspect
import textwrap
import types
import typing
from collections.abc import Mapping
from dataclasses import Field, dataclass, fields
from enum import Flag, auto

from recbole_apa.core.errors import SettingsError

OPTION = "option"
"""The key in a field's metadata."""
_KINDS = ((int, "a whole number"), (float, "a number"), (bool, "true or false"))


class Says(Flag):
    """Facts about an option; each is false unless declared."""

    NOTHING = 0
    KEYS_ACTIVATIONS = auto()
    """The frozen activations of a prompt depend on it: it belongs in the key of any cache of them."""
    MAY_CHANGE = auto()
    """It may differ when a finished run is opened: digests tell whether what it points to is the same."""
    DECIDES_ROWS = auto()
    """It decides which samples a model is evaluated on: figures for different values cannot be compared."""
    PASSED_OVER = auto()
    """A run's manifest may contain it, but it is not read from there."""
    ROUNDS_ALONE = auto()
    """Figures for different values differ by rounding alone: they can be compared, and rows of one stand for both."""
    VERBATIM = auto()
    """On the command line its value is taken literally, never parsed as YAML."""


@dataclass(frozen=True)
class Bounds:
    """Which numbers are allowed; null and texts are not checked."""

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None

    def hold(self, value: object) -> bool:
        """Whether a value is within them."""
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            return True
        return (
            (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def text(self, name: str) -> str:
        """The bounds in words, for messages and the documentation."""
        if self.below is not None:
            return f"{self.least} <= {name} < {self.below}"
        if self.most is not None:
            return f"{self.least} to {self.most}"
        return f"at least {self.least}" if self.above is None else f"more than {self.above}"


@dataclass(frozen=True)
class Since:
    """When an option was added, if results from before that, which do not name it, are still in use."""

    version: str
    before: object
    """The value with which everything behaves as before the option existed."""


@dataclass(frozen=True)
class Option:
    """What :func:`option` records."""

    says: Says = Says.NOTHING
    bounds: Bounds | None = None
    since: Since | None = None
    """None: it has existed since the first version, 0.1.0."""
    expected: str = ""
    """What messages give as expected, where type and bounds do not express it well."""
    shown: str = ""
    """An example of a value, for the help of the command line."""


def option(
    says: Says = Says.NOTHING,
    *,
    bounds: Bounds | None = None,
    since: Since | None = None,
    expected: str = "",
    shown: str = "",
) -> dict[str, Option]:
    """The metadata for a field that is an option."""
    return {OPTION: Option(says, bounds, since, expected, shown)}


def facts_of(f: "Field[object]") -> Option:
    """What a field declares about its option; nothing for a field without metadata."""
    found: Option = f.metadata.get(OPTION, Option())
    return found


class Checked:
    """Base class of the settings: checks choices and bounds as its fields declare them."""

    def __post_init__(self) -> None:
        check(self)


def check(settings: object) -> None:
    """Check every field's value against its ``Literal`` and its bounds.

    Raises:
        SettingsError: some values are not allowed; lists all of them.
    """
    hints = typing.get_type_hints(type(settings))
    found = (problem_of(f, hints[f.name], getattr(settings, f.name)) for f in fields(settings))  # type: ignore[arg-type]
    problems = [told for told in found if told]
    if problems:
        raise SettingsError("; ".join(problems))


def problem_of(f: "Field[object]", hint: object, value: object) -> str:
    """Why a value of the right type is not allowed; empty if it is."""
    facts, choices = facts_of(f), choices_of(hint)
    if choices and isinstance(value, str) and value not in choices:
        return found_and_expected(f.name, value, facts.expected or _choices_text(f.name, facts, hint))
    if facts.bounds and not facts.bounds.hold(value):
        return found_and_expected(f.name, value, facts.expected or facts.bounds.text(f.name))
    return ""


def _choices_text(name: str, facts: Option, hint: object) -> str:
    """The choices in words; of a type that has other values as well, those too."""
    choices = choices_of(hint)
    other = next((word for kind, word in _KINDS if kind in typing.get_args(hint)), None)
    if other is None:
        return f"one of {', '.join(choices)}"
    bounds = "" if facts.bounds is None else f" ({facts.bounds.text(name)})"
    return f"{other}{bounds}, or {' or '.join(choices)}"


def found_and_expected(name: str, value: object, expected: str) -> str:
    """The message for a wrong value of one option."""
    return f"{name}: found {value!r}, expected {expected}"


def choices_of(hint: object) -> tuple[str, ...]:
    """The texts of a ``Literal``, including one in a union; empty for any other type."""
    if typing.get_origin(hint) is typing.Literal:
        return typing.get_args(hint)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return tuple(choice for part in typing.get_args(hint) for choice in choices_of(part))
    return ()


def field_docs(cls: type) -> Mapping[str, str]:
    """The docstrings under the fields of a class, each on one line; empty for a field without one."""
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(body, ast.ClassDef)
    out: dict[str, str] = {}
    for node, after in zip(body.body, [*body.body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            value = after.value if isinstance(after, ast.Expr) else None
            text = value.value if isinstance(value, ast.Constant) else ""
            out[node.target.id] = " ".join(str(text).split())
    return out


def all_field_docs(cls: type) -> Mapping[str, str]:
    """As :func:`field_docs`, with the fields of its base classes."""
    known = [field_docs(base) for base in reversed(cls.__mro__) if "__dataclass_fields__" in vars(base)]
    return {name: text for docs in known for name, text in docs.items()}
