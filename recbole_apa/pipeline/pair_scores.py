"""Scores that a trained RecBole model gives to any pairs of user and item."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from recbole.data.interaction import Interaction
from torch import Tensor

from recbole_apa.data.loaders import dataset_of
from recbole_apa.pipeline.recbole_models import TrainedBaseline

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset

_PAIRS = 4096
"""Pairs that are scored at a time."""


@torch.no_grad()
def pair_scores(trained: TrainedBaseline, users: Sequence[str], items: Sequence[str]) -> np.ndarray:
    """Scores of any pairs of user and item, (n,). Users and items that the model has not seen have the vector of
    RecBole's filling, which nothing was learnt for."""
    dataset = dataset_of(trained.loaders.train)
    trained.model.eval()
    scores: list[np.ndarray] = [np.zeros(0, dtype=np.float32)]
    for begin in range(0, len(users), _PAIRS):
        some = slice(begin, begin + _PAIRS)
        columns = {dataset.uid_field: users[some], dataset.iid_field: items[some]}
        ids = {field: _numbers(dataset, field, names) for field, names in columns.items()}
        found = trained.model.predict(dataset.join(Interaction(ids)).to(trained.trainer.device))
        scores.append(torch.as_tensor(found).flatten().float().cpu().numpy())
    return np.concatenate(scores)


def _numbers(dataset: "Dataset", field: str, names: Sequence[str]) -> Tensor:
    """The number of each name, (n,); 0, RecBole's filling, for one that the dataset does not have."""
    known = dataset.field2token_id[field]
    return torch.tensor([int(known.get(name, 0)) for name in names], dtype=torch.int64)
