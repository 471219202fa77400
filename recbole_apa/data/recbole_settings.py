"""Read the settings from a RecBole ``Config``, once; the only place that knows both sets of option names."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from recbole_apa.core.errors import SettingsError
from recbole_apa.core.execution import ExecutionSettings
from recbole_apa.core.option_table import SETTING_KEYS
from recbole_apa.core.options import check_given, execution_from, settings_from
from recbole_apa.core.settings import APASettings
from recbole_apa.data.recbole_checks import is_number, is_whole

if TYPE_CHECKING:
    from recbole.config import Config

Check = Callable[[Mapping[str, object]], list[str]]
"""All options by name -> messages about those that are wrong."""
FROM_RECBOLE = {"history_length": "MAX_ITEM_LIST_LENGTH", "max_grad_norm": "clip_grad_norm"}
"""Our field -> the RecBole option it is read from, the name that users know."""
OPTION_KEYS: frozenset[str] = SETTING_KEYS - set(FROM_RECBOLE)
"""Option names that users may set for the settings."""


def read_settings(config: "Config", checks: Iterable[Check] = ()) -> APASettings:
    """
    Args:
        config: a RecBole ``Config``, usually an ``APAConfig``, which has the defaults from ``properties/``.
        checks: checks of options whose valid values only higher rooms know, e.g. names in their registries.

    Raises:
        SettingsError: options are missing or out of range; lists all of them.
    """
    values = dict(config.final_config_dict)
    if "lora_rank" not in values:
        raise SettingsError(
            "this Config has no defaults for APA; create it with recbole_apa.APAConfig(model, dataset, ...)"
        )
    problems = _problems(values)
    for check in checks:
        problems += check(values)
    # users know RecBole's names, so these are not checked again under ours
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


def read_execution(config: "Config") -> ExecutionSettings:
    """Where and how the work is to be done.

    Raises:
        SettingsError: as :func:`read_settings`.
    """
    return execution_from(_with_device_named(config.final_config_dict))


def check_execution(config: "Config") -> None:
    """As :func:`read_execution`, for another RecBole model, where not all of the options need to be set.

    Raises:
        SettingsError: as :func:`read_settings`.
    """
    check_given(ExecutionSettings, _with_device_named(config.final_config_dict))


def _with_device_named(values: Mapping[str, object]) -> dict[str, object]:
    """The options with the device as a name: RecBole replaces it with a torch object."""
    import torch

    device = values.get("device")
    return {**values, "device": str(device) if isinstance(device, torch.device) else device}


def _problems(values: dict[str, object]) -> list[str]:
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
    return out


_REFUSED = {
    "transform": "it would change histories without the prompts knowing",
    "dataset_save_path": "RecBole would read a pickle from there, which can run code",
    "dataloaders_save_path": "RecBole would read a pickle from there, which can run code",
}


def _is_clip(clip: object) -> bool:
    return isinstance(clip, dict) and set(clip) == {"max_norm"} and is_number(clip["max_norm"]) and clip["max_norm"] > 0
