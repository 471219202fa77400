"""Import modules that register something of their own, before names in the options are looked up.

``plugins`` is never taken from a run's manifest: it would run any code that the folder's writer chose. The manifest
only says which modules registered what the run uses, for messages.
"""

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbole_apa.core.errors import APAError, MissingPluginError, SettingsError
from recbole_apa.core.foreign_code import error_text
from recbole_apa.core.registry import PROGRAM, Registry
from recbole_apa.core.yaml import read_yaml
from recbole_apa.runs.manifest import Manifest
from recbole_apa.runs.names import REGISTERED_BY

if TYPE_CHECKING:
    from recbole_apa.backbone.family import Family

PLUGINS = "plugins"
_BACKBONE = "backbone"


def _chosen() -> Mapping[str, Registry[Any]]:
    """Options that a worker reads and whose value is a registered name -> the registry."""
    from recbole_apa.adapters import ADAPTER_KINDS, WEIGHT_RULES
    from recbole_apa.partition import PARTITIONERS

    return {"partition": PARTITIONERS, "weight_rule": WEIGHT_RULES, "adapter_type": ADAPTER_KINDS}


def _modules_of_families() -> dict[str, str]:
    """Backbone families registered from outside the package -> the modules to import for them."""
    from recbole_apa.backbone import FAMILIES

    return FAMILIES.from_outside()


def import_plugins(names: object) -> None:
    """Import the modules of the option ``plugins``; those already imported are left as they are.

    Args:
        names: a list of modules, a text of modules with commas in between, or None.

    Raises:
        SettingsError: not a list of names, a module that Python does not find, or one that fails while it is imported.
    """
    words = [word.strip() for word in names.split(",")] if isinstance(names, str) else names
    listed = words if words is not None else []
    if not isinstance(listed, (list, tuple)) or not all(_is_module_name(name) for name in listed):
        raise SettingsError(f"plugins: found {names!r}, expected a list of modules, e.g. [my_partition]")
    for name in listed:
        try:
            importlib.import_module(name)
        except APAError:
            raise
        except (Exception, SystemExit) as error:  # a foreign module may raise anything, and call sys.exit
            raise SettingsError(_why_not(name, error)) from error


def _why_not(name: str, error: BaseException) -> str:
    """Why a module was not imported: Python does not find it, or it fails."""
    unfound = error.name if isinstance(error, ModuleNotFoundError) and error.name else None
    if unfound and (name == unfound or name.startswith(f"{unfound}.")):
        return (
            f"plugins: {name!r} cannot be imported ({type(error).__name__}: {error}); expected a module that Python "
            "finds: installed, or in a folder that PYTHONPATH names"
        )
    does = "ends the program" if isinstance(error, SystemExit) else "fails"
    return f"plugins: {name!r} was found, but {does} while it is imported: {error_text(error, _file(name))}; repair it"


def _file(name: str) -> str | None:
    """The file of a module that could not be imported; None if there is none."""
    try:
        spec = importlib.util.find_spec(name)
    except Exception:  # of the package around it
        return None
    return spec.origin if spec else None


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
    for option, registry in _chosen().items():
        outside = registry.from_outside()
        modules |= set(outside.values())
        if outside.get(config[option]) == PROGRAM:
            raise SettingsError(
                f"workers: {option} {config[option]!r} was registered by the main program, which workers do not run; "
                "put it into a module of its own and import that, or set workers: 1"
            )
    of_families = set(_modules_of_families().values())
    if PROGRAM in of_families:
        raise SettingsError(
            "workers: a backbone family was registered by the main program, which workers do not run; put it into a "
            "module of its own and import that, or set workers: 1"
        )
    return tuple(sorted((modules | of_families) - {PROGRAM}))


def registered_by(config: Mapping[str, Any], family: "Family") -> dict[str, str]:
    """The modules outside this package that registered what a run uses: option -> module.

    Args:
        config: the options of the run.
        family: the backbone's.
    """
    found = {option: registry.from_outside().get(str(config[option])) for option, registry in _chosen().items()}
    found[_BACKBONE] = _modules_of_families().get(family.name)
    return {option: module for option, module in found.items() if module}


def refuse_missing(manifest: Manifest, options: Mapping[str, object]) -> None:
    """
    Args:
        options: those in the manifest that are taken from it.

    Raises:
        MissingPluginError: the run uses a name that is not registered here; names the module that registered it.
    """
    modules = manifest.get(REGISTERED_BY, {})
    for option, registry in _chosen().items():
        name = options.get(option)
        if isinstance(name, str) and name not in registry:
            raise MissingPluginError(f"{registry.unknown(name, option)}; {_give_again(modules.get(option))}")
    module = modules.get(_BACKBONE)
    if module and module not in _modules_of_families().values():
        raise MissingPluginError(f"backbone: the family of the run's backbone is not known; {_give_again(module)}")


def _give_again(module: str | None) -> str:
    if module is None or not _is_module_name(module):
        return "it may come from a module of the option plugins: if so, give --plugins=[module] again"
    if module == PROGRAM:
        return "the program or notebook that trained the run registered it: register it here as well"
    return (
        f"the run was trained with {module}, which registered it: if you trust that module, give --plugins=[{module}]"
    )


def _is_module_name(name: object) -> bool:
    return isinstance(name, str) and all(part.isidentifier() for part in name.split("."))
