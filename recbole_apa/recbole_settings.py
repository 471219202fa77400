"""Read the settings out of a RecBole ``Config``, once; the only place that knows both vocabularies."""

from typing import Any

from recbole_apa.errors import SettingsError
from recbole_apa.options import placement_from, settings_from
from recbole_apa.settings import SETTING_KEYS, APASettings, PlacementSettings

# our field -> the RecBole option it is read from
_FROM_RECBOLE = {"history_length": "MAX_ITEM_LIST_LENGTH", "max_grad_norm": "clip_grad_norm"}

OPTION_KEYS: frozenset[str] = SETTING_KEYS - set(_FROM_RECBOLE)
"""Names a user may set for the settings."""


def read_settings(config: Any) -> APASettings:
    """
    Args:
        config: a RecBole ``Config``; best an ``APAConfig``, which brings the defaults of ``properties/``.

    Raises:
        SettingsError: something is missing or out of range.
    """
    values = dict(config.final_config_dict)
    if "lora_rank" not in values:
        raise SettingsError(
            "this Config has no defaults for APA; make it with recbole_apa.APAConfig(model, dataset, ...)"
        )
    values["history_length"] = config["MAX_ITEM_LIST_LENGTH"]
    values["max_grad_norm"] = _max_norm(config["clip_grad_norm"])
    if config["LABEL_FIELD"] is None or not config["threshold"]:
        raise SettingsError("threshold: found none, expected e.g. {rating: 4}: a label is 1 if rating >= threshold")
    return settings_from(values)


def read_placement(config: Any) -> PlacementSettings:
    """Where the backbone is to lie.

    Raises:
        SettingsError: as :func:`read_settings`.
    """
    return placement_from(config.final_config_dict)


def _max_norm(clip: Any) -> float | None:
    if clip is None:
        return None
    if not isinstance(clip, dict) or set(clip) != {"max_norm"}:
        raise SettingsError(f"clip_grad_norm: found {clip!r}, expected {{max_norm: 1.0}} or null")
    return float(clip["max_norm"])
