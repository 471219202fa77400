"""Parsing of the command line: a command's own options as its stage declares them, all others as RecBole's
``--key=value``."""

import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TypeVar

from recbole_apa.cli.option_facts import Use
from recbole_apa.cli.stages import STAGES, names_for, names_of
from recbole_apa.core.arguments import ARGUMENTS
from recbole_apa.core.errors import SettingsError
from recbole_apa.core.option_table import OPTIONS, text_keys
from recbole_apa.core.options import nearest, read_field
from recbole_apa.core.yaml import parse_value

T = TypeVar("T")
Words = dict[str, str]
"""Option -> its text as given."""

CLOSE = 0.82
"""How similar a name has to be to be suggested: RecBole's ``ft_ratio`` is 0.8 similar to ``forget_ratio``."""


def _names_with(kind: type) -> frozenset[str]:
    """The options of the stages whose type is ``kind``, or ``kind`` and None."""
    hints = [(name, hint) for stage in STAGES for name, hint in typing.get_type_hints(stage).items()]
    return frozenset(name for name, hint in hints if {kind} == {*(typing.get_args(hint) or (hint,))} - {types.NoneType})


_STAGE_NAMES = names_of(*STAGES)
_TEXTS = _names_with(str) | text_keys() | {"data_path"}
_FLAGS = _names_with(bool)
_CHOOSING = frozenset(names_for(Use.CHOOSES, *STAGES))


def parse_arguments(arguments: Sequence[str]) -> dict[str, object]:
    """``--key=value`` (or ``--key value``) pairs, with values parsed as YAML and never evaluated.

    Raises:
        SettingsError: anything else, or a key given twice with different values.
    """
    return values_of(read_words(arguments))


def read_words(arguments: Sequence[str]) -> Words:
    """Like :func:`parse_arguments`, but with values as text."""
    out: Words = {}
    rest = list(arguments)
    for word in rest:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise SettingsError(f"found {ascii(word)[:80]}, which is not valid UTF-8; rename what it names") from None
    while rest:
        word = rest.pop(0)
        if not word.startswith("--") or len(word) < 3:
            raise SettingsError(f"found {word!r}, expected --option=value")
        key, equals, text = word[2:].partition("=")
        if not equals and key in _FLAGS and (not rest or rest[0].startswith("--")):
            text = "True"
        elif not equals:
            if not rest or rest[0].startswith("--"):
                if key not in _STAGE_NAMES:
                    refuse_near_misses({key: ""})
                raise SettingsError(f"found {word!r} without a value, expected {word}=value")
            text = rest.pop(0)
        value = _value(key, text)
        if key in out and _value(key, out[key]) != value:
            raise SettingsError(f"--{key} is given twice: {_value(key, out[key])!r} and {value!r}")
        out[key] = text
    return {key: text for key, text in out.items() if key not in _CHOOSING or _value(key, text) is not False}


def values_of(words: Mapping[str, str]) -> dict[str, object]:
    """Options with their values."""
    return {key: _value(key, text) for key, text in words.items()}


def _value(key: str, text: str) -> object:
    return text if key in _TEXTS else parse_value(text)


def take(stage: type[T], words: Mapping[str, str]) -> tuple[T, Words]:
    """A command's own options.

    Returns:
        the options, and the words that are left.

    Raises:
        SettingsError: a value of the wrong type or out of range.
    """
    hints, given = typing.get_type_hints(stage), {}
    for f in fields(stage):  # type: ignore[arg-type]
        if f.name in words:
            try:
                given[f.name] = read_field(f, hints[f.name], values_of({f.name: words[f.name]}))
            except SettingsError as error:
                raise SettingsError(f"--{error}") from error
    return stage(**given), {key: text for key, text in words.items() if key not in given}


def refuse_near_misses(words: Mapping[str, object], expected: frozenset[str] = frozenset()) -> None:
    """Catch misspelled options of the command line itself, which RecBole's check of names does not know.

    Args:
        expected: the settings that a finished run allows; if given, another setting is rejected if it is close to one.

    Raises:
        SettingsError: a name that is close to an option's, or an option of another command.
    """
    from recbole_apa.data.recbole_checks import CHECKED
    from recbole_apa.data.recbole_options import RECBOLE_OPTIONS

    known = OPTIONS.keys() | RECBOLE_OPTIONS.keys() | CHECKED | ARGUMENTS
    for name in sorted(words.keys() - (expected or known)):
        if name in known:
            near = nearest(name, expected, CLOSE)
            if near:
                raise SettingsError(f"--{name} does not go with a finished run; did you mean {near!r}?")
        elif name in _STAGE_NAMES:
            raise SettingsError(f"--{name} does not go with this command; --help={name} explains it")
        else:
            near = nearest(name, expected | _STAGE_NAMES, CLOSE)
            if near:
                raise SettingsError(f"unknown option {name!r}; did you mean {near!r}?")


def names_in(text: str | None) -> list[str]:
    """The comma-separated names in an option's value, which may stand in brackets."""
    inside = (text or "").strip()
    if inside.startswith("[") and inside.endswith("]"):
        inside = inside[1:-1]
    return [word for word in inside.split(",") if word.strip()]
