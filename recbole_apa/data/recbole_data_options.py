"""A RecBole ``Config`` -> :class:`DataOptions`; the only place that knows both."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from recbole_apa.core.errors import SettingsError
from recbole_apa.core.settings import SampleSettings
from recbole_apa.data.data_options import ALL_COLUMNS, DataOptions, FileOptions, LabelRule
from recbole_apa.data.filters import FilterSettings
from recbole_apa.data.recbole_split import read_split

if TYPE_CHECKING:
    from recbole.config import Config


def data_options(config: "Config", samples: SampleSettings) -> DataOptions:
    """All options that decide rows and samples.

    Args:
        samples: the sample settings that were read from the same configuration.

    Raises:
        SettingsError: the split is not one that RecBole supports, or files are split beforehand and the protocol is
            ``tallrec``.
    """
    files = file_options(config)
    if files.presplit is not None and samples.protocol == "tallrec":
        raise SettingsError("benchmark_filename: the files are already split; expected protocol: recbole")
    settled = files.presplit is not None or samples.protocol == "tallrec"
    split = None if settled else read_split(config["eval_args"], config["seed"])
    return DataOptions(files, label_rule(config), filter_settings(config), split, samples)


def file_options(config: "Config") -> FileOptions:
    """How files are read, for any of RecBole's models."""
    user, item = config["USER_ID_FIELD"], config["ITEM_ID_FIELD"]
    aliases = [name for kind in ("user_id", "item_id") for name in config[f"alias_of_{kind}"] or []]
    threshold = config["threshold"]
    numbers = [config["LABEL_FIELD"], config["TIME_FIELD"], *(threshold if isinstance(threshold, Mapping) else ())]
    presplit = config["benchmark_filename"]
    return FileOptions(
        user=user,
        item=item,
        time=config["TIME_FIELD"],
        ids=_names([user, item, *aliases]),
        numbers=_names(numbers),
        load=_columns(config["load_col"]),
        unload=_columns(config["unload_col"]),
        separator=config["field_separator"],
        encoding=config["encoding"],
        presplit=None if presplit is None else tuple(presplit),
        seq_separator=config["seq_separator"],
        seq_len=dict(config["seq_len"] or {}),
    )


def label_rule(config: "Config") -> LabelRule:
    """RecBole's ``threshold``, which is checked with the settings."""
    ((column, least),) = config["threshold"].items()
    return LabelRule(column, least)


def filter_settings(config: "Config") -> FilterSettings:
    """RecBole's filtering options."""
    return FilterSettings(
        user=config["USER_ID_FIELD"],
        item=config["ITEM_ID_FIELD"],
        time=config["TIME_FIELD"],
        keep_duplicate=config["rm_dup_inter"],
        values={column: _wanted(wanted) for column, wanted in (config["val_interval"] or {}).items()},
        known_only=config["filter_inter_by_user_or_item"] is True,
        user_counts=config["user_inter_num_interval"],
        item_counts=config["item_inter_num_interval"],
    )


def _names(columns: list[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in columns if name is not None))


def _columns(given: Mapping[str, object] | None) -> dict[str, str | list[str]] | None:
    if given is None:
        return None
    return {kind: ALL_COLUMNS if names == ALL_COLUMNS else _listed(names) for kind, names in given.items()}


def _listed(names: object) -> list[str]:
    return list(map(str, names)) if isinstance(names, (list, tuple, set)) else [str(names)]


def _wanted(wanted: object) -> object:
    """Intervals, or a list of texts: YAML reads some of them as numbers or dates."""
    return list(map(str, wanted)) if isinstance(wanted, (list, tuple)) else wanted
