"""RecBole's own models, trained and scored on pre-split files."""

import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from recbole.data.dataset import SequentialDataset
from recbole.utils import InputType, ModelType, get_trainer
from torch import Tensor, nn

from recbole_apa.compat.checkpoints import load
from recbole_apa.core.errors import RunError
from recbole_apa.data.loaders import dataset_of
from recbole_apa.data.presplit_files import (
    LABELLED_SEQUENCES,
    LIKES,
    SEQUENCES,
    VALID_SEQUENCES,
    AnyRows,
    Layout,
)
from recbole_apa.model.recbole_evaluator import PatientEvaluator
from recbole_apa.pipeline.build import build
from recbole_apa.pipeline.config import APAConfig
from recbole_apa.pipeline.patience import STOPPING_ROWS, batch_without_single, check_stopping_rows, patience
from recbole_apa.pipeline.recbole_names import learns_labelled_sequences, learns_likes
from recbole_apa.runs.log_places import places_of

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset
    from recbole.model.abstract_recommender import AbstractRecommender
    from recbole.trainer import Trainer

    from recbole_apa.data.loaders import Loaders

NAME = "presplit"
"""The dataset's name in the folder that :func:`~recbole_apa.data.presplit_files.write_presplit` fills."""
EMBEDDING_EPOCHS = 50


@dataclass
class TrainedBaseline:
    """A RecBole model after ``fit``, with its best state."""

    model: "AbstractRecommender"
    trainer: "Trainer"
    loaders: "Loaders"
    seconds: float
    """``fit`` alone."""
    is_probability: bool
    """Whether its scores are probabilities of a like; if not, LogLoss is meaningless."""

    @property
    def n_parameters(self) -> int | None:
        """Numbers that were trained; None for a model of counts or similarities, which has a dummy alone."""
        n = sum(p.numel() for p in self.model.parameters() if p.requires_grad)
        return n if n > 1 else None

    @property
    def n_rows(self) -> int:
        """Training rows."""
        return len(dataset_of(self.loaders.train).inter_feat)

    @property
    def n_stopping(self) -> int | None:
        """Validation rows by whose labels the best epoch was chosen; None for models that have one (Pop, ItemKNN)."""
        return None if self.model.type == ModelType.TRADITIONAL else len(dataset_of(self.loaders.valid).inter_feat)


@dataclass(frozen=True)
class PresplitFiles:
    """Rows for a RecBole model, as :func:`~recbole_apa.data.presplit_files.write_presplit` writes them."""

    folder: Path
    """Contains the folder ``presplit``."""
    item_columns: Sequence[str]
    """Of the ``.item`` file, besides the id."""
    history_length: int
    """Maximum number of items in a row's ``item_id_list``."""
    layout: Layout = field(default_factory=Layout)
    """How the files are written."""


def train_baseline(
    model: str, files: PresplitFiles, seed: int, options: Mapping[str, object] | None = None
) -> TrainedBaseline:
    """Train a RecBole model on pre-split files.

    General and sequential models learn from the liked rows, context-aware ones and DIN from labels. The best
    epoch is chosen by the AUC on the validation rows.

    Args:
        options: RecBole's, and :mod:`~recbole_apa.pipeline.patience`'s; they take precedence over those set here to
            have the same rows.

    Raises:
        SettingsError: no such model.
        DataError: the model is sequential, but an item id contains the separator of histories.
    """
    given = dict(options or {})
    most_rows: Any = given.pop(STOPPING_ROWS, None)
    trainer, loaders = _in_batches(model, {**_options(model, files, seed), **given})
    trainer.stopping_step = patience(trainer.stopping_step, most_rows, len(dataset_of(loaders.train).inter_feat))
    if trainer.config["MODEL_TYPE"] == ModelType.SEQUENTIAL:
        data = dataset_of(loaders.train)
        files.layout.check_items(data.field2id_token[data.iid_field][1:])
    start = time.perf_counter()
    fit_baseline(trainer, loaders, show_progress=False)
    seconds = time.perf_counter() - start
    return TrainedBaseline(trainer.model, trainer, loaders, seconds, _learns_labels(trainer))


def check_baseline_options(model: str, options: Mapping[str, object]) -> None:
    """
    Raises:
        SettingsError: a model has no such option, or not this value.
    """
    check_stopping_rows(options)
    own = {name: value for name, value in options.items() if name != STOPPING_ROWS}
    APAConfig(model, NAME, None, {"data_path": NAME, "train_neg_sample_args": None, **own})


def _in_batches(model: str, options: Mapping[str, object]) -> "tuple[Trainer, Loaders]":
    """RecBole's trainer and the loaders; where the model normalises batches, without a last batch of one row, which it
    cannot."""
    trainer, loaders = _prepare(model, options)
    given = trainer.config["train_batch_size"]
    size = batch_without_single(len(dataset_of(loaders.train).inter_feat), given)
    normalises = any(isinstance(part, nn.BatchNorm1d) for part in trainer.model.modules())
    if size == given or not normalises or not _learns_labels(trainer):
        return trainer, loaders
    trainer.tensorboard.close()
    return _prepare(model, {**options, "train_batch_size": size})


def _learns_labels(trainer: "Trainer") -> bool:
    return trainer.config["MODEL_TYPE"] == ModelType.CONTEXT or learns_labelled_sequences(type(trainer.model))


def fit_baseline(trainer: "Trainer", loaders: "Loaders", show_progress: bool) -> dict[str, float]:
    """Train as RecBole does and load the best state.

    Returns:
        RecBole's metrics of that state on the validation rows; empty if it has none.
    """
    with closing(trainer.tensorboard):  # its thread and its open file would outlive a folder that is deleted
        _, result = trainer.fit(loaders[0], loaders[1], show_progress=show_progress)
    if Path(trainer.saved_model_file).is_file():
        _load_best(trainer)
    return result or {}


def _load_best(trainer: "Trainer") -> None:
    """Load the best state that ``trainer`` wrote in this process.

    Raises:
        SettingsError: another process wrote the file.
    """
    checkpoint = load(trainer.saved_model_file, map_location=trainer.device)
    trainer.model.load_state_dict(checkpoint["state_dict"])
    trainer.model.load_other_parameter(checkpoint.get("other_parameter"))


def train_embeddings(
    model: str, folder: Path, seed: int, layout: Layout | None = None
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Vectors of users and items, by token, from a RecBole model trained only on training rows, without validation.

    Args:
        model: ``BPR`` or ``LightGCN``.
        folder: contains the files of :func:`~recbole_apa.data.presplit_files.write_presplit`.
    """
    fixed = _options(model, PresplitFiles(folder, (), 1, layout or Layout()), seed)
    only_training = {"benchmark_filename": [LIKES, "train", "train"], "epochs": EMBEDDING_EPOCHS}
    trainer, loaders = _prepare(model, {**fixed, **only_training})
    with closing(trainer.tensorboard):
        trainer.fit(loaders[0], None, verbose=False, saved=False, show_progress=False)
    data = dataset_of(loaders.train)
    with torch.no_grad():
        built = trainer.model
        tables = built() if model == "LightGCN" else (built.user_embedding.weight, built.item_embedding.weight)
    names = (data.field2id_token[field] for field in (data.uid_field, data.iid_field))
    users, items = (
        {str(name): row.detach().cpu() for name, row in zip(tokens[1:], table[1:], strict=True)}
        for tokens, table in zip(names, tables, strict=True)
    )
    return users, items


def _prepare(model: str, options: Mapping[str, object]) -> "tuple[Trainer, Loaders]":
    """RecBole's trainer, with its model, and the loaders."""
    SequentialDataset.item_id_list_field = _HistoryField()
    config = APAConfig(model, NAME, None, options)
    built, loaders = build(config)
    return make_baseline_trainer(config, built), loaders


def make_baseline_trainer(config: APAConfig, model: "AbstractRecommender") -> "Trainer":
    """RecBole's trainer for one of its models."""
    with places_of(config):
        trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    trainer.evaluator = PatientEvaluator(config)
    # RecBole's file name is unique only to the second: two runs would write, and load, the same file
    saved = Path(trainer.saved_model_file)
    trainer.saved_model_file = str(saved.with_stem(f"{saved.stem}-{secrets.token_hex(4)}"))
    return trainer


class _HistoryField:
    """RecBole looks for the histories of pre-split rows in an attribute that it sets only if items are called
    ``item_id``; if it sets it, its own attribute takes precedence over this one."""

    def __get__(self, dataset: "Dataset | None", owner: type | None = None) -> "str | _HistoryField":
        return self if dataset is None else getattr(dataset, f"{dataset.iid_field}_list_field")


def _options(model: str, files: PresplitFiles, seed: int) -> dict[str, object]:
    folder, layout = files.folder, files.layout
    known = APAConfig(model, NAME, None, {"data_path": str(folder), "train_neg_sample_args": None})
    kind, input_type = known["MODEL_TYPE"], getattr(known.model_class, "input_type", None)
    sequential = kind == ModelType.SEQUENTIAL
    columns = [layout.user, layout.item, layout.label, *([layout.item_list] if sequential else [])]
    likes = learns_likes(known.model_class)
    learnt = (SEQUENCES if likes else LABELLED_SEQUENCES) if sequential else LIKES if likes else "train"
    out: dict[str, Any] = {
        **layout.options(),
        "data_path": str(folder),
        "benchmark_filename": [learnt, VALID_SEQUENCES if sequential else "valid", "test"],
        "load_col": {"inter": columns, "item": [layout.item, *files.item_columns]},
        "threshold": None,
        "metrics": ["AUC"],
        "valid_metric": "AUC",
        "eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "TO", "group_by": None, "mode": "labeled"},
        "checkpoint_dir": str(folder / "checkpoints"),
        "show_progress": False,
        "seed": seed,
    }
    if sequential:
        out |= {"alias_of_item_id": [layout.item_list], "MAX_ITEM_LIST_LENGTH": files.history_length}
    if kind == ModelType.CONTEXT or (sequential and input_type != InputType.PAIRWISE):
        out["train_neg_sample_args"] = None
    return out


@torch.no_grad()
def baseline_scores(trained: TrainedBaseline, split: int, samples: AnyRows) -> np.ndarray:
    """Scores of the rows of a split (0 train, 1 valid, 2 test), in the samples' order, (n,).

    Raises:
        RunError: the loader's rows are not the samples.
    """
    loader = trained.loaders[split]
    trained.model.eval()
    scores: list[Tensor] = []
    rows: list[tuple[str, str]] = []
    dataset = dataset_of(loader)
    for batch in loader:
        interaction = batch[0]
        found = trained.model.predict(interaction.to(trained.trainer.device))
        scores.append(torch.as_tensor(found).flatten().float().cpu())
        rows += zip(
            # not id2token, which returns a string for a single row
            *(
                dataset.field2id_token[f][interaction[f].numpy()].tolist()
                for f in (dataset.uid_field, dataset.iid_field)
            ),
            strict=True,
        )
    if rows != [(s.user_id, s.item_id) for s in samples]:
        raise RunError("RecBole's loader gave rows other than the samples, or in another order")
    out: np.ndarray = torch.cat(scores).numpy()
    return out
