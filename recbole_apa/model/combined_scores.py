"""The scores of a trained APA and the collaborative statistics of its run together.

Shapes: n samples of a split, in its dataset's order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from recbole_apa.collaborative import (
    JUDGED,
    MODEL,
    CountedRows,
    Fitted,
    ItemCodes,
    ItemContent,
    Source,
    Targets,
    TermOptions,
    left_out,
    pasts_with,
    training_rows,
)
from recbole_apa.core.errors import RunError
from recbole_apa.core.settings import CollaborativeSettings
from recbole_apa.data.dataset import APADataset
from recbole_apa.data.item_text import ItemTexts
from recbole_apa.data.run_data import RunData
from recbole_apa.data.splits import SPLITS
from recbole_apa.data.tokens import Tokens
from recbole_apa.model.lineage import sample_order
from recbole_apa.runs.collaborative_files import load_collaborative
from recbole_apa.runs.store import RunStore


@dataclass(frozen=True)
class AskedPair:
    """A user and an item that a prediction is asked for."""

    user: str
    item: str
    past: np.ndarray
    """The user's rows that may be looked at, oldest first: numbers among the rows of the run's data."""
    is_learnt: bool
    """Whether the statistics may count a row of this very pair."""


@dataclass(frozen=True)
class CombinedScores:
    """What a run keeps of collaborative statistics, and what its terms are derived from."""

    fitted: Fitted
    data: RunData
    """All that the run may see."""
    content: ItemContent | None
    """Of the items that the statistics count."""
    columns: tuple[str, ...] | None = None
    """Where that is told: the option ``evidence_columns``."""

    @classmethod
    def load(cls, store: RunStore, data: RunData, settings: CollaborativeSettings) -> "CombinedScores":
        """What a finished run keeps.

        Raises:
            RunError: missing, damaged, of other items or samples, or the items' columns have changed.
        """
        codes = codes_of(store, data)
        content = ItemContent.of_items(data.texts, codes.names, settings.evidence_columns)
        fitted = load_collaborative(store, codes)
        if fitted.content != (content.digest() if content else ""):
            raise RunError(
                f"{store.place}: the columns {', '.join(settings.evidence_columns or ())} of the items are not those "
                "that the run's statistics were combined with; restore the .item file"
            )
        return cls(fitted, data, content, settings.evidence_columns)

    @property
    def served(self) -> str:
        """Which scores are served: :attr:`Fitted.served`."""
        return self.fitted.served

    def counted(self, secret: bytes) -> CountedRows:
        """Which rows the statistics are counted from.

        Args:
            secret: of the run's digests.
        """
        return CountedRows.of(self.data, secret, self.fitted.options.use_ratings)

    def scores_of(self, part: APADataset, model_scores: np.ndarray) -> dict[str, np.ndarray]:
        """All scores of validation or test samples by name, (n,) each: the model's, and those of
        :class:`~recbole_apa.collaborative.Combination`; of validation samples by fits that left their users out.

        Args:
            part: all samples of one of the two splits.
            model_scores: (n,).

        Raises:
            RunError: other samples.
        """
        split, combined, order = self._split_of(part), self.fitted.combination, sample_order(part.samples)
        if combined is None:
            return {MODEL: model_scores}
        statistics, scores = self.fitted.statistics, model_scores[order].astype(np.float64)
        targets = Targets.of([self.data], split, statistics.codes, statistics.use_ratings)
        table = self.fitted.table(targets.pasts, self.content)
        if split == SPLITS[1]:
            found = left_out(table, scores, targets.labels, targets.users)
        else:
            found = combined.scores(table, scores)
        return {name: _in_place(order, values) for name, values in found.items()}

    def served_of(self, part: APADataset, model_scores: np.ndarray) -> np.ndarray:
        """The scores of :meth:`scores_of` that are served."""
        return self.scores_of(part, model_scores)[self.served]

    def served_of_pairs(self, pairs: Sequence[AskedPair], model_scores: np.ndarray) -> np.ndarray:
        """The scores that are served for any pairs, (n,). If the run has learnt from the very pair, its user is left
        out of the statistics: nothing gives the answer away.

        Args:
            model_scores: (n,).
        """
        combined = self.fitted.combination
        if combined is None or self.served == MODEL:
            return model_scores
        known = self.fitted.statistics.codes
        codes = known.with_names(pair.item for pair in pairs)
        source = self._source if codes is known else self._source_of(codes)
        table = np.empty((len(pairs), len(source.names)))
        items, shown = codes.of(Tokens.of([pair.item for pair in pairs])), [pair.past for pair in pairs]
        pasts = pasts_with(self.data, items, shown, self.fitted.options.use_ratings, codes)
        alone = [place for place, pair in enumerate(pairs) if pair.is_learnt]
        others = np.setdiff1d(np.arange(len(pairs)), alone)
        table[others] = source.table(pasts.take(others))
        for place in alone:
            own = training_rows(self.data, self.fitted.options.use_ratings, codes, pairs[place].user)
            table[[place]] = source.table(pasts.take(np.array([place])), own)
        return combined.scores(table, model_scores)[self.served]

    @cached_property
    def _source(self) -> Source:
        return self._source_of(self.fitted.statistics.codes)

    def _source_of(self, codes: ItemCodes) -> Source:
        is_new = codes is not self.fitted.statistics.codes
        content = ItemContent.of_items(self.data.texts, codes.names, self.columns) if is_new else self.content
        return Source.of(self.data, self.fitted.options, content, codes)

    def with_test_scores(self, part: APADataset, model_scores: np.ndarray) -> "CombinedScores":
        """The same, with the model's scores of the test samples to be kept.

        Args:
            part: the test samples.
            model_scores: (n,).
        """
        scores = {**self.fitted.scores, SPLITS[2]: _by_id(part, model_scores)}
        return replace(self, fitted=replace(self.fitted, scores=scores))

    def _split_of(self, part: APADataset) -> str:
        found = {s.sample_id for s in part.samples}
        for split in JUDGED:
            if found == set(self.data.rows.row_ids(self.data.targets[split])):
                return split
        raise RunError(
            f"found {len(found)} samples that are not the run's validation or test samples; expected those: pairs of "
            "items are counted for them"
        )


def combined_of(
    settings: CollaborativeSettings,
    codes: ItemCodes | None,
    store: RunStore | None,
    part: APADataset,
    valid_scores: np.ndarray,
) -> CombinedScores | None:
    """Count all rows, and fit the combination on the validation samples; None if the run has no such statistics.

    Args:
        codes: of all items; None takes those of :func:`codes_of`.
        store: of the run, with its index.
        part: the validation samples.
        valid_scores: of the model, (n,), by neighbours of other users.

    Raises:
        DataError: ``evidence_columns`` names a column that the items do not have.
    """
    if not settings.counts:
        return None
    data = part.run_data
    codes = codes or codes_of(store, data)
    content = ItemContent.of_items(data.texts, codes.names, settings.evidence_columns)
    scores = {SPLITS[1]: _by_id(part, valid_scores)}
    fitted = Fitted.anew([data], codes, scores, TermOptions(), content)
    return CombinedScores(fitted, data, content, settings.evidence_columns)


def refuse_columns(texts: ItemTexts, settings: CollaborativeSettings) -> None:
    """
    Raises:
        DataError: ``evidence_columns`` names a column that the items do not have.
    """
    if settings.counts:
        ItemContent.of_items(texts, (), settings.evidence_columns)


def codes_of(store: RunStore | None, data: RunData) -> ItemCodes:
    """The numbers of a run's items: those of its index; without one, those of its rows."""
    has_index = store is not None and store.has_index()
    return ItemCodes(store.open_index().items.names if store and has_index else data.rows.items.names)


def _by_id(part: APADataset, scores: np.ndarray) -> np.ndarray:
    """Scores in order of sample id, float64."""
    return scores[sample_order(part.samples)].astype(np.float64)


def _in_place(order: list[int], values: np.ndarray) -> np.ndarray:
    """Values in order of sample id, in the order of their dataset."""
    out = np.empty_like(values)
    out[order] = values
    return out
