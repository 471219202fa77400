"""Collaborative statistics after a request that changes no sample: rows are subtracted; no model is loaded."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from recbole_apa.collaborative import (
    JUDGED,
    Contents,
    CountedRows,
    Fitted,
    ItemCodes,
    Targets,
    known_rows,
    left_out,
    targets_of,
)
from recbole_apa.core.collaborative_settings import CollaborativeSettings
from recbole_apa.data.run_data import RunData
from recbole_apa.data.splits import EVIDENCE
from recbole_apa.data.survey import Survey
from recbole_apa.evidence import secret_of
from recbole_apa.pipeline.indexed_run import IndexedRun
from recbole_apa.runs.collaborative_files import keeps_statistics, load_collaborative
from recbole_apa.runs.names import COUNTED, KEY
from recbole_apa.unlearning.touched import Touched


@dataclass(frozen=True)
class CollaborativeState:
    """What a run with collaborative statistics has after a request, before it is written."""

    fitted: Fitted
    contents: Contents
    parts: tuple[RunData, ...]
    """All rows of the users of validation and test samples."""

    @cached_property
    def scores(self) -> dict[str, dict[str, dict[str, float]]]:
        """Split -> name -> sample id -> score: of the model and the regressions, of validation samples by fits without
        their users; a split is empty without them, or if the run has not scored its model there."""
        return {split: self._scores(split) for split in JUDGED}

    def served(self, split: str) -> dict[str, float]:
        """Sample id -> the score that is served; empty as :attr:`scores`."""
        return self.scores[split].get(self.fitted.served, {})

    def _scores(self, split: str) -> dict[str, dict[str, float]]:
        combined, model_scores = self.fitted.combination, self.fitted.scores.get(split)
        if combined is None or model_scores is None:
            return {}
        targets = self._targets(split)
        table = self.fitted.table(targets.pasts, self.contents)
        if split == JUDGED[0]:
            further = self.fitted.further(self._targets(EVIDENCE), self.contents)
            found = left_out(table, model_scores, targets.labels, targets.users, further)
        else:
            found = combined.scores(table, model_scores)
        return {name: dict(zip(targets.ids, values.tolist(), strict=True)) for name, values in found.items()}

    def known_rows(self, split: str) -> dict[str, tuple[int, int, int]]:
        """Sample id -> :func:`~recbole_apa.collaborative.known_rows`."""
        statistics = self.fitted.statistics
        out: dict[str, tuple[int, int, int]] = {}
        for part in self.parts:
            rows = part.targets[split]
            counts = np.array(known_rows(part, rows, statistics.codes, statistics.items.n)).T.tolist()
            out |= dict(zip(part.rows.row_ids(rows), ((a, b, c) for a, b, c in counts), strict=True))
        return out

    def _targets(self, split: str) -> Targets:
        statistics = self.fitted.statistics
        return Targets.of(self.parts, split, statistics.codes, statistics.use_ratings)


@dataclass(frozen=True)
class KeptStatistics:
    """What a run keeps of collaborative statistics before a request."""

    fitted: Fitted
    contents: Contents
    """Of the items of the run's index, as its files describe them now."""
    counted: CountedRows | None
    """Which rows they are counted from; None in a run of before that was noted."""

    @property
    def content_stays(self) -> bool:
        """Whether the items' columns are those that the statistics were combined with."""
        return self.fitted.content == self.contents.digest()

    def counted_under(self, secret: bytes) -> CountedRows | None:
        """:attr:`counted`, if its digest was made with this secret."""
        return self.counted if self.counted and self.counted.digest.secret == secret else None


def load_statistics(run: IndexedRun) -> KeptStatistics | None:
    """None if the run keeps no statistics.

    Raises:
        RunError: they are missing or damaged.
    """
    if not keeps_statistics(run.manifest):
        return None
    codes = ItemCodes(run.index.items.names)
    fitted = load_collaborative(run.store, codes)
    return KeptStatistics(fitted, _contents_of(run, codes.names, fitted), _counted(run))


def _contents_of(run: IndexedRun, names: Sequence[str], kept: Fitted) -> Contents:
    """With the states that the run keeps: a request that changes no sample needs no others."""
    return Contents.of(CollaborativeSettings.noted(run.manifest["settings"]), run.texts, names, kept.states)


def _counted(run: IndexedRun) -> CountedRows | None:
    told, name = run.manifest.get(COUNTED), run.manifest.get(KEY)
    secret = secret_of(run.manifest["salt"], run.keys.key(name) if name else None)
    return None if told is None else CountedRows.from_json(told, secret)


def statistics_after(
    kept: KeptStatistics | None, run: IndexedRun, touched: Touched, survey: Survey, items: Sequence[str]
) -> CollaborativeState | None:
    """Equal in every bit to what is counted and fitted anew on what remains; None if the run keeps no statistics.

    Args:
        kept: of the run.
        run: before the request, which changes no sample.
        survey: of what remains.
        items: names by number as the new index has them: an item without a row left has none.
    """
    if kept is None:
        return None
    fitted, contents = kept.fitted, _contents_of(run, items, kept.fitted)
    parts = _rows_of_samples(run, touched, survey)
    targets = targets_of(parts, fitted.statistics.codes, fitted.options)
    statistics = fitted.statistics.after(touched.before, touched.after)
    again = Fitted.refit(statistics, targets, fitted.scores, fitted.options, contents)
    return CollaborativeState(again, contents, parts)


def _rows_of_samples(run: IndexedRun, touched: Touched, survey: Survey) -> tuple[RunData, ...]:
    """All rows that remain of the users of validation and test samples, each user in one part."""
    of_touched = set(touched.before.rows.users.texts())
    others = {s.user_id for split in JUDGED for s in survey.samples(split)} - of_touched
    out = (run.data_of(run.index.rows_of_users(others)),) if others else ()
    return out if touched.after is None else (*out, touched.after)
