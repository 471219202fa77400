"""Turn options from YAML and the command line into the settings' dataclasses; unknown names are rejected."""

import difflib
import math
import os
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, fields
from typing import Any, TypeVar

from recbole_apa.core.errors import SettingsError
from recbole_apa.core.execution import ExecutionSettings, PlacementSettings
from recbole_apa.core.option import facts_of, found_and_expected, problem_of
from recbole_apa.core.settings import GROUPS, APASettings

T = TypeVar("T")
NOT_OFFERED = {
    "use_dora": "DoRA divides by the norm of the merged weight; with a mixture per sample that is the norm of a "
    "d_out x d_in matrix for each sample; use use_rslora, or plain LoRA",
}
"""PEFT options that users may look for, and why they are not offered."""


def settings_from(values: Mapping[str, object]) -> APASettings:
    """Build the settings from flat options; keys that are not ours are ignored (they are RecBole's).

    Raises:
        SettingsError: options are missing, of the wrong type or out of range; lists all of them.
    """
    return _build(APASettings, values, GROUPS)


def execution_from(values: Mapping[str, object]) -> ExecutionSettings:
    """As :func:`settings_from`, for where and how the work is done."""
    return _build(ExecutionSettings, values, {"placement": PlacementSettings})


def check_given(cls: type, values: Mapping[str, object]) -> None:
    """Check those fields of a settings class that have a value in ``values``.

    Raises:
        SettingsError: values are of the wrong type or out of range; lists all of them.
    """
    hints, problems = typing.get_type_hints(cls), []
    for f in fields(cls):
        try:
            if f.name in values:
                read_field(f, hints[f.name], values)
        except SettingsError as error:
            problems.append(str(error))
    if problems:
        raise SettingsError("; ".join(problems))


def refuse_unknown(keys: Iterable[str], known: Iterable[str]) -> None:
    """Reject keys that nothing reads, with the nearest known name for each.

    Raises:
        SettingsError: there are unknown keys; lists all of them.
    """
    names = sorted(set(known))
    problems = []
    for key in map(str, keys):
        if key in names:
            continue
        if key in NOT_OFFERED:
            problems.append(f"{key}: {NOT_OFFERED[key]}")
            continue
        near = nearest(key, names, 0.6)
        problems.append(f"unknown option {key!r}" + (f"; did you mean {near!r}?" if near else ""))
    if problems:
        raise SettingsError("; ".join(problems))


def nearest(name: str, names: Iterable[str], cutoff: float) -> str | None:
    """The name most similar to ``name``, if its similarity reaches ``cutoff`` (0 to 1)."""
    return next(iter(difflib.get_close_matches(name, sorted(names), n=1, cutoff=cutoff)), None)


def _build(cls: type[T], values: Mapping[str, object], groups: Mapping[str, type]) -> T:
    """Build a settings class from flat options; its fields in ``groups`` are settings classes themselves."""
    arguments: dict[str, Any] = {}
    problems = []
    hints = typing.get_type_hints(cls)
    for f in fields(cls):  # type: ignore[arg-type]
        try:
            if f.name in groups:
                arguments[f.name] = _build(groups[f.name], values, {})
            elif f.name in values or f.default is MISSING:
                arguments[f.name] = read_field(f, hints[f.name], values)
        except SettingsError as error:
            problems.append(str(error))
    if problems:
        raise SettingsError("; ".join(problems))
    return cls(**arguments)


def read_field(f: "Field[object]", hint: object, values: Mapping[str, object]) -> object:
    """A field's value among ``values``, checked and as the field's type.

    Raises:
        SettingsError: missing, of the wrong type, or out of range.
    """
    expected = facts_of(f).expected
    if f.name not in values:
        raise SettingsError(f"{f.name}: missing")
    value = _coerce(values[f.name], hint)
    if value is _WRONG:
        raise SettingsError(found_and_expected(f.name, values[f.name], expected or type_name(hint)))
    problem = problem_of(f, hint, value)
    if problem:
        raise SettingsError(problem)
    return value


_WRONG = object()


def _coerce(value: object, hint: object) -> object:
    """``value`` as the hinted type (int widens to float, list to tuple), or ``_WRONG``; NaN and infinity do not count
    as numbers."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        options = typing.get_args(hint)
        exact = [o for o in options if type(value) is o]
        for option in exact or options:
            out = _coerce(value, option)
            if out is not _WRONG:
                return out
        return _WRONG
    if hint is types.NoneType:
        return None if value is None else _WRONG
    if origin is typing.Literal:  # which texts are allowed is checked together with the bounds
        return value if isinstance(value, str) else _WRONG
    if origin is list:
        found = [_coerce(v, typing.get_args(hint)[0]) for v in value] if isinstance(value, list) else [_WRONG]
        return _WRONG if any(v is _WRONG for v in found) else found
    if origin is tuple:
        items = [value] if isinstance(value, str) else value
        if isinstance(items, (list, tuple)) and all(isinstance(v, str) for v in items):
            return tuple(items)
        return _WRONG
    if origin is os.PathLike:
        return value if isinstance(value, os.PathLike) else _WRONG
    if origin is not None and issubclass(origin, Mapping):
        return dict(value) if isinstance(value, Mapping) else _WRONG
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return float(value) if math.isfinite(value) else _WRONG
        except OverflowError:
            return _WRONG
    return value if type(value) is hint else _WRONG


def type_name(hint: object) -> str:
    """A type as messages name it."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(type_name(h) for h in typing.get_args(hint)))
    if origin is typing.Literal:
        return ", ".join(map(str, typing.get_args(hint)))
    plain = {str: "text", int: "a whole number", float: "a number", bool: "true or false", types.NoneType: "null"}
    others: dict[object, str] = {tuple: "a list of names", os.PathLike: "a path"}
    return plain[hint] if isinstance(hint, type) and hint in plain else others.get(origin, "a mapping")
