"""The scores of a trained APA and the collaborative statistics of its run together.

Shapes: n samples of a split, in its dataset's order.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from recbole_apa.collaborative import (
    MODEL,
    Fitted,
    ItemCodes,
    ItemContent,
    Targets,
    TermOptions,
    left_out,
)
from recbole_apa.core.settings import CollaborativeSettings
from recbole_apa.data.dataset import APADataset
from recbole_apa.data.item_text import ItemTexts
from recbole_apa.data.run_data import RunData
from recbole_apa.model.lineage import sample_order
from recbole_apa.runs.collaborative_files import load_collaborative
from recbole_apa.runs.store import RunStore

VALID = "valid"
NO_ITEMS = ItemCodes(())


@dataclass(frozen=True)
class CombinedScores:
    """What a run keeps of collaborative statistics, and what its terms are derived from."""

    fitted: Fitted
    data: RunData
    """All that the run may see."""
    content: ItemContent | None
    """Of the items that the statistics count."""

    @classmethod
    def fit(
        cls, data: RunData, codes: ItemCodes, settings: CollaborativeSettings, part: APADataset, valid_scores: Tensor
    ) -> "CombinedScores":
        """Count all rows, and fit the combination on the validation samples.

        Args:
            codes: of all items.
            part: the validation samples.
            valid_scores: of the model, (n,), by neighbours of other users.

        Raises:
            DataError: ``evidence_columns`` names a column that the items do not have.
        """
        content = content_of(data.texts, codes, settings)
        scores = {VALID: _by_id(part, valid_scores.numpy())}
        return cls(Fitted.anew([data], codes, scores, TermOptions(), content), data, content)

    @classmethod
    def load(
        cls, store: RunStore, data: RunData, settings: CollaborativeSettings, n_samples: Mapping[str, int]
    ) -> "CombinedScores":
        """What a finished run keeps.

        Args:
            n_samples: of each split.

        Raises:
            RunError: missing, damaged, or of other items or samples.
        """
        codes = codes_of(store, data)
        content = content_of(data.texts, codes, settings)
        return cls(load_collaborative(store, codes, n_samples), data, content)

    @property
    def served(self) -> str:
        """Which scores are served: :attr:`Fitted.served`."""
        return self.fitted.served

    def scores_of(self, split: str, part: APADataset, model_scores: np.ndarray) -> dict[str, np.ndarray]:
        """All scores of the samples of a split by name, (n,) each: the model's, and those of
        :class:`~recbole_apa.collaborative.Combination`; of validation samples by fits that left their users out.

        Args:
            split: ``valid`` or ``test``.
            part: all its samples.
            model_scores: (n,).
        """
        combined, order = self.fitted.combination, sample_order(part.samples)
        if combined is None:
            return {MODEL: model_scores}
        targets = self._targets(split)
        table = self.fitted.table(targets.pasts, self.content)
        scores = model_scores[order].astype(np.float64)
        if split == VALID:
            found = left_out(table, scores, targets.labels, targets.users)
        else:
            found = combined.scores(table, scores)
        return {name: _in_place(order, values) for name, values in found.items()}

    def served_of(self, split: str, part: APADataset, model_scores: np.ndarray) -> np.ndarray:
        """The scores of :meth:`scores_of` that are served."""
        return self.scores_of(split, part, model_scores)[self.served]

    def with_scores(self, split: str, part: APADataset, model_scores: np.ndarray) -> "CombinedScores":
        """The same, with the model's scores of a split's samples to be kept."""
        scores = {**self.fitted.scores, split: _by_id(part, model_scores)}
        return replace(self, fitted=replace(self.fitted, scores=scores))

    def _targets(self, split: str) -> Targets:
        statistics = self.fitted.statistics
        return Targets.of([self.data], split, statistics.codes, statistics.use_ratings)


def codes_of(store: RunStore | None, data: RunData) -> ItemCodes:
    """The numbers of a run's items: those of its index; without one, those of its rows."""
    has_index = store is not None and store.has_index()
    return ItemCodes(store.open_index().items.names if store and has_index else data.rows.items.names)


def content_of(texts: ItemTexts, codes: ItemCodes, settings: CollaborativeSettings) -> ItemContent | None:
    """What the columns that ``evidence_columns`` names say about items; None without any.

    Raises:
        DataError: the items have no such column.
    """
    columns = settings.evidence_columns
    return ItemContent.of_columns(texts, codes.names, *columns) if columns else None


def _by_id(part: APADataset, scores: np.ndarray) -> np.ndarray:
    """Scores in order of sample id, float64."""
    return scores[sample_order(part.samples)].astype(np.float64)


def _in_place(order: list[int], values: np.ndarray) -> np.ndarray:
    """Values in order of sample id, in the order of their dataset."""
    out = np.empty_like(values)
    out[order] = values
    return out
