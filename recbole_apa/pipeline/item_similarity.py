"""Scores from a user's past by the similarities of items that some of RecBole's models learn."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from recbole_apa.core.errors import SettingsError
from recbole_apa.data.loaders import dataset_of

if TYPE_CHECKING:
    from recbole_apa.pipeline.recbole_models import TrainedBaseline

TABLES = {"ItemKNN": "w", "EASE": "item_similarity"}
"""Models that score an item by its similarities to the items that a user liked -> where the model keeps them."""


def past_scores(trained: "TrainedBaseline", pasts: Sequence[Sequence[str]], items: Sequence[str]) -> np.ndarray:
    """The sum over the items of each past of their similarity to the target, as the model scores users that it knows,
    (n,).

    Args:
        trained: one of ``TABLES``.
        pasts: liked items before each target, (n,); each item counts once, one that the model
            does not know not at all.
        items: targets, (n,).

    Raises:
        SettingsError: the model's options make it compare users.
    """
    similar, data = _similarities(trained), dataset_of(trained.loaders.train)
    number = data.field2token_id[data.iid_field]

    def told() -> Iterator[float]:
        for past, item in zip(pasts, items, strict=True):
            known = np.unique([number[name] for name in past if name in number]).astype(np.int64)
            yield _sum_of(similar, known, number[item])

    return np.fromiter(told(), dtype=np.float64, count=len(items))


def _sum_of(similar: "np.ndarray | sp.csc_matrix", rows: np.ndarray, column: int) -> float:
    if isinstance(similar, np.ndarray):
        return float(similar[rows, column].sum())
    cells = slice(similar.indptr[column], similar.indptr[column + 1])
    return float(similar.data[cells][np.isin(similar.indices[cells], rows)].sum())


def _similarities(trained: "TrainedBaseline") -> "np.ndarray | sp.csc_matrix":
    """Row: an item of the past; column: a target; (m, m)."""
    name = type(trained.model).__name__
    if name == "ItemKNN" and trained.trainer.config["knn_method"] != "item":
        raise SettingsError(
            f"knn_method: found {trained.trainer.config['knn_method']!r}, expected 'item' to score a past by its items"
        )
    table = getattr(trained.model, TABLES[name])
    return sp.csc_matrix(table) if sp.issparse(table) else np.asarray(table)
