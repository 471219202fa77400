"""Read options from YAML, without Python objects and with errors that name the cause."""

import re
from pathlib import Path
from typing import Any

import yaml

from recbole_apa.core.errors import SettingsError


class Loader(yaml.SafeLoader):
    """YAML without Python objects; ``1e-3`` is read as a number."""


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?([0-9][0-9_]*\.?[0-9_]*|\.[0-9_]+)[eE][-+]?[0-9]+$"),
    list("-+0123456789."),
)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file of options.

    Raises:
        SettingsError: the file is missing, not YAML, or not a mapping.
    """
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=Loader)
    # numbers of thousands of digits, impossible dates, bytes that are not text
    except (OSError, yaml.YAMLError, ValueError) as error:
        shown = str(path) if str(path).isprintable() else repr(str(path))
        raise SettingsError(f"cannot read options from {shown}: {str(error).splitlines()[0]}") from error
    except RecursionError:
        raise SettingsError(f"cannot read options from {path}: brackets are nested too deeply") from None
    if not isinstance(values, (dict, type(None))):
        raise SettingsError(f"{path}: found {type(values).__name__}, expected `option: value` lines")
    return values or {}


def parse_value(text: str) -> Any:
    """The value of one ``--key=value`` as YAML reads it; never evaluated.

    Raises:
        SettingsError: brackets are nested too deeply.
    """
    try:
        value = yaml.load(text, Loader=Loader)
    except (yaml.YAMLError, ValueError):  # also a number of thousands of digits, or the 13th month
        return text
    except RecursionError:
        raise SettingsError(f"found brackets nested too deeply in {text[:40]}...; expected a plain value") from None
    # RecBole's command lines use Python's names
    return {"None": None}.get(value, value) if isinstance(value, str) else value
