"""Parsing of the command line: a command's own options by argparse, all others as RecBole's ``--key=value``."""

import argparse
import typing
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TypeVar

from recbole_apa.cli.stages import STAGES, CompareOptions, ForgetOptions, ProveOptions, names_of
from recbole_apa.core.errors import SettingsError
from recbole_apa.core.option_table import SETTING_KEYS, text_keys
from recbole_apa.core.options import nearest
from recbole_apa.core.yaml import parse_value

T = TypeVar("T")
Words = dict[str, str]
"""Option -> its text as given."""


def _names_with(kind: type) -> frozenset[str]:
    hints = [(name, hint) for stage in STAGES for name, hint in typing.get_type_hints(stage).items()]
    return frozenset(name for name, hint in hints if hint is kind or kind in typing.get_args(hint))


_TEXTS = _names_with(str) | text_keys() | {"data_path"}
_FLAGS = _names_with(bool) - {"forget_one_by_one"}
_CHOOSING = frozenset({"rotate_key", "key_digests", "plan"})
"""Flags that choose a command; one set to false counts as not given."""
_NEAR = names_of(CompareOptions, ForgetOptions, ProveOptions) | _CHOOSING


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
                raise SettingsError(f"found {word!r} without a value, expected {word}=value")
            text = rest.pop(0)
        value = _value(key, text)
        if key in out and _value(key, out[key]) != value:
            raise SettingsError(f"--{key} is given twice: {_value(key, out[key])!r} and {value!r}")
        out[key] = text
    return {key: text for key, text in out.items() if key not in _CHOOSING or _value(key, text)}


def values_of(words: Mapping[str, str]) -> dict[str, object]:
    """Options with their values."""
    return {key: _value(key, text) for key, text in words.items()}


def _value(key: str, text: str) -> object:
    return text if key in _TEXTS else parse_value(text)


def take(stage: type[T], words: Mapping[str, str]) -> tuple[T, Words]:
    """A command's own options.

    Returns:
        the options, and the words that are left.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, argument_default=argparse.SUPPRESS)
    for f in fields(stage):  # type: ignore[arg-type]
        parser.add_argument(f"--{f.name}")
    found, _ = parser.parse_known_args([f"--{key}={text}" for key, text in words.items()])
    hints = typing.get_type_hints(stage)
    given = {name: _typed(hints[name], text) for name, text in vars(found).items()}
    return stage(**given), {key: text for key, text in words.items() if key not in given}


def _typed(hint: object, text: str) -> object:
    kinds = typing.get_args(hint) or (hint,)
    if str in kinds:
        return text
    return bool(parse_value(text)) if bool in kinds else parse_value(text)


def refuse_near_misses(words: Mapping[str, str]) -> None:
    """Catch misspelled options of the command line itself, which RecBole's check of names does not know.

    Raises:
        SettingsError: a name that is close to one of them.
    """
    for name in words.keys() - SETTING_KEYS:
        near = nearest(name, _NEAR, 0.8)
        if near:
            raise SettingsError(f"unknown option {name!r}; did you mean {near!r}?")


def names_in(text: str | None) -> list[str]:
    """The comma-separated names in an option's value."""
    return [word for word in (text or "").strip("[]").split(",") if word.strip()]
