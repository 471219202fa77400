"""Options described in words, for the documentation and ``--help``."""

import types
import typing
from os import PathLike

from recbole_apa.core.option_table import Row

_UNIONS = (typing.Union, types.UnionType)
_TYPES = {str: "text", int: "whole number", float: "number", bool: "true or false", types.NoneType: "null"}


def kind(row: Row, mark: str = "") -> str:
    """The type or choices of an option.

    Args:
        mark: put before and after each choice.
    """
    parts = typing.get_args(row.hint) if typing.get_origin(row.hint) in _UNIONS else (row.hint,)
    kept = [part for part in parts if not (part is int and float in parts)]
    rest = [_type(part) for part in kept if typing.get_origin(part) is not typing.Literal]
    choices = [", ".join(f"{mark}{choice}{mark}" for choice in row.choices)] if row.choices else []
    return " or ".join([*choices, *rest])


def _type(hint: object) -> str:
    origin = typing.get_origin(hint)
    if origin is tuple:
        return "list of names"
    if origin is PathLike:
        return "path"
    return _TYPES.get(hint, "mapping") if isinstance(hint, type) else "mapping"


def shown(value: object) -> str:
    """A default value as YAML writes it."""
    if isinstance(value, list):
        return "[" + ", ".join(map(shown, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {shown(v)}" for key, v in value.items()) + "}"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)
