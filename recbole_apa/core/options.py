"""Options as YAML and command line give them, read as the dataclasses of ``settings``; unknown names are refused."""

import difflib
import math
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar

from recbole_apa.core.errors import SettingsError
from recbole_apa.core.settings import GROUPS, NOT_OFFERED, APASettings, PlacementSettings

T = TypeVar("T")
GREATEST_SEED = 2**32 - 1
"""What numpy takes."""


def settings_from(values: Mapping[str, Any]) -> APASettings:
    """Build the settings from flat options; keys that are not ours are left to RecBole.

    Raises:
        SettingsError: everything that is missing, of the wrong type or out of its range together.
    """
    groups: dict[str, Any] = {}
    problems = []
    for name, cls in GROUPS.items():
        try:
            groups[name] = _build(cls, values)
        except SettingsError as error:
            problems.append(str(error))
    seed: Any = values.get("seed")
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed <= GREATEST_SEED:
        problems.append(f"seed: found {seed!r}, expected a whole number from 0 to {GREATEST_SEED}")
    if problems:
        raise SettingsError("; ".join(problems))
    return APASettings(seed=seed, **groups)


def placement_from(values: Mapping[str, Any]) -> PlacementSettings:
    """As :func:`settings_from`, of where the backbone lies."""
    out: PlacementSettings = _build(PlacementSettings, values)
    return out


def refuse_unknown(keys: Iterable[str], known: Iterable[str]) -> None:
    """Raise with the nearest known name for every key that nothing reads.

    Raises:
        SettingsError: lists all unknown keys together.
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
    """The name most like another one, if any is more like it than ``cutoff`` (0 to 1)."""
    return next(iter(difflib.get_close_matches(name, sorted(names), n=1, cutoff=cutoff)), None)


def text_keys() -> set[str]:
    """Settings that are texts: braces and colons in them are meant literally."""
    return {name for cls in GROUPS.values() for name, hint in typing.get_type_hints(cls).items() if hint is str}


def _build(cls: type[T], values: Mapping[str, Any]) -> T:
    problems, arguments = [], {}
    hints = typing.get_type_hints(cls)
    for f in fields(cls):  # type: ignore[arg-type]
        if f.name not in values:
            problems += [f"{f.name}: missing"] if f.default is MISSING else []
            continue
        value = _coerce(values[f.name], hints[f.name])
        if value is _WRONG:
            problems.append(f"{f.name}: found {values[f.name]!r}, expected {_type_name(hints[f.name])}")
        else:
            arguments[f.name] = value
    if problems:
        raise SettingsError("; ".join(problems))
    return cls(**arguments)


_WRONG = object()


def _coerce(value: Any, hint: Any) -> Any:
    """``value`` as the hinted type (int widens to float, list to tuple), or ``_WRONG``; NaN and infinity are no
    numbers."""
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
    if origin is tuple:
        items = [value] if isinstance(value, str) else value
        whole = isinstance(items, (list, tuple)) and all(isinstance(v, str) for v in items)
        return tuple(items) if whole else _WRONG
    if origin is not None and issubclass(origin, Mapping):
        return dict(value) if isinstance(value, Mapping) else _WRONG
    if hint is float and type(value) in (int, float):
        try:
            return float(value) if math.isfinite(value) else _WRONG
        except OverflowError:
            return _WRONG
    return value if type(value) is hint else _WRONG


def _type_name(hint: Any) -> str:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return " or ".join(_type_name(h) for h in typing.get_args(hint))
    plain = {str: "text", int: "a whole number", float: "a number", bool: "true or false", types.NoneType: "null"}
    return plain.get(hint) or ("a list of names" if typing.get_origin(hint) is tuple else "a mapping")
