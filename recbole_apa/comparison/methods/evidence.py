"""Collaborative statistics without a language model, as methods: item means, biases, neighbours, content and what
RecBole models say (``evidence_models``), combined on the validation samples and further rows."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from recbole_apa.collaborative.alone import Source
from recbole_apa.collaborative.combination import BOTH, RIDGE, Combination, FurtherRows
from recbole_apa.collaborative.contents import Contents
from recbole_apa.collaborative.item_sums import ItemSums
from recbole_apa.collaborative.logistic import Logistic
from recbole_apa.collaborative.options import TermOptions
from recbole_apa.collaborative.pasts import Pasts, pasts_of, pasts_with
from recbole_apa.collaborative.rows import ItemCodes, counted_rows, training_rows
from recbole_apa.comparison.context import ComparisonContext
from recbole_apa.comparison.item_states import text_states_of
from recbole_apa.comparison.method import FitFigures, Scored, UnlearnFigures
from recbole_apa.core.errors import DataError, RunError
from recbole_apa.data.index.rows import TEST
from recbole_apa.data.recbole_settings import read_settings
from recbole_apa.data.run_data import RunData
from recbole_apa.pipeline.evidence_models import EvidenceModel, models_of, train_model

EVIDENCE, SHOWN, FIXED = "Evidence", "Evidence-shown", "Evidence-fixed"
EVIDENCE_ROWS = (EVIDENCE, SHOWN, FIXED)
NamedPairs = tuple[Sequence[str], Sequence[str]]
"""Users and items by name, (n,) each."""


@dataclass(frozen=True)
class TimedModel:
    """A RecBole model of the evidence, and the seconds that its training took."""

    model: EvidenceModel
    seconds: float


@dataclass(frozen=True)
class Asked:
    """Statistics, trained models, and the items by code."""

    source: Source
    names: list[str]
    """Those of the data, and after them candidates that nobody rated."""
    models: tuple[EvidenceModel, ...] = ()
    """RecBole models whose scores are terms as well."""
    shared_seconds: float = 0.0
    """What training those took that another row had trained before."""

    @property
    def n_parameters(self) -> int:
        """What the models have been trained to."""
        return sum(model.trained.n_parameters or 0 for model in self.models)

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the terms."""
        return (*self.source.names, *(model.name for model in self.models))

    def table(self, pasts: Pasts, pairs: NamedPairs) -> np.ndarray:
        """Terms of n targets, (n, f).

        Args:
            pairs: each target's user and item. Lists are ranked without models: ``evidence`` refuses them there.
        """
        return np.column_stack([self.source.table(pasts), *(model.terms(*pairs) for model in self.models)])

    def pasts(self, data: RunData, targets: np.ndarray) -> Pasts:
        """The whole past of some targets, with the values that are summed up."""
        return pasts_of(data, targets, self.source.options.use_ratings)


def models_for(context: ComparisonContext, data: RunData, seed: int) -> tuple[tuple[EvidenceModel, ...], float]:
    """The models that ``evidence_models`` names, trained on some rows; once on the comparison's own.

    Args:
        data: the comparison's rows, or what a request leaves of them.

    Returns:
        models, and the seconds that training those took that were there before.

    Raises:
        TrainingError: one cannot be trained on these rows.
    """
    wanted = [(name, seed) for name in models_of(context.config)]
    known = context.models if data is context.run_data else {}
    shared = sum(known[each].seconds for each in wanted if each in known)
    for each in wanted:
        if each not in known:
            start = time.perf_counter()
            model = train_model(context.config, each[0], data, seed)
            known[each] = TimedModel(model, time.perf_counter() - start)
    return tuple(known[each].model for each in wanted), shared


def asked_of(context: ComparisonContext, data: RunData, seed: int | None = None) -> Asked:
    """Statistics of the rows of the training period, and models trained on them; no label of a validation or test row
    is in them.

    Args:
        seed: of the models; None takes the configuration's.

    Raises:
        TrainingError: a model cannot be trained on these rows.
    """
    names, known = list(data.rows.items.names), set(data.rows.items.names)
    candidates = {item for items in context.ranking.items for item in items} if context.ranking else set()
    names += sorted(candidates - known)
    settings = read_settings(context.config).collaborative
    options = TermOptions(use_ratings=settings.evidence_values == "ratings")
    rows = training_rows(data, options.use_ratings)
    contents = Contents.embedded(settings, data.texts, names, np.arange(len(names)), text_states_of(context))
    source = Source(rows, ItemSums.of(rows, len(names)), contents.options(options), contents)
    return Asked(source, names, *models_for(context, data, context.config["seed"] if seed is None else seed))


class EvidenceMethod:
    """One of ``EVIDENCE_ROWS``: ``Evidence`` reads a user's whole past before the target, ``Evidence-shown`` the lines
    that the prompt shows, ``Evidence-fixed`` for all of a user's test rows the past without rows of the test split: the
    same regression at one moment, which is what ranking a user's items asks for."""

    def __init__(self, context: ComparisonContext, name: str) -> None:
        self.context, self.rows = context, (name,)
        self._made: tuple[Asked, Logistic] | None = None
        self._seed: int | None = None

    def fit(self, seed: int) -> FitFigures:
        """See :class:`~recbole_apa.comparison.method.Method`. Nothing but models of the evidence is drawn: without
        any, every seed gives the same.

        Raises:
            DataError: there is no validation sample.
            TrainingError: a model of the evidence cannot be trained.
        """
        start, self._seed = time.perf_counter(), seed
        asked, fitted = self._made = self._fit(self.context.run_data)
        n_labels = len(asked.source.rows) + len(fitted_on(self.context.run_data))
        seconds = time.perf_counter() - start + asked.shared_seconds
        return FitFigures(seconds, 1 + len(fitted.coefficients) + asked.n_parameters, 1, n_labels)

    def _fit(self, data: RunData) -> tuple[Asked, Logistic]:
        _refuse_none(self.rows[0], data)
        asked, rows = asked_of(self.context, data, self._seed), fitted_on(data)
        table = asked.table(self._pasts(asked, data, rows), named_pairs(data, rows))
        return asked, Logistic.fit(table, data.rows.labels[rows], RIDGE)

    def _pasts(self, asked: Asked, data: RunData, targets: np.ndarray) -> Pasts:
        pasts = asked.pasts(data, targets)
        return pasts.last(data.options.samples.history_length) if self.rows[0] == SHOWN else pasts

    def score(self, row: str) -> Scored:
        """See :class:`~recbole_apa.comparison.method.Method`."""
        if self._made is None:
            raise RunError(f"{row}: not fitted yet, call fit first")
        asked, fitted = self._made
        start = time.perf_counter()
        data, targets = self.context.run_data, self.context.tested.targets
        pasts = untested_pasts(asked, data, targets) if row == FIXED else self._pasts(asked, data, targets)
        pasts = judged_pasts(self.context, pasts, asked)
        scores = fitted.scores(asked.table(pasts, named_pairs(data, targets)))
        return self.context.tested.scored(scores, True, len(asked.models), time.perf_counter() - start)

    def unlearn(self) -> UnlearnFigures:
        """Count and fit what remains anew; a run subtracts the request's rows from its sums, which costs less."""
        left = self.context.data_without(*self.context.request())
        start = time.perf_counter()
        self._made = self._fit(left)
        return UnlearnFigures(time.perf_counter() - start, 1)


@dataclass(frozen=True)
class Joined:
    """A model's scores and collaborative terms of a user's whole past together."""

    asked: Asked
    fitted: Combination

    @classmethod
    def fit(
        cls, context: ComparisonContext, scores: np.ndarray, data: RunData | None = None, seed: int | None = None
    ) -> "Joined":
        """Fit on the validation samples.

        Args:
            scores: the model's, in [0, 1], in order of the samples, (v,); it has not learnt from their labels.
            data: what a request left; None takes the comparison's.
            seed: of the models; None takes the configuration's.

        Raises:
            DataError: there is no validation sample.
            TrainingError: a model of the evidence cannot be trained.
        """
        data = data or context.run_data
        _refuse_none("evidence beside a model", data)
        asked = asked_of(context, data, seed)
        targets = data.targets["valid"]
        pairs = named_pairs(data, targets)
        table = asked.table(asked.pasts(data, targets), pairs)
        further = further_of(asked, data)
        return cls(asked, Combination.fit(table, scores, data.rows.labels[targets], pairs[0], asked.terms, further))

    @property
    def n_parameters(self) -> int:
        """Numbers of the regression whose scores the row has, and of the models among its terms."""
        return 1 + len(self.fitted.both.coefficients) + self.asked.n_parameters

    def scores(self, context: ComparisonContext, scores: np.ndarray) -> np.ndarray:
        """Both together, whether or not a run would serve them, (n,).

        Args:
            scores: the model's, of what is judged, (n,).
        """
        targets = context.run_data.targets["test"]
        pasts = judged_pasts(context, self.asked.pasts(context.run_data, targets), self.asked)
        return self.fitted.scores(self.asked.table(pasts, named_pairs(context.run_data, targets)), scores)[BOTH]


def _refuse_none(what: str, data: RunData) -> None:
    """
    Raises:
        DataError: there is no validation sample.
    """
    if not len(data.targets["valid"]):
        raise DataError(f"{what} is fitted on validation samples, found none; raise valid_samples")


def fitted_on(data: RunData) -> np.ndarray:
    """Numbers of the rows that terms are fitted on: the targets of the validation samples, and after them the further
    rows."""
    return np.concatenate([data.targets["valid"], data.evidence_rows])


def further_of(asked: Asked, data: RunData) -> FurtherRows | None:
    """The further rows with their terms; None without any."""
    rows = data.evidence_rows
    if not len(rows):
        return None
    table = asked.table(asked.pasts(data, rows), named_pairs(data, rows))
    return FurtherRows(table, data.rows.labels[rows], data.rows.users.texts(rows))


def rows_behind(data: RunData) -> np.ndarray:
    """Numbers of the rows whose labels are in statistics or in the regression: those of the training period, and
    :func:`fitted_on`."""
    return np.union1d(np.flatnonzero(counted_rows(data)), fitted_on(data))


def untested_pasts(asked: Asked, data: RunData, targets: np.ndarray) -> Pasts:
    """The pasts of some targets without rows of the test split."""
    codes, roles = ItemCodes(data.rows.items.names), data.notes.roles[data.kept]
    shown = [data.windows.history(row, len(data.rows)) for row in targets.tolist()]
    seen = [past[roles[past] != TEST] for past in shown]
    items, use_ratings = codes.of(data.rows.items.take(targets)), asked.source.options.use_ratings
    return pasts_with(data, items, seen, use_ratings, codes)


def named_pairs(data: RunData, targets: np.ndarray) -> NamedPairs:
    """The user and the item of each of some rows."""
    return data.rows.users.texts(targets), data.rows.items.texts(targets)


def judged_pasts(context: ComparisonContext, pasts: Pasts, asked: Asked) -> Pasts:
    """The pasts of test samples; if lists are ranked, of each list's sample with every one of its candidates as the
    target."""
    lists = context.ranking
    if lists is None:
        return pasts
    code_of = {name: code for code, name in enumerate(asked.names)}
    codes = [code_of[item] for items in lists.items for item in items]
    some = pasts.take(np.repeat(np.array(lists.rows), lists.n_candidates))
    return replace(some, items=np.array(codes, dtype=np.int64))
