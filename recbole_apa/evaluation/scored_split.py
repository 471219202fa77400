"""The figures of one split, from the scores of all variants; without torch."""

from dataclasses import dataclass

import numpy as np

from recbole_apa.evaluation.metrics import auc, interval, mean_log_loss, resampled_aucs
from recbole_apa.evaluation.simple_rules import HISTORY_LIKE_RATE

RESAMPLES = 1000


@dataclass(frozen=True)
class ScoredSplit:
    """Scores of every variant on one split, by name, (n,) each."""

    labels: np.ndarray
    scores: dict[str, np.ndarray]
    weights: np.ndarray
    """The attention weight of each adapter, (n, k)."""


def split_figures(name: str, scored: ScoredSplit, seed: int) -> dict[str, float]:
    """Figures of one split under flat keys, e.g. ``test.aggregated.decomposition.auc``.

    ``auc_low`` and ``auc_high`` bound a 95 % bootstrap interval; ``auc_gain_*`` the paired difference to the share
    of likes in the history.
    """
    out: dict[str, float] = {f"{name}.n_samples": len(scored.labels), f"{name}.yes_share": float(scored.labels.mean())}
    resampled = resampled_aucs(scored.labels, scored.scores, RESAMPLES, seed)
    reference = resampled[f"rules.{HISTORY_LIKE_RATE}"]
    for variant, values in scored.scores.items():
        key = f"{name}.{variant}"
        out[f"{key}.logloss"] = mean_log_loss(scored.labels, values)
        value = auc(scored.labels, values)
        if value is None:
            continue
        out[f"{key}.auc"] = value
        out[f"{key}.auc_low"], out[f"{key}.auc_high"] = interval(resampled[variant])
        if variant.startswith("aggregated"):
            gain = resampled[variant] - reference
            out[f"{key}.auc_gain"] = value - _rule_auc(scored)
            out[f"{key}.auc_gain_low"], out[f"{key}.auc_gain_high"] = interval(gain)
    return out


def _rule_auc(scored: ScoredSplit) -> float:
    value = auc(scored.labels, scored.scores[f"rules.{HISTORY_LIKE_RATE}"])
    return float("nan") if value is None else value
