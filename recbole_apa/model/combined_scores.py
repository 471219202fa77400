"""The scores of a trained APA and the collaborative statistics of its run together.

Shapes: n samples of a split, in its dataset's order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from recbole_apa.backbone.text_states import TextStates
from recbole_apa.collaborative import (
    ALONE,
    JUDGED,
    MODEL,
    NOTHING,
    Contents,
    CountedRows,
    Fitted,
    ItemCodes,
    Pasts,
    Source,
    Targets,
    left_out,
    pasts_with,
    targets_of,
    training_rows,
)
from recbole_apa.core.collaborative_settings import CollaborativeSettings
from recbole_apa.core.errors import RunError
from recbole_apa.data.dataset import APADataset
from recbole_apa.data.item_text import columns_digest
from recbole_apa.data.run_data import RunData
from recbole_apa.data.splits import EVIDENCE, SPLITS
from recbole_apa.data.tokens import Tokens
from recbole_apa.model.apa import APA
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
    contents: Contents
    """Of the items that the statistics count."""
    settings: CollaborativeSettings
    """What of it is used."""
    text_states: TextStates
    """Gives the states of other items, if they are used."""

    @classmethod
    def load(cls, store: RunStore, data: RunData, model: APA) -> "CombinedScores":
        """What a finished run keeps.

        Args:
            model: the run's, which is asked for states of items that the run keeps none of.

        Raises:
            RunError: missing, damaged, of other items or samples, or the items' columns have changed.
        """
        codes, settings = codes_of(store, data), model.settings.collaborative
        fitted = load_collaborative(store, codes)
        contents = Contents.of(settings, data.texts, codes.names, fitted.states)
        if fitted.content != contents.digest():
            raise RunError(
                f"{store.place}: {_named(settings)} of the items are not those that the run's statistics were combined "
                "with; restore the .item file"
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
        if fitted.models and fitted.n_further != len(data.evidence_rows):
            raise RunError(
                f"{store.place}: its evidence has terms of {fitted.n_further} further rows, expected "
                f"{len(data.evidence_rows)}; restore the run folder from a copy"
            )
        states = contents.states
        known = dict(zip(contents.texts, states.values, strict=True)) if states else {}
        return cls(fitted, data, contents, settings, TextStates(model.engine, known))

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
        :class:`~recbole_apa.collaborative.Combination`; of validation samples by fits that left their users out, on the
        scores that the combination was fitted on.

        Args:
            part: all samples of one of the two splits.
            model_scores: (n,), of the configured aggregation.

        Raises:
            RunError: other samples.
        """
        split, combined, order = self._split_of(part), self.fitted.combination, sample_order(part.samples)
        if combined is None:
            return {MODEL: model_scores}
        targets = self._targets(split)
        table = self.fitted.features(split, targets.pasts, self.contents)
        if split == SPLITS[1]:
            further = self.fitted.further(self._targets(EVIDENCE), self.contents)
            found = left_out(table, self.fitted.scores[split], targets.labels, targets.users, further)
        else:
            found = combined.scores(table, model_scores[order].astype(np.float64))
        return {**{name: _in_place(order, values) for name, values in found.items()}, MODEL: model_scores}

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
        return combined.scores(self.table_of_pairs(pairs, terms), model_scores)[self.served]

    def table_of_pairs(self, pairs: Sequence[AskedPair], terms: np.ndarray | None = None) -> np.ndarray:
        """All that is combined of any pairs besides the model's scores, (n, f).

        Args:
            terms: as in :meth:`served_of_pairs`.
        """
        codes, pasts, source = self._asked(pairs)
        table = np.empty((len(pairs), len(source.names)))
        alone = [place for place, pair in enumerate(pairs) if pair.is_learnt]
        others = np.setdiff1d(np.arange(len(pairs)), alone)
        table[others] = source.table(pasts.take(others))
        for place in alone:
            own = training_rows(self.data, self.fitted.options.use_ratings, codes, pairs[place].user)
            table[[place]] = source.table(pasts.take(np.array([place])), own)
        return table if terms is None else np.column_stack([table, terms])

    def strongest_of_pairs(self, pairs: Sequence[AskedPair]) -> list[int | None]:
        """The row of each pair's past that speaks most for the item, by what similar items say, (n,): a number among
        the rows of the run's data; None if none speaks for it. Pairs that the run has not learnt from."""
        _, pasts, source = self._asked(pairs)
        steps = source.strongest(pasts).tolist()
        return [int(pair.past[-step]) if step else None for pair, step in zip(pairs, steps, strict=True)]

    def _asked(self, pairs: Sequence[AskedPair]) -> tuple[ItemCodes, Pasts, Source]:
        codes = self.fitted.statistics.codes.with_names(pair.item for pair in pairs)
        items, shown = codes.of(Tokens.of([pair.item for pair in pairs])), [pair.past for pair in pairs]
        pasts = pasts_with(self.data, items, shown, self.fitted.options.use_ratings, codes)
        return codes, pasts, self._source_of(codes, pasts)

    def coefficient(self, term: str) -> float:
        """How much a term counts in what is served; 0 if that rests on the language model alone."""
        combined = self.fitted.combination
        if combined is None or self.served == MODEL:
            return 0.0
        found = combined.alone.coefficients if self.served == ALONE else combined.both_coefficients
        return float(found[combined.terms.index(term)])

    def _targets(self, name: str) -> Targets:
        statistics = self.fitted.statistics
        return Targets.of([self.data], name, statistics.codes, statistics.use_ratings)

    @cached_property
    def _source(self) -> Source:
        return Source.of(self.data, self.fitted.options, self.contents, self.fitted.statistics.codes)

    def _source_of(self, codes: ItemCodes, pasts: Pasts) -> Source:
        """What the terms of any targets are derived from.

        Args:
            codes: of their items.
        """
        is_new, texts = codes is not self.fitted.statistics.codes, self.data.texts
        source = Source.of(self.data, self.fitted.options, NOTHING, codes) if is_new else self._source
        if not is_new and not self.settings.uses_states:
            return source
        asked = np.union1d(pasts.items, pasts.past_items)
        return replace(source, contents=Contents.embedded(self.settings, texts, codes.names, asked, self.text_states))

    def with_test_scores(self, part: APADataset, model_scores: np.ndarray) -> "CombinedScores":
        """The same, with the model's scores of the test samples to be kept.

        Args:
            part: the test samples.
            model_scores: (n,).
        """
        scores = {**self.fitted.scores, SPLITS[2]: by_id(part, model_scores)}
        return replace(self, fitted=replace(self.fitted, scores=scores))

    def refitted(self, part: APADataset, model_scores: np.ndarray) -> "CombinedScores":
        """The same statistics, combined with other scores of the model.

        Args:
            part: the validation samples.
            model_scores: theirs, (n,).
        """
        statistics, options = self.fitted.statistics, self.fitted.options
        scores = {**self.fitted.scores, SPLITS[1]: by_id(part, model_scores)}
        targets = targets_of([self.data], statistics.codes, options)
        again = Fitted.refit(statistics, targets, scores, options, self.contents)
        return replace(self, fitted=replace(again, columns=self.fitted.columns))

    def _split_of(self, part: APADataset) -> str:
        found = {s.sample_id for s in part.samples}
        for split in JUDGED:
            if found == set(self.data.rows.row_ids(self.data.targets[split])):
                return split
        raise RunError(
            f"found {len(found)} samples that are not the run's validation or test samples; expected those: pairs of "
            "items are counted for them"
        )


def codes_of(store: RunStore | None, data: RunData) -> ItemCodes:
    """The numbers of a run's items: those of its index; without one, those of its rows."""
    has_index = store is not None and store.has_index()
    return ItemCodes(store.open_index().items.names if store and has_index else data.rows.items.names)


def by_id(part: APADataset, scores: np.ndarray) -> np.ndarray:
    """Scores in order of sample id, float64."""
    return scores[sample_order(part.samples)].astype(np.float64)


def _in_place(order: list[int], values: np.ndarray) -> np.ndarray:
    """Values in order of sample id, in the order of their dataset."""
    out = np.empty_like(values)
    out[order] = values
    return out


def _named(settings: CollaborativeSettings) -> str:
    """What of the items terms rest on, in words."""
    columns = [f"the columns {', '.join(settings.columns)}"] if settings.columns else []
    return " and ".join([*columns, *["the texts"] * settings.uses_states]) or "the columns"
