"""Predictions from collaborative statistics alone, without a language model."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from recbole_apa.collaborative.contents import NOTHING, Contents
from recbole_apa.collaborative.folds import user_folds
from recbole_apa.collaborative.item_sums import ItemSums
from recbole_apa.collaborative.logistic import Logistic, left_out_scores
from recbole_apa.collaborative.options import TermOptions
from recbole_apa.collaborative.pair_sums import PairSums
from recbole_apa.collaborative.pasts import Pasts, pasts_of
from recbole_apa.collaborative.rows import ItemCodes, TrainingRows, training_rows
from recbole_apa.collaborative.terms import collaborative_terms, looked_at, pairs_of, strongest, term_names
from recbole_apa.data.run_data import RunData

_MOST_ROWS = 1 << 20
"""Rows of pasts that terms are computed for at a time."""


@dataclass(frozen=True)
class Source:
    """What terms are derived from."""

    rows: TrainingRows
    """All rows of the training period."""
    items: ItemSums
    options: TermOptions
    contents: Contents = NOTHING

    @classmethod
    def of(
        cls, data: RunData, options: TermOptions, contents: Contents = NOTHING, codes: ItemCodes | None = None
    ) -> "Source":
        """From a run's visible rows.

        Args:
            contents: of the items that have codes.
            codes: of items, also of some without rows; None takes those of ``data.rows``.
        """
        rows, names = training_rows(data, options.use_ratings, codes), (codes or data.rows.items).names
        return cls(rows, ItemSums.of(rows, len(names)), options, contents)

    @property
    def names(self) -> tuple[str, ...]:
        """The terms."""
        return term_names(self.contents)

    def table(self, pasts: Pasts, left_out: TrainingRows | None = None) -> np.ndarray:
        """Terms of some targets, (n, f). Sums of pairs are computed for a block of targets at a time, and dropped.

        Args:
            left_out: rows of whole users whom nothing is to rest on; None leaves out nobody.
        """
        pasts = looked_at(pasts, self.options)
        out, items = np.empty((len(pasts), len(self.names))), self.items
        if left_out is not None:
            items = items.minus(ItemSums.of(left_out, len(items.n)))
        for some in _blocks(pasts):
            block = pasts.take(some)
            pairs = PairSums.of(self.rows, wanted := pairs_of(block)[0])
            if left_out is not None:
                pairs = pairs.minus(PairSums.of(left_out, wanted))
            out[some] = collaborative_terms(block, items, pairs, self.options, self.contents).table(self.names)
        return out

    def strongest(self, pasts: Pasts) -> np.ndarray:
        """As :func:`~recbole_apa.collaborative.terms.strongest`, of some targets whose users nothing was learnt from
        with them, (n,)."""
        pasts = looked_at(pasts, self.options)
        return strongest(pasts, self.items, PairSums.of(self.rows, pairs_of(pasts)[0]), self.options)


@dataclass(frozen=True)
class Alone:
    """A combination of terms that was fitted on validation samples."""

    source: Source
    fitted: Logistic
    left_out: np.ndarray
    """Scores of the validation samples, each by a fit without the samples of its user and of some others, (v,); NaN if
    all users are in one fold."""

    @classmethod
    def fit(cls, source: Source, data: RunData, ridge: float = 1.0) -> "Alone":
        """Fit on the run's validation samples, in order of their ids.

        Raises:
            ValueError: there are none.
        """
        targets = data.targets["valid"]
        if not len(targets):
            raise ValueError("found no validation sample; expected some to fit the combination on")
        order = np.argsort(np.array(data.rows.row_ids(targets)), kind="stable")
        fitted_on = targets[order]
        table = source.table(pasts_of(data, fitted_on, source.options.use_ratings))
        labels, folds = data.rows.labels[fitted_on], user_folds(data.rows.users.texts(fitted_on))
        left_out = np.full(len(targets), np.nan)
        if len(np.unique(folds)) > 1:
            left_out[order] = left_out_scores(table, labels, folds, ridge)
        return cls(source, Logistic.fit(table, labels, ridge), left_out)

    def scores(self, pasts: Pasts) -> np.ndarray:
        """Probabilities of a like, (n,)."""
        return self.fitted.scores(self.source.table(pasts))


def _blocks(pasts: Pasts) -> Iterator[np.ndarray]:
    """Targets with the same item together."""
    order = np.argsort(pasts.items, kind="stable")
    if not len(order):
        return
    numbers = (np.cumsum(pasts.lengths[order]) - 1) // _MOST_ROWS
    yield from np.split(order, np.flatnonzero(np.diff(numbers)) + 1)
