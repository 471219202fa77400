"""Options as YAML, read without Python objects, and without an error that names no cause."""

import re
from pathlib import Path
from typing import Any

import yaml

from recbole_apa.core.errors import SettingsError


class Loader(yaml.SafeLoader):
    """YAML without Python objects; ``1e-3`` is a number."""


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?([0-9][0-9_]*\.?[0-9_]*|\.[0-9_]+)[eE][-+]?[0-9]+$"),
    list("-+0123456789."),
)


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file of options.

    Raises:
        SettingsError: missing, not YAML, or not a mapping.
    """
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=Loader)
    # numbers of thousands of digits, days that no calendar has, bytes that are no text
    except (OSError, yaml.YAMLError, ValueError) as error:
        shown = str(path) if str(path).isprintable() else repr(str(path))
        raise SettingsError(f"cannot read options from {shown}: {str(error).splitlines()[0]}") from error
    except RecursionError:
        raise SettingsError(f"cannot read options from {path}: brackets within brackets too deep") from None
    if not isinstance(values, (dict, type(None))):
        raise SettingsError(f"{path}: found {type(values).__name__}, expected `option: value` lines")
    return values or {}


def parse_value(text: str) -> Any:
    """The value of one ``--key=value``, as YAML would read it; never evaluated.

    Raises:
        SettingsError: brackets too deep to be read.
    """
    try:
        value = yaml.load(text, Loader=Loader)
    except (yaml.YAMLError, ValueError):  # also a number of thousands of digits, or the 13th month
        return text
    except RecursionError:
        raise SettingsError(f"found brackets within brackets too deep, in {text[:40]}...; expected a value") from None
    # RecBole's command lines write Python's names
    return {"None": None}.get(value, value) if isinstance(value, str) else value
