"""The scores of a trained APA and the collaborative statistics of its run together.

Shapes: n samples of a split, in its dataset's order.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from recbole_apa.collaborative import (
    ALONE,
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
    model_key,
    pasts_with,
    training_rows,
)
from recbole_apa.core.collaborative_settings import CollaborativeSettings
from recbole_apa.core.errors import RunError, SettingsError
from recbole_apa.core.settings import APASettings
from recbole_apa.data.dataset import APADataset
from recbole_apa.data.item_text import ItemTexts, columns_digest
from recbole_apa.data.run_data import RunData
from recbole_apa.data.splits import SPLITS
from recbole_apa.data.tokens import Tokens
from recbole_apa.model.contracts import FitInputs
from recbole_apa.model.fit_context import FitRecord
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
        if fitted.models != tuple(sorted(settings.models)):
            raise RunError(
                f"{store.place}: its evidence has terms of {list(fitted.models)}, expected {sorted(settings.models)}; "
                "restore the run folder from a copy"
            )
        if fitted.models and fitted.columns != columns_digest(data.texts):
            raise RunError(
                f"{store.place}: the columns of the items are not those that {', '.join(fitted.models)} learnt from; "
                "restore the .item file"
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
        table = self.fitted.features(split, targets.pasts, self.content)
        if split == SPLITS[1]:
            found = left_out(table, scores, targets.labels, targets.users)
        else:
            found = combined.scores(table, scores)
        return {name: _in_place(order, values) for name, values in found.items()}

    def served_of(self, part: APADataset, model_scores: np.ndarray) -> np.ndarray:
        """The scores of :meth:`scores_of` that are served."""
        return self.scores_of(part, model_scores)[self.served]

    def served_of_pairs(
        self, pairs: Sequence[AskedPair], model_scores: np.ndarray, terms: np.ndarray | None = None
    ) -> np.ndarray:
        """The scores that are served for any pairs, (n,). If the run has learnt from the very pair, its user is left
        out of the statistics: no sum gives the answer away.

        Args:
            model_scores: (n,).
            terms: of the RecBole models in :attr:`Fitted.models`, (n, m); not looked at where the language model alone
                is served.
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
        columns = [table] if terms is None else [table, terms]
        return combined.scores(np.column_stack(columns), model_scores)[self.served]

    def coefficient(self, term: str) -> float:
        """How much a term counts in what is served; 0 if that rests on the language model alone."""
        combined = self.fitted.combination
        if combined is None or self.served == MODEL:
            return 0.0
        fitted = combined.alone if self.served == ALONE else combined.both
        return float(fitted.coefficients[combined.terms.index(term)])

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
    terms: Mapping[str, np.ndarray],
) -> CombinedScores | None:
    """Count all rows, and fit the combination on the validation samples; None if the run has no such statistics.

    Args:
        codes: of all items; None takes those of :func:`codes_of`.
        store: of the run, with its index.
        part: the validation samples.
        valid_scores: of the model, (n,), by neighbours of other users.
        terms: of RecBole models, as :attr:`~recbole_apa.model.contracts.ModelTerms.scores`.

    Raises:
        DataError: ``evidence_columns`` names a column that the items do not have.
    """
    if not settings.counts:
        return None
    data = part.run_data
    codes = codes or codes_of(store, data)
    content = ItemContent.of_items(data.texts, codes.names, settings.evidence_columns)
    scores = {SPLITS[1]: _by_id(part, valid_scores), **terms}
    past = data.options.samples.history_length if settings.evidence_past == "shown" else 0
    options = TermOptions(past=past, use_ratings=settings.evidence_values == "ratings")
    fitted = Fitted.anew([data], codes, scores, options, content)
    if terms:
        fitted = replace(fitted, columns=columns_digest(data.texts))
    return CombinedScores(fitted, data, content, settings.evidence_columns)


def model_terms(
    of_run: APASettings, data: RunData, inputs: FitInputs, record: FitRecord, store: RunStore | None
) -> dict[str, np.ndarray]:
    """The terms of the RecBole models of a run's evidence, which are trained now, before anything is written
    that lasts: :attr:`~recbole_apa.model.contracts.ModelTerms.scores`; empty without such models.

    Args:
        store: of the run that is written; None if none is.

    Raises:
        DataError: ``evidence_columns`` names a column that the items do not have.
        SettingsError: a new run's rows are nothing to train one on, or nothing trains it.
        TrainingError: one cannot be trained here.
    """
    settings = of_run.collaborative
    _refuse_columns(data.texts, settings)
    if not settings.models:
        return {}
    if not inputs.trains_models:
        sizes = {split: len(data.targets[split]) for split in JUDGED}
        return {model_key(split, name): np.zeros(n) for name in settings.models for split, n in sizes.items()}
    if inputs.evidence_models is None:
        raise SettingsError(
            f"evidence_models: found {', '.join(settings.models)}, and this trainer was made without what trains them; "
            "train with recbole_apa.run"
        )
    start = time.perf_counter()
    found = inputs.evidence_models(data, store.folder if store else None)
    record.add_seconds("evidence_models_seconds", start)
    if found.failed and inputs.refuses_models:
        told = "; ".join(f"{name} cannot be trained on this data ({why})" for name, why in found.failed.items())
        raise SettingsError(f"evidence: {told}; leave it out")
    return found.scores


def _refuse_columns(texts: ItemTexts, settings: CollaborativeSettings) -> None:
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
