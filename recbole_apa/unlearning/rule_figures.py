"""Figures of rules that count everybody's rows: they change although no sample does."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from recbole_apa.collaborative import JUDGED, MODEL, TEST
from recbole_apa.core.collaborative_settings import CollaborativeSettings
from recbole_apa.core.files.whole import read_json, write_json
from recbole_apa.data.samples import Sample
from recbole_apa.data.survey import Survey
from recbole_apa.evaluation.evidence_figures import AVERAGES, added_figures, combination_figures, with_evidence
from recbole_apa.evaluation.evidence_slices import slice_figures, slice_masks
from recbole_apa.evaluation.metrics import user_numbers
from recbole_apa.evaluation.prefix_figures import PREFIXES
from recbole_apa.evaluation.recbole_labelled import METRICS, labelled_metrics
from recbole_apa.evaluation.report.figures import roc_curves
from recbole_apa.evaluation.scored_split import BASELINES, BY_USERS, ScoredSplit, split_figures
from recbole_apa.evaluation.simple_rules import trivial_scores
from recbole_apa.runs.manifest import Manifest
from recbole_apa.runs.names import FIGURES
from recbole_apa.runs.names import METRICS as METRICS_FILE
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.collaborative import CollaborativeState

RECBOLE_DECIMALS = 4
"""RecBole's own ``metric_decimal_place``."""
_ROC = f"{FIGURES}/roc_curves.json"


def write_rule_figures(
    store: RunStore, pending: RunStore, survey: Survey, before: Manifest, statistics: CollaborativeState | None = None
) -> dict[str, float]:
    """Write ``metrics.json`` and the ROC curves of the new state.

    Args:
        store: the run before the request.
        survey: of what remains.
        before: the run's manifest.
        statistics: of what remains, if the run keeps them.

    Returns:
        all figures.
    """
    found: dict[str, float] = dict(read_json(store.folder / METRICS_FILE)) if store.has(METRICS_FILE) else {}
    metrics = {name: value for name, value in found.items() if not _is_struck(name)}
    seed = before["settings"]["seed"]
    for split in ("valid", "test"):
        samples = survey.samples(split)
        if not samples or not any(name.startswith(f"{split}.rules.") for name in metrics):
            continue
        labels = np.array([s.label for s in samples])
        scores = {f"rules.{name}": values for name, values in trivial_scores(samples, survey.train_rows()).items()}
        scores |= _evidence_scores(statistics, split, samples)
        users = user_numbers([s.user_id for s in samples])
        # the other figures stay as they are: all intervals of a table are of one kind
        by_users = any(name.startswith(f"{split}.") and name.endswith(f"auc{BY_USERS}_low") for name in metrics)
        scored = ScoredSplit(labels, scores, np.zeros((len(labels), 0)), users)
        found = split_figures(split, scored, seed, by_users)
        if split == "test" and statistics is not None:
            found |= added_figures(scored, seed, by_users)
            found |= slice_figures(scored, _slices(statistics, samples), seed, by_users)
        metrics |= {name: value for name, value in found.items() if math.isfinite(value)}
        if split == "test" and store.has(_ROC):
            curves = {name: curve for name, curve in read_json(store.folder / _ROC).items() if not _is_struck(name)}
            write_json(pending.folder / _ROC, {**curves, **roc_curves(labels, scores)})
    if statistics is not None:
        n_decimals = int(before["options"].get("metric_decimal_place", RECBOLE_DECIMALS))
        metrics = _with_served(metrics, statistics, survey, n_decimals)
        metrics |= combination_figures(statistics.fitted.combination)
        metrics[AVERAGES] = float(CollaborativeSettings.noted(before["settings"]).fits_averages)
    # JSON has no NaN
    metrics = {name: value for name, value in metrics.items() if math.isfinite(value)}
    write_json(pending.folder / METRICS_FILE, metrics)
    return metrics


def _with_served(
    metrics: Mapping[str, float], statistics: CollaborativeState, survey: Survey, n_decimals: int
) -> dict[str, float]:
    """With RecBole's metrics of the scores that are served now, where the run has these metrics."""
    out = dict(metrics)
    for split in JUDGED:
        prefix = f"recbole.{split}."
        names = [name.removeprefix(prefix) for name in metrics if name.startswith(prefix)]
        samples, of_id = survey.samples(split), statistics.served(split)
        if not names or not of_id:
            continue  # without a fit the model alone is served, as before
        scores = np.array([of_id[s.sample_id] for s in samples])
        if split == TEST and statistics.fitted.served == MODEL:
            scores = scores.astype(np.float32)  # as the model gives them
        labels = np.array([s.label for s in samples])
        known = [name for name in names if name in METRICS]
        out = {name: value for name, value in out.items() if not name.startswith(prefix)}
        out |= {prefix + name: value for name, value in labelled_metrics(known, labels, scores, n_decimals).items()}
    return out


def _is_struck(name: str) -> bool:
    """Whether figures or scores of the state before rest on rows that may be forgotten now, and are not kept: of models
    that learnt from all rows, by slices served, and of collaborative statistics, which are made again."""
    parts = name.split(".")
    return BASELINES in parts[:2] or "evidence" in parts[:2] or name.startswith(PREFIXES)


def _evidence_scores(
    statistics: CollaborativeState | None, split: str, samples: Sequence[Sample]
) -> dict[str, np.ndarray]:
    """The scores of terms alone and of both, by name, (n,) each; undefined ones are left out."""
    if statistics is None:
        return {}
    found = {name: np.array([of_id[s.sample_id] for s in samples]) for name, of_id in statistics.scores[split].items()}
    bare = ScoredSplit(np.zeros(0), {}, np.zeros((0, 0)), np.zeros(0))
    return dict(with_evidence(bare, found).scores)


def _slices(statistics: CollaborativeState, samples: Sequence[Sample]) -> dict[str, np.ndarray]:
    """Which test samples are in each slice."""
    known = statistics.known_rows("test")
    return slice_masks(*np.array([known[s.sample_id] for s in samples]).T)
