"""RecBole's models on the same users, targets and mask as a run of APANext.

General models are trained by RecBole. Of its sequential models RecBole makes a row of every prefix, which takes hours;
two of its networks are trained on all positions of a history at once instead, and their rows are named so.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from recbole.data.interaction import Interaction
from recbole.utils import ModelType
from torch import Tensor

from recbole_apa.core.errors import SettingsError
from recbole_apa.data.loaders import dataset_of
from recbole_apa.data.presplit_files import Layout, PresplitRow, write_presplit
from recbole_apa.next_item.data import NextItemData
from recbole_apa.next_item.ranking import RankedSplit
from recbole_apa.next_item.run.figures import Scorer, figures_of, table_of
from recbole_apa.next_item.run.left_rows import folder_of_rows
from recbole_apa.next_item.run.opened import NextItemRun
from recbole_apa.next_item.sequential.network import MODELS
from recbole_apa.next_item.sequential.training import train_sequential
from recbole_apa.pipeline.recbole_models import NAME, PresplitFiles, TrainedBaseline, train_baseline
from recbole_apa.pipeline.recbole_names import find_model

_KINDS = frozenset({ModelType.GENERAL, ModelType.TRADITIONAL})
_MEASURE = "NDCG@10"
ALL_POSITIONS = "-all-positions"
"""Behind the name of a model that is trained so."""
_EXPECTED = (
    "expected RecBole's general models (Pop, ItemKNN, EASE, BPR, LightGCN, ...) or, of its sequential models, "
    f"{' and '.join(MODELS)}, which one pass trains on all positions"
)
AT_ONCE = 256
"""Users scored together."""


def refuse_names(names: Sequence[str]) -> None:
    """
    Raises:
        SettingsError: no such model, or one that cannot be a row here.
    """
    for name in (_plain(name) for name in names):
        if name in MODELS:
            continue
        try:
            fits = find_model(name, MODELS).type in _KINDS
        except SettingsError as error:
            raise SettingsError(f"--compare: {error}; {_EXPECTED}") from None
        if not fits:
            raise SettingsError(
                f"--compare: found {name}, {_EXPECTED}; of the others RecBole makes a row of every prefix, which takes "
                "hours here"
            )


def add_baselines(run: NextItemRun, names: Sequence[str]) -> None:
    """Train RecBole's models on the training periods of the run's users, and add their rows to figures and table.

    Early stopping looks at the validation targets: of general models by RecBole's own full ranking, of sequential ones
    by the ranking that gives the figures. Figures are taken with the mask of all other rows.
    """
    seconds: dict[str, float] = {}
    notes: list[str] = []
    with rows_as_files(run.data) as folder:
        for name in (_plain(name) for name in names):
            start = time.perf_counter()
            title, scorer = _sequential(run, name, notes) if name in MODELS else (name, _general(run, folder, name))
            run.figures |= figures_of(run.options, run.data, {title: scorer})
            seconds[title] = round(time.perf_counter() - start, 1)
    run.table = "\n".join([table_of(run.figures, seconds), *notes, *run.notes])


def _plain(name: str) -> str:
    """A model's name, also where the title of its row is given."""
    return name.strip().removesuffix(ALL_POSITIONS)


def _general(run: NextItemRun, folder: Path, name: str) -> Scorer:
    trained = train_on(folder, name, run.options.settings.seed)
    return partial(scores_of, trained, run.data)


def _sequential(run: NextItemRun, name: str, notes: list[str]) -> tuple[str, Scorer]:
    options = run.options
    settings = options.settings
    trained = train_sequential(name, run.data, settings.history_length, settings.seed, options.device)
    title = f"{name}{ALL_POSITIONS}"
    notes.append(
        f"{title}: RecBole's network and hyperparameters, the last {settings.history_length} items, Adam at a rate of "
        f"{trained.network.config['learning_rate']}; the best of {trained.n_epochs} epochs is number "
        f"{trained.best_epoch}"
    )
    return title, trained.scores_of


def train_on(folder: Path, name: str, seed: int) -> TrainedBaseline:
    """Train one of RecBole's models.

    Args:
        folder: as :func:`rows_as_files` gives it.
    """
    options = {
        "metrics": ["NDCG"],
        "topk": [10],
        "valid_metric": _MEASURE,
        "eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "TO", "group_by": "user", "mode": "full"},
    }
    return train_baseline(name, PresplitFiles(folder, (), 1), seed, options)


@contextmanager
def rows_as_files(data: NextItemData) -> Iterator[Path]:
    """The rows as RecBole's pre-split files, in a folder that is deleted afterwards."""
    with folder_of_rows() as folder:
        splits: dict[str, list[PresplitRow]] = {"train": [], "valid": [], "test": []}
        for sequence in data.sequences:
            splits["train"] += [PresplitRow(sequence.user, item, 1, ()) for item in sequence.trained]
            for name, item in (("valid", sequence.valid), ("test", sequence.test)):
                splits[name] += [PresplitRow(sequence.user, item, 1, ())] if item is not None else []
        write_presplit(folder, NAME, splits, folder / "none", Layout())
        _write_items(folder / NAME / f"{NAME}.item", data)
        yield folder


def _write_items(path: Path, data: NextItemData) -> None:
    """So that RecBole's models know every item of the catalogue."""
    lines = ["item_id:token", *data.catalogue.items]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


@torch.no_grad()
def scores_of(trained: TrainedBaseline, data: NextItemData, split: RankedSplit) -> Tensor:
    """Scores in the catalogue's order, (b, m); the least score for an item or a user that the model does not know."""
    dataset = dataset_of(trained.loaders.train)
    user_field, item_field = dataset.uid_field, dataset.iid_field
    numbers = {str(token): number for number, token in enumerate(dataset.field2id_token[item_field])}
    known_users = {str(token): number for number, token in enumerate(dataset.field2id_token[user_field])}
    columns = torch.tensor([numbers.get(item, 0) for item in data.catalogue.items])
    users = torch.tensor([known_users.get(sequence.user, 0) for sequence in split.sequences])
    trained.model.eval()
    parts = []
    for part in users.split(AT_ONCE):
        asked = Interaction({user_field: part}).to(trained.trainer.device)
        found = torch.as_tensor(trained.model.full_sort_predict(asked)).view(len(part), -1).double().cpu()
        parts.append(found[:, columns])
    return torch.cat(parts)
