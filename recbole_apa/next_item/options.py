"""From flat options to what a run of APANext needs; the only file here that knows RecBole's ``Config``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

from recbole_apa.core.errors import SettingsError
from recbole_apa.core.execution import PlacementSettings
from recbole_apa.core.option_table import EXECUTION_KEYS, SETTING_KEYS
from recbole_apa.core.options import read_field
from recbole_apa.core.properties import properties_folder
from recbole_apa.core.settings import BackboneSettings
from recbole_apa.core.yaml import read_yaml
from recbole_apa.data.data_options import DataOptions
from recbole_apa.data.recbole_data_options import data_options
from recbole_apa.model.settings import read_checked_settings
from recbole_apa.next_item.label_column import with_numbers_that_are_read
from recbole_apa.next_item.ranking import refuse_metrics
from recbole_apa.next_item.settings import NextItemSettings
from recbole_apa.pipeline.config import APAConfig
from recbole_apa.runs.log_places import open_log

MODEL = "APANext"
LENGTH = "MAX_ITEM_LIST_LENGTH"
"""RecBole's name of :attr:`NextItemSettings.history_length`."""
OWN = frozenset({LENGTH if f.name == "history_length" else f.name for f in fields(NextItemSettings)})
"""Options of ``properties/model/APANext.yaml``."""
SHARED = frozenset(
    {"backbone", "dtype", "quantization", "attn_implementation", "trust_remote_code", "item_text"}
    | {"device", "device_map", "max_memory", "offload_folder", "show_progress", "key_file", "log_dir"}
)
"""Options of APA's table that hold for APANext, too."""
_FIXED: dict[str, object] = {
    "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"},
    "evidence": "none",
    "variants": "none",
    "baselines": [],
}
"""What the configuration that reads rows and backbone gets: its other parts are not used."""


@dataclass(frozen=True)
class NextItemOptions:
    """Everything that decides a run, as plain values."""

    dataset: str
    folder: str
    """Where the dataset's files are, absolute."""
    settings: NextItemSettings
    backbone: BackboneSettings
    data: DataOptions
    metrics: tuple[str, ...]
    topk: tuple[int, ...]
    device: str
    placement: PlacementSettings
    show_progress: bool
    checkpoint_dir: str

    @property
    def stem(self) -> Path:
        """As :func:`~recbole_apa.data.read_data.read_data` takes it."""
        return Path(self.folder) / self.dataset


def read_options(dataset: str, files: Sequence[str] = (), given: Mapping[str, object] | None = None) -> NextItemOptions:
    """
    Args:
        files: YAML files of options.
        given: options; they take precedence over the files.

    Raises:
        SettingsError: lists all options that are unknown, wrong, or have no part in APANext.
        DataError: the file of interactions is malformed, or has neither ratings nor times.
    """
    asked: dict[str, object] = {}
    for file in files:
        asked |= read_yaml(Path(file))
    asked |= given or {}
    _refuse_others(asked)
    _refuse_labels(asked)
    settings = read_settings(asked)
    config = APAConfig("APA", dataset, None, {**_texts(dataset), **_rest(asked), **_FIXED})
    config.settle_backbone()
    open_log(config)
    own = read_checked_settings(config)
    refuse_metrics(config["metrics"])
    folder, data = Path(config["data_path"]).resolve(), data_options(config, own.samples)
    return NextItemOptions(
        dataset=dataset,
        folder=str(folder),
        settings=settings,
        backbone=own.backbone,
        data=data if "threshold" in asked else with_numbers_that_are_read(data, folder / dataset),
        metrics=tuple(config["metrics"]),
        topk=tuple(config["topk"]),
        device=str(config["device"]),
        placement=_placement(config),
        show_progress=bool(config["show_progress"]),
        checkpoint_dir=str(config["checkpoint_dir"]),
    )


def read_settings(asked: Mapping[str, object]) -> NextItemSettings:
    """APANext's own options, over the defaults of its YAML.

    Raises:
        SettingsError: lists all that are of the wrong type or out of range.
    """
    values = {**read_yaml(properties_folder() / "model" / f"{MODEL}.yaml"), **asked}
    values["history_length"] = values[LENGTH]
    hints, read, problems = get_type_hints(NextItemSettings), {}, []
    for f in fields(NextItemSettings):
        try:
            read[f.name] = read_field(f, hints[f.name], values)
        except SettingsError as error:
            problems.append(str(error).replace("history_length", LENGTH))
    if problems:
        raise SettingsError("; ".join(problems))
    return NextItemSettings(**read)  # type: ignore[arg-type]


def _refuse_others(asked: Mapping[str, object]) -> None:
    known = OWN | SHARED
    others = sorted((set(asked) & (SETTING_KEYS | EXECUTION_KEYS)) - known)
    problems = [f"{name}: an option of the model APA that APANext does not have" for name in others]
    for name in sorted(set(asked) & {"eval_args", "benchmark_filename", "protocol"}):
        if name not in others:
            problems.append(f"{name}: APANext is always evaluated leave-one-out by user, by full ranking; leave it out")
    if problems:
        raise SettingsError("; ".join(problems))


def _refuse_labels(asked: Mapping[str, object]) -> None:
    """Refuse metrics before they are read with a mode that is fixed here: the message would name another mode."""
    given = asked.get("metrics", [])
    names = [given] if isinstance(given, str) else given
    if isinstance(names, (list, tuple)) and all(isinstance(name, str) for name in names):
        refuse_metrics(names)


def _texts(dataset: str) -> dict[str, object]:
    """How items are written, if the dataset has a file for it."""
    own = properties_folder() / "next_item" / f"{dataset}.yaml"
    return dict(read_yaml(own)) if own.is_file() else {}


def _rest(asked: Mapping[str, object]) -> dict[str, object]:
    """What RecBole and the backbone are asked for."""
    rest = {name: value for name, value in asked.items() if name not in OWN}
    return {**rest, "seed": asked["seed"]} if "seed" in asked else rest


def _placement(config: APAConfig) -> PlacementSettings:
    names = {f.name for f in fields(PlacementSettings)}
    values: dict[str, Any] = {name: value for name, value in config.final_config_dict.items() if name in names}
    return PlacementSettings(**values)
