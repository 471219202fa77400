"""The figures of one split, from the scores of all variants; without torch."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from recbole_apa.evaluation.metrics import (
    auc,
    aucs_of_users,
    interval,
    mean_log_loss,
    number_of,
    resampled_aucs,
    resampled_uaucs,
    uauc,
    users_with_both_labels,
)
from recbole_apa.evaluation.simple_rules import HISTORY_LIKE_RATE

RESAMPLES = 1000
BASELINES = "baselines"
"""What the names of scores by RecBole's models begin with: ``baselines.FM``; also the option that names them."""
BY_USERS = "_users"
"""In the key of a figure: an interval by users, e.g. ``auc_users_low``; without it, by rows."""


@dataclass(frozen=True)
class ScoredSplit:
    """Scores of every variant on one split, by name, (n,) each."""

    labels: np.ndarray
    scores: dict[str, np.ndarray]
    weights: np.ndarray
    """The attention weight of each adapter, (n, k)."""
    users: np.ndarray
    """Whose sample each is, as :func:`~recbole_apa.evaluation.metrics.user_numbers` counts, (n,)."""

    def beside(self, others: Mapping[str, np.ndarray]) -> "ScoredSplit":
        """With further scores, (n,) each."""
        return replace(self, scores={**self.scores, **others})


def split_figures(name: str, scored: ScoredSplit, seed: int, by_users: bool = True) -> dict[str, float]:
    """Figures of one split under flat keys, e.g. ``test.aggregated.decomposition.auc``.

    ``auc_low`` and ``auc_high`` bound a 95 % bootstrap interval over rows, ``auc_users_low`` and ``auc_users_high`` one
    over users; ``auc_gain_*`` the paired difference to the share of likes in the history. ``uauc`` is the mean AUC
    within users, if enough of them have both labels.

    Args:
        by_users: also compute the intervals over users.
    """
    labels, users = scored.labels, scored.users
    out: dict[str, float] = {
        f"{name}.n_samples": len(labels),
        f"{name}.n_users": number_of(users),
        f"{name}.n_users_with_both_labels": users_with_both_labels(labels, users),
        f"{name}.yes_share": float(labels.mean()),
    }
    resampled = {"": resampled_aucs(labels, scored.scores, RESAMPLES, seed)}
    if by_users:
        resampled[BY_USERS] = resampled_aucs(labels, scored.scores, RESAMPLES, seed, users)
    for variant, values in scored.scores.items():
        key = f"{name}.{variant}"
        out[f"{key}.logloss"] = mean_log_loss(labels, values)
        value, within = auc(labels, values), uauc(labels, values, users)
        if within is not None:
            out[f"{key}.uauc"] = within
            means = resampled_uaucs(aucs_of_users(labels, values, users), RESAMPLES, seed)
            out[f"{key}.uauc_users_low"], out[f"{key}.uauc_users_high"] = interval(means)
        if value is None:
            continue
        out[f"{key}.auc"] = value
        gains = variant.startswith("aggregated")
        if gains:
            out[f"{key}.auc_gain"] = value - _rule_auc(scored)
        for by, drawn in resampled.items():
            out[f"{key}.auc{by}_low"], out[f"{key}.auc{by}_high"] = interval(drawn[variant])
            if gains:
                gain = interval(drawn[variant] - drawn[f"rules.{HISTORY_LIKE_RATE}"])
                out[f"{key}.auc_gain{by}_low"], out[f"{key}.auc_gain{by}_high"] = gain
    return out


def _rule_auc(scored: ScoredSplit) -> float:
    value = auc(scored.labels, scored.scores[f"rules.{HISTORY_LIKE_RATE}"])
    return float("nan") if value is None else value
