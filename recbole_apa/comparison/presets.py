"""Comparisons kept as YAML: in ``properties/experiments/``, or in a file of the user's own."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recbole_apa.core.errors import SettingsError
from recbole_apa.core.options import refuse_unknown
from recbole_apa.core.properties import properties_folder
from recbole_apa.core.yaml import read_yaml

KEYS = (
    "compare",
    "seeds",
    "redraw",
    "options",
    "baseline_options",
    "baseline_data",
    "slices",
    "all_test_rows",
    "time_requests",
    "forget",
)

PLAIN = ("slices", "all_test_rows", "time_requests", "baseline_options", "baseline_data")
"""Keys that say nothing of a comparison of forgetting."""
_MAPPING, _FLAG = (Mapping, "a mapping"), (bool, "true or false")
_KINDS: Mapping[str, tuple[type, str]] = {
    "seeds": (int, "a whole number of at least 1"),
    "options": _MAPPING,
    "baseline_options": (Mapping, "options by model, e.g. {BPR: {epochs: 20}}"),
    "baseline_data": (str, "all, shown or drawn"),
    "forget": _MAPPING,
    **dict.fromkeys(("redraw", "slices", "all_test_rows", "time_requests"), _FLAG),
}


@dataclass(frozen=True)
class Preset:
    """The arguments that a file gives to :func:`recbole_apa.compare`."""

    names: list[str]
    seeds: int
    options: Mapping[str, Any]
    baseline_options: Mapping[str, Mapping[str, Any]]
    baseline_data: str
    slices: bool
    forget: Mapping[str, Any]
    """What to forget, for :func:`recbole_apa.compare_forgetting`: fields of ``ForgetRequest``; empty for a plain
    comparison."""
    redraw: bool = False
    all_test_rows: bool = False
    time_requests: bool = True
    plain: frozenset[str] = frozenset()
    """Keys of :data:`PLAIN` that the file has."""


def read_preset(name: str) -> Preset:
    """An experiment by its name in ``properties/experiments/``, or by the path of a YAML file.

    Raises:
        SettingsError: no such file, keys other than :data:`KEYS`, or values of another kind.
    """
    folder = properties_folder() / "experiments"
    path = Path(name) if name.endswith((".yaml", ".yml")) else folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.yaml")))
        raise SettingsError(f"--experiment={name}: no such file {path}; expected one of {known}, or a .yaml file")
    values = read_yaml(path)
    refuse_unknown(values, KEYS)
    names = values.get("compare")
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        raise SettingsError(f"{path}: compare: found {names!r}, expected a list of names")
    _refuse_other_kinds(path, values)
    seeds, block = values.get("seeds"), values.get("baseline_data")
    return Preset(
        names,
        1 if seeds is None else seeds,
        values.get("options") or {},
        values.get("baseline_options") or {},
        "all" if block is None else block,
        bool(values.get("slices")),
        values.get("forget") or {},
        bool(values.get("redraw")),
        bool(values.get("all_test_rows")),
        values.get("time_requests") is not False,
        _plain_in(values),
    )


def _plain_in(values: Mapping[str, Any]) -> frozenset[str]:
    says = {**values, "time_requests": values.get("time_requests") is not None}
    return frozenset(key for key in PLAIN if says.get(key))


def _refuse_other_kinds(path: Path, values: Mapping[str, Any]) -> None:
    """
    Raises:
        SettingsError: a value of another kind than its key has, or keys that do not go together.
    """
    for key, (kind, expected) in _KINDS.items():
        found = values.get(key)
        is_kind = isinstance(found, kind) and (kind is bool or not isinstance(found, bool))
        if found is not None and not is_kind:
            raise SettingsError(f"{path}: {key}: found {found!r}, expected {expected}")
    others = sorted(_plain_in(values))
    if others and values.get("forget"):
        raise SettingsError(f"{path}: {others[0]} does not go with a comparison of forgetting; drop it or forget")
