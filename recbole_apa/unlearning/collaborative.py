"""Collaborative statistics after a request that changes no sample: rows are subtracted; no model is loaded."""

from dataclasses import dataclass

import numpy as np

from recbole_apa.collaborative import JUDGED, Fitted, ItemCodes, ItemContent, Targets, known_rows, left_out, targets_of
from recbole_apa.data.run_data import RunData
from recbole_apa.data.survey import Survey
from recbole_apa.pipeline.indexed_run import IndexedRun
from recbole_apa.runs.collaborative_files import load_collaborative
from recbole_apa.unlearning.touched import Touched


@dataclass(frozen=True)
class CollaborativeState:
    """What a run with collaborative statistics has after a request, before it is written."""

    fitted: Fitted
    content: ItemContent | None
    parts: tuple[RunData, ...]
    """All rows of the users of validation and test samples."""

    def scores(self, split: str) -> dict[str, dict[str, float]]:
        """Name -> sample id -> score: of the regressions, and of validation samples by fits without their users; empty
        without them, or if the run has not scored its model there."""
        combined, model_scores = self.fitted.combination, self.fitted.scores.get(split)
        if combined is None or model_scores is None:
            return {}
        targets = self._targets(split)
        table = self.fitted.table(targets.pasts, self.content)
        if split == JUDGED[0]:
            found = left_out(table, model_scores, targets.labels, targets.users)
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


def has_statistics(run: IndexedRun) -> bool:
    """Whether a run keeps collaborative statistics."""
    return run.manifest["settings"].get("evidence") == "counts"


def content_stays(run: IndexedRun) -> bool:
    """Whether the items' columns are those that the run's statistics were combined with.

    Raises:
        RunError: the statistics are missing or damaged.
    """
    if not has_statistics(run):
        return True
    codes = ItemCodes(run.index.items.names)
    content = _content_of(run, codes)
    return load_collaborative(run.store, codes).content == (content.digest() if content else "")


def statistics_after(run: IndexedRun, touched: Touched, survey: Survey) -> CollaborativeState | None:
    """Equal in every bit to what is counted and fitted anew on what remains; None if the run keeps no statistics.

    Args:
        run: before the request, which changes no sample.
        survey: of what remains.
    """
    if not has_statistics(run):
        return None
    codes = ItemCodes(run.index.items.names)
    kept, content = load_collaborative(run.store, codes), _content_of(run, codes)
    parts = _rows_of_samples(run, touched, survey)
    targets = targets_of(parts, codes, kept.options)
    statistics = kept.statistics.after(touched.before, touched.after)
    return CollaborativeState(Fitted.refit(statistics, targets, kept.scores, kept.options, content), content, parts)


def _content_of(run: IndexedRun, codes: ItemCodes) -> ItemContent | None:
    return ItemContent.of_items(run.texts, codes.names, run.manifest["settings"].get("evidence_columns"))


def _rows_of_samples(run: IndexedRun, touched: Touched, survey: Survey) -> tuple[RunData, ...]:
    """All rows that remain of the users of validation and test samples, each user in one part."""
    of_touched = set(touched.before.rows.users.texts())
    others = {s.user_id for split in JUDGED for s in survey.samples(split)} - of_touched
    out = (run.data_of(run.index.rows_of_users(others)),) if others else ()
    return out if touched.after is None else (*out, touched.after)
