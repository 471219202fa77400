"""Read the settings out of a RecBole ``Config``, once; the only place that knows both vocabularies."""

from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from typing import Any

from recbole_apa.core.errors import SettingsError
from recbole_apa.core.options import placement_from, settings_from
from recbole_apa.core.settings import SETTING_KEYS, APASettings, PlacementSettings
from recbole_apa.data.recbole_checks import is_number, is_whole

Check = Callable[[Mapping[str, object]], list[str]]
"""All options by name -> what is wrong with some of them, in words."""
# our field -> the RecBole option it is read from
_FROM_RECBOLE = {"history_length": "MAX_ITEM_LIST_LENGTH", "max_grad_norm": "clip_grad_norm"}

OPTION_KEYS: frozenset[str] = SETTING_KEYS - set(_FROM_RECBOLE)
"""Names a user may set for the settings."""


def read_settings(config: Any, checks: Iterable[Check] = ()) -> APASettings:
    """
    Args:
        config: a RecBole ``Config``; best an ``APAConfig``, which brings the defaults of ``properties/``.
        checks: of options whose values higher rooms know, such as names in their registries.

    Raises:
        SettingsError: all that is missing or out of range together.
    """
    values = dict(config.final_config_dict)
    if "lora_rank" not in values:
        raise SettingsError(
            "this Config has no defaults for APA; make it with recbole_apa.APAConfig(model, dataset, ...)"
        )
    problems = _problems(values)
    for check in checks:
        problems += check(values)
    # RecBole's names are the ones that a user knows, so they are not looked at under ours as well
    length, clip = values.get("MAX_ITEM_LIST_LENGTH"), values.get("clip_grad_norm")
    values["history_length"] = length if is_whole(length, 1) else 1
    values["max_grad_norm"] = float(clip["max_norm"]) if clip is not None and _is_clip(clip) else None
    try:
        settings = settings_from(values)
    except SettingsError as error:
        problems.append(str(error))
    if problems:
        raise SettingsError("; ".join(problems))
    return settings


def read_placement(config: Any) -> PlacementSettings:
    """Where the backbone is to lie.

    Raises:
        SettingsError: as :func:`read_settings`.
    """
    return placement_from(config.final_config_dict)


def _problems(values: dict[str, Any]) -> list[str]:
    out = []
    length, clip, threshold = (values.get(k) for k in ("MAX_ITEM_LIST_LENGTH", "clip_grad_norm", "threshold"))
    if not is_whole(length, 1):
        out.append(f"MAX_ITEM_LIST_LENGTH: found {length!r}, expected a whole number of at least 1")
    if clip is not None and not _is_clip(clip):
        out.append(f"clip_grad_norm: found {clip!r}, expected {{max_norm: 1.0}} or null")
    if values.get("LABEL_FIELD") is None or threshold is None:
        out.append("threshold: found none, expected e.g. {rating: 4}: a label is 1 if rating >= threshold")
    elif not isinstance(threshold, dict) or len(threshold) != 1 or not all(map(is_number, threshold.values())):
        out.append(f"threshold: found {threshold!r}, expected one column and a number, e.g. {{rating: 4}}")
    out += [
        f"{name}: found {values[name]!r}, expected null: {why}" for name, why in _REFUSED.items() if values.get(name)
    ]
    for name, (holds, expected) in _OF_THE_RUN.items():
        if name in values and not holds(values[name]):
            out.append(f"{name}: found {values[name]!r}, expected {expected}")
    return out


def _at_least_0(value: Any) -> bool:
    return is_number(value) and value >= 0


_REFUSED = {
    "transform": "it would change histories behind the prompts",
    "dataset_save_path": "RecBole would read a pickle from there, which can run code",
    "dataloaders_save_path": "RecBole would read a pickle from there, which can run code",
}
_OF_THE_RUN: dict[str, tuple[Callable[[Any], bool], str]] = {
    "trunk_cache_gib": (_at_least_0, "a number of at least 0"),
    "keep_states": (lambda v: isinstance(v, bool), "true or false"),
    "workers": (lambda v: v is None or is_whole(v, 1), "a whole number of at least 1"),
    "ray_cpus": (_at_least_0, "a number of at least 0"),
    "ray_gpus": (_at_least_0, "a number of at least 0"),
    "ray_address": (lambda v: v is None or isinstance(v, str), "a text, e.g. auto, or null"),
    "export_samples": (lambda v: v is None or isinstance(v, (str, PathLike)), "a folder, or null"),
}
"""Options that decide nothing of what a run computes."""


def _is_clip(clip: Any) -> bool:
    return isinstance(clip, dict) and set(clip) == {"max_norm"} and is_number(clip["max_norm"]) and clip["max_norm"] > 0
