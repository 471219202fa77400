"""Import modules that register something of their own, before names in the options are looked up.

``plugins`` is never taken from a run's manifest: it would run any code that the folder's writer chose.
"""

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recbole_apa.adapters import ADAPTER_KINDS, WEIGHT_RULES
from recbole_apa.backbone import FAMILIES
from recbole_apa.core.errors import APAError, SettingsError
from recbole_apa.core.registry import PROGRAM, Registry
from recbole_apa.core.yaml import read_yaml
from recbole_apa.partition import PARTITIONERS

PLUGINS = "plugins"
CHOSEN: Mapping[str, Registry[Any]] = {
    "partition": PARTITIONERS,
    "weight_rule": WEIGHT_RULES,
    "adapter_type": ADAPTER_KINDS,
}
"""Options that a worker reads and whose value is a registered name."""


def import_plugins(names: object) -> None:
    """Import the modules of the option ``plugins``; those already imported are left as they are.

    Args:
        names: a list of modules, one module, or None.

    Raises:
        SettingsError: not a list of names, or a module that cannot be imported.
    """
    listed = [names] if isinstance(names, str) else names if names is not None else []
    if not isinstance(listed, (list, tuple)) or not all(_is_module_name(name) for name in listed):
        raise SettingsError(f"plugins: found {names!r}, expected a list of modules, e.g. [my_partition]")
    for name in listed:
        try:
            importlib.import_module(name)
        except APAError:
            raise
        except Exception as error:  # a foreign module may raise anything
            raise SettingsError(
                f"plugins: {name!r} cannot be imported ({type(error).__name__}: {error}); expected a module that "
                "Python finds: installed, or in a folder that PYTHONPATH names"
            ) from error


def import_plugins_of(config_files: Sequence[str], options: Mapping[str, object]) -> None:
    """Like :func:`import_plugins`, for options and option files that no configuration has read yet.

    Raises:
        SettingsError: as there, or a file that cannot be read.
    """
    found: dict[str, Any] = {}
    for file in config_files:
        found |= read_yaml(Path(file))
    import_plugins(options.get(PLUGINS, found.get(PLUGINS)))


def modules_for_workers(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Modules that a worker has to import to know the names that this process knows.

    Args:
        config: the options of the run.

    Raises:
        SettingsError: something that the run uses was registered by the main program, which workers do not run.
    """
    modules: set[str] = set()
    for option, registry in CHOSEN.items():
        outside = registry.from_outside()
        modules |= set(outside.values())
        if outside.get(config[option]) == PROGRAM:
            raise SettingsError(
                f"workers: {option} {config[option]!r} was registered by the main program, which workers do not run; "
                "put it into a module of its own and import that, or set workers: 1"
            )
    of_families = set(FAMILIES.from_outside().values())
    if PROGRAM in of_families:
        raise SettingsError(
            "workers: a backbone family was registered by the main program, which workers do not run; put it into a "
            "module of its own and import that, or set workers: 1"
        )
    return tuple(sorted((modules | of_families) - {PROGRAM}))


def _is_module_name(name: object) -> bool:
    return isinstance(name, str) and all(part.isidentifier() for part in name.split("."))
