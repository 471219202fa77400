"""Let RecBole's own programs run APA (RecBole 1.2.0 and 1.2.1, ``quick_start/quick_start.py``).

Lines 115 and 205, ``Config(...)``: RecBole's has no defaults for APA and evaluates texts as code; APA gets ours.
Line 141, ``get_flops``: it copies the language model and runs it on a row without a prompt; APA's are not counted.
"""

import importlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from recbole_apa.core.errors import SettingsError

if TYPE_CHECKING:
    from recbole.config import Config
    from torch import nn


def config_for_apa(module: ModuleType) -> None:
    """Have ``Config`` return an ``APAConfig`` if the model is APA, and RecBole's own otherwise."""
    found: Any = module
    own = found.Config

    def config(
        model: str | type | None = None,
        dataset: str | None = None,
        config_file_list: Sequence[str] | None = None,
        config_dict: Mapping[str, object] | None = None,
    ) -> "Config":
        files, words = list(config_file_list or []), words_of(sys.argv)
        if _asked(model, words, config_dict or {}, files) != "APA":
            return own(model, dataset, config_file_list, config_dict)
        # in a higher room, which knows APAConfig
        return importlib.import_module("recbole_apa.pipeline.recbole_programs").config_of(
            dataset, files, config_dict, words
        )

    if own.__module__ != __name__:
        config.__module__ = __name__
        found.Config = config


def no_flops_of_apa(module: ModuleType) -> None:
    """Have ``get_flops`` skip APA."""
    found: Any = module
    own = found.get_flops

    def get_flops(model: "nn.Module", *args: object, **named: object) -> object:
        return "not counted" if type(model).__name__ == "APA" else own(model, *args, **named)

    if own.__module__ != __name__:
        found.get_flops = get_flops


def words_of(arguments: Sequence[str]) -> dict[str, str]:
    """The ``--key=value`` arguments of a command line, parsed as in RecBole (``config/configurator.py:165``)."""
    if not arguments or "ipykernel_launcher" in arguments[0]:
        return {}
    pairs = (word[2:].partition("=") for word in arguments[1:] if word.startswith("--") and "=" in word)
    return {key: value for key, _, value in pairs}


def _asked(
    model: str | type | None, words: Mapping[str, str], given: Mapping[str, object], files: Sequence[str]
) -> object:
    """The model's name, in RecBole's order: argument, command line, dictionary, the last file that names one."""
    if model is not None:
        return model if isinstance(model, str) else model.__name__
    asked = words.get("model") or given.get("model")
    if asked or not files:
        return asked
    told = [_named_in(Path(file)) for file in files]
    return next((name for name in reversed(told) if name), None)


def _named_in(file: Path) -> object:
    """The model that a file names; None if our reader rejects the file, which RecBole's may still accept."""
    from recbole_apa.core.yaml import read_yaml

    try:
        return read_yaml(file).get("model")
    except SettingsError:
        return None
