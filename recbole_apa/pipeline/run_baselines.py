"""RecBole's models beside APA in the table of a run: trained on all rows of the training period, and not kept."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from logging import getLogger
from pathlib import Path

import numpy as np
from recbole.utils import ModelType

from recbole_apa.core.errors import SettingsError
from recbole_apa.core.log_levels import warnings_alone
from recbole_apa.data.baseline_rows import baseline_rows, presplit_rows, stopping_rows
from recbole_apa.data.presplit_files import AnyRows, Layout, write_presplit
from recbole_apa.data.recbole_settings import read_execution
from recbole_apa.evaluation.scored_split import BASELINES
from recbole_apa.pipeline.build import RunResult
from recbole_apa.pipeline.config import APAConfig
from recbole_apa.pipeline.recbole_models import NAME, PresplitFiles, TrainedBaseline, baseline_scores, train_baseline
from recbole_apa.pipeline.recbole_names import baseline_defaults, find_model, reads_graph
from recbole_apa.runs.scratch import scratch

_PARTS = {"valid": 1, "test": 2}


@dataclass
class BaselineScores:
    """What the models found."""

    scores: dict[str, dict[str, np.ndarray]] = field(default_factory=lambda: {part: {} for part in _PARTS})
    """Split -> name -> scores of its samples, in order, (n,)."""
    figures: dict[str, float] = field(default_factory=dict)
    """Seconds of training, training rows, and rows that chose the epoch, under flat keys."""


def asked_baselines(config: APAConfig) -> tuple[str, ...]:
    """The models that a configuration names.

    Raises:
        SettingsError: no such model, or one whose scores are no probabilities of a like.
    """
    names = read_execution(config).baselines
    for name in names:
        model = find_model(name)
        if model.type != ModelType.CONTEXT or reads_graph(model):
            raise SettingsError(
                f"{BASELINES}: found {name}, expected models that learn from labels, such as FM and DeepFM; "
                f"--compare={name} has the others"
            )
    return names


def train_baselines(result: RunResult, names: Sequence[str], run: Path | None = None) -> BaselineScores:
    """Train the named models on what the run sees, as a comparison does with ``baseline_data: all``, and score the
    validation and test samples. Their best epoch is chosen on all rows of the validation split, drawn or not. A model
    that cannot be trained is skipped, with a warning that says why.

    Their rows are written to a folder that is deleted with the models.

    Args:
        run: the folder of the run that is written, as in :func:`~recbole_apa.runs.scratch.scratch`.
    """
    out = BaselineScores()
    for name in names:
        try:
            # a line for each epoch, many times what the run itself has to say
            with scratch(run) as folder, warnings_alone():
                _train_one(result, name, folder, out)
        except Exception as error:  # whatever RecBole raises must not cost a run that is trained
            getLogger().warning(f"{BASELINES}: {name} is left out ({type(error).__name__}: {error})")
    return out


def _train_one(result: RunResult, name: str, folder: Path, out: BaselineScores) -> None:
    data = result.data.train_set.run_data
    chosen_by = stopping_rows(data, "all")
    parts: dict[str, AnyRows] = {
        "train": presplit_rows(data, baseline_rows(data, "all")),
        "valid": presplit_rows(data, chosen_by),
        "test": result.data.test_set.samples,
    }
    trained = _trained(result, name, folder, parts)
    drawn = {"valid": _places(data.targets["valid"], chosen_by), "test": np.arange(len(parts["test"]))}
    for part, split in _PARTS.items():
        if len(drawn[part]):
            out.scores[part][f"{BASELINES}.{name}"] = baseline_scores(trained, split, parts[part])[drawn[part]]
    out.figures[f"{BASELINES}.{name}.train_seconds"] = round(trained.seconds, 1)
    out.figures[f"{BASELINES}.{name}.n_rows"] = trained.n_rows
    if trained.n_stopping is not None:
        out.figures[f"{BASELINES}.{name}.n_stopping_rows"] = trained.n_stopping


def _places(rows: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Where some rows are among others, (n,)."""
    place = {row: n for n, row in enumerate(among.tolist())}
    return np.array([place[row] for row in rows.tolist()], dtype=np.int64)


def _trained(result: RunResult, name: str, folder: Path, parts: dict[str, AnyRows]) -> TrainedBaseline:
    config, layout = result.config, Layout.of(result.config)
    write_presplit(folder, NAME, parts, Path(config["data_path"]), layout)
    items = result.data.train_set.item_feat
    columns = [] if items is None else [column for column in items.columns if column != config["ITEM_ID_FIELD"]]
    files = PresplitFiles(folder, columns, config["MAX_ITEM_LIST_LENGTH"], layout)
    where = {"log_dir": str(folder), "use_gpu": config["use_gpu"], "gpu_id": config["gpu_id"]}
    return train_baseline(name, files, config["seed"], {**baseline_defaults(name, "all"), **where})
