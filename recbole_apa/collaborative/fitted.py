"""What a run keeps of collaborative statistics: sums, its model's scores, and what is fitted on both."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from recbole_apa.collaborative.combination import MODEL, Combination, FurtherRows
from recbole_apa.collaborative.contents import Contents
from recbole_apa.collaborative.item_states import ItemStates
from recbole_apa.collaborative.options import TermOptions
from recbole_apa.collaborative.pair_sums import Pairs
from recbole_apa.collaborative.pasts import Pasts
from recbole_apa.collaborative.rows import ItemCodes
from recbole_apa.collaborative.statistics import Statistics
from recbole_apa.collaborative.targets import Targets
from recbole_apa.collaborative.terms import collaborative_terms, looked_at, pairs_of, term_names
from recbole_apa.core.errors import RunError
from recbole_apa.data.run_data import RunData
from recbole_apa.data.splits import EVIDENCE, SPLITS

VALID, TEST = SPLITS[1:]
JUDGED = (VALID, TEST)
"""The splits whose samples are judged."""
LOOKED_AT = (*JUDGED, EVIDENCE)
"""What pairs are kept for: their samples, and the further rows that evidence is fitted on."""


def model_key(split: str, name: str) -> str:
    """The name of a RecBole model's terms of a split's samples in :attr:`Fitted.scores`."""
    return f"{split}.{name}"


def splits_scored(n_further: int) -> tuple[str, ...]:
    """What RecBole models score: the samples that are judged and the further rows, if there are any."""
    return LOOKED_AT if n_further else JUDGED


def model_names(scores: Iterable[str]) -> tuple[str, ...]:
    """The RecBole models that names of scores tell of, sorted."""
    start = model_key(VALID, "")
    return tuple(sorted(name.removeprefix(start) for name in scores if name.startswith(start)))


@dataclass(frozen=True)
class Fitted:
    """All of it follows from the rows of a run, its model's scores, and public columns."""

    statistics: Statistics
    scores: Mapping[str, np.ndarray]
    """Split -> the model's score of each of its samples, in order of sample id, float64; of validation samples by
    neighbours of other users, averages of the adapters' or those of the merged one (``evidence_fit``). Test samples may
    be missing. And :func:`model_key` -> the term of each sample or further row that a RecBole model adds, of all models
    for each of :func:`splits_scored`: of one that has not learnt from these rows."""
    combination: Combination | None
    """None if there is no validation sample."""
    options: TermOptions
    content: str = ""
    """:meth:`Contents.digest` of what is public about items; empty if nothing of that is used."""
    states: ItemStates | None = None
    """Of :func:`needed_items`, if terms rest on states."""
    columns: str = ""
    """A digest of all columns of items, which RecBole models learn from; empty without such models."""

    @classmethod
    def anew(
        cls,
        parts: Sequence[RunData],
        codes: ItemCodes,
        scores: Mapping[str, np.ndarray],
        options: TermOptions,
        contents: Contents,
    ) -> "Fitted":
        """From all rows.

        Args:
            parts: whole users, each user in one of them.
            codes: of all items.
            scores: :attr:`scores`, of the validation samples at least.
            contents: of ``codes.names``, at least those of :func:`needed_items`.
        """
        targets = targets_of(parts, codes, options)
        statistics = Statistics.of(parts, codes, needed_pairs(targets, options), options.use_ratings)
        return cls.refit(statistics, targets, scores, options, contents)

    @classmethod
    def refit(
        cls,
        statistics: Statistics,
        targets: Mapping[str, Targets],
        scores: Mapping[str, np.ndarray],
        options: TermOptions,
        contents: Contents,
    ) -> "Fitted":
        """From sums that are known: pairs that no sample needs go out, states of items that none needs likewise, and
        the combination is fitted from zeros.

        Args:
            statistics: with at least :func:`needed_pairs`.
            targets: of :data:`LOOKED_AT`, as :func:`targets_of` gives them.
        """
        contents = contents.only(needed_items(targets, options))
        sums = statistics.only(needed_pairs(targets, options))
        bare = cls(sums, scores, None, options, contents.digest(), contents.states)
        judged = targets[VALID]
        if len(scores[VALID]) != len(judged):
            raise ValueError(f"found {len(scores[VALID])} scores, expected one for each of {len(judged)} samples")
        if not len(judged):
            return bare
        table, names = bare.features(VALID, judged.pasts, contents), (*term_names(contents), *bare.models)
        further = bare.further(targets[EVIDENCE], contents)
        combined = Combination.fit(table, scores[VALID], judged.labels, judged.users, names, further)
        return replace(bare, combination=combined)

    @property
    def models(self) -> tuple[str, ...]:
        """The RecBole models among the terms."""
        return model_names(self.scores)

    @property
    def n_further(self) -> int:
        """How many further rows the RecBole models have terms of; 0 without models."""
        return len(self.scores.get(model_key(EVIDENCE, self.models[0]), ())) if self.models else 0

    @property
    def served(self) -> str:
        """What is served: the model alone where nothing could be fitted."""
        return self.combination.served if self.combination else MODEL

    def table(self, pasts: Pasts, contents: Contents) -> np.ndarray:
        """Terms of targets whose pairs are among those of the sums, (n, f).

        Args:
            contents: as in :meth:`anew`.

        Raises:
            KeyError: a pair is missing.
        """
        statistics, pasts = self.statistics, looked_at(pasts, self.options)
        terms = collaborative_terms(pasts, statistics.items, statistics.pairs, self.options, contents)
        return terms.table(term_names(contents))

    def features(self, split: str, pasts: Pasts, contents: Contents) -> np.ndarray:
        """All that is combined of a split's samples: :meth:`table` and, after it, the terms of RecBole models, (n, f).

        Args:
            pasts: of all samples of the split, in order of their ids.

        Raises:
            RunError: a model has terms of other rows.
        """
        return self._with_models(split, self.table(pasts, contents))

    def _with_models(self, split: str, table: np.ndarray) -> np.ndarray:
        columns = [self.scores.get(model_key(split, name), np.zeros(0)) for name in self.models]
        for name, column in zip(self.models, columns, strict=True):
            if len(column) != len(table):
                raise RunError(
                    f"found {len(column)} terms of {name} for the {split} rows, expected one for each of {len(table)}; "
                    "restore the run folder from a copy"
                )
        return np.column_stack([table, *columns])

    def further(self, targets: Targets, contents: Contents) -> FurtherRows | None:
        """The further rows that evidence is fitted on; None if there are none.

        Args:
            targets: all of them, in order of their ids.
            contents: as in :meth:`anew`.
        """
        if not len(targets):
            return None
        table = self._with_models(EVIDENCE, self.table(targets.pasts, contents))
        return FurtherRows(table, targets.labels, targets.users)


def targets_of(parts: Sequence[RunData], codes: ItemCodes, options: TermOptions) -> dict[str, Targets]:
    """The samples of :data:`JUDGED`, and the further rows.

    Args:
        parts: whole users, each user in one of them; at least all users of these samples.
    """
    return {name: Targets.of(parts, name, codes, options.use_ratings) for name in LOOKED_AT}


def needed_pairs(targets: Mapping[str, Targets], options: TermOptions) -> Pairs:
    """The pairs of items that terms of these targets need."""
    return pairs_of(looked_at(Pasts.joined([targets[name].pasts for name in LOOKED_AT]), options))[0]


def needed_items(targets: Mapping[str, Targets], options: TermOptions) -> np.ndarray:
    """The codes of all items of these targets and their pasts, in ascending order, int64, (n,)."""
    pasts = looked_at(Pasts.joined([targets[name].pasts for name in LOOKED_AT]), options)
    return np.union1d(pasts.items, pasts.past_items)
