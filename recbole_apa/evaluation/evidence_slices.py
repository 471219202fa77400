"""For whom does the model add something? Parts of the test samples of which collaborative statistics know little."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from recbole_apa.evaluation.evidence_figures import EVIDENCE_ALONE, WITH_MODEL, added_figures
from recbole_apa.evaluation.metrics import auc, mean_log_loss, number_of, user_numbers
from recbole_apa.evaluation.scored_split import ScoredSplit

SLICES = {"rare_items": 20, "cold_users": 20, "short_pasts": 10}
"""Items and users with fewer rows of the training period than this; fewer rows before the target."""
PREFIX = "evidence.slices"


def slice_masks(item_rows: np.ndarray, user_rows: np.ndarray, past_rows: np.ndarray) -> dict[str, np.ndarray]:
    """Which samples are in each slice, bool, (n,) each.

    Args:
        item_rows: rows of the training period with the sample's item, (n,).
        user_rows: the user's rows of the training period, (n,).
        past_rows: the user's rows before the target, whichever split they are in, (n,).
    """
    counts = (item_rows, user_rows, past_rows)
    return {name: rows < fewest for (name, fewest), rows in zip(SLICES.items(), counts, strict=True)}


def slice_figures(
    scored: ScoredSplit, masks: Mapping[str, np.ndarray], seed: int, by_users: bool = True
) -> dict[str, float]:
    """Figures of each slice under flat keys, e.g. ``evidence.slices.rare_items.alone.auc``: samples, users, AUC and
    LogLoss of evidence alone and with the model, and what the model adds, with intervals as
    :func:`~recbole_apa.evaluation.evidence_figures.added_figures` has them. An empty slice has the number of samples
    alone; undefined figures are left out.

    Args:
        by_users: also compute the intervals over users.
    """
    out: dict[str, float] = {}
    if not all(name in scored.scores for name in (EVIDENCE_ALONE, WITH_MODEL)):
        return out
    for name, mask in masks.items():
        key = f"{PREFIX}.{name}"
        out[f"{key}.n_samples"] = int(mask.sum())
        if not mask.any():
            continue
        part = _part(scored, mask)
        out[f"{key}.n_users"] = number_of(part.users)
        for variant in (EVIDENCE_ALONE, WITH_MODEL):
            short = variant.removeprefix("evidence.")
            value = auc(part.labels, part.scores[variant])
            if value is not None:
                out[f"{key}.{short}.auc"] = value
            out[f"{key}.{short}.log_loss"] = mean_log_loss(part.labels, part.scores[variant])
        added = added_figures(part, seed, by_users)
        out |= {f"{key}.{of.removeprefix('evidence.')}": value for of, value in added.items()}
    return out


def _part(scored: ScoredSplit, mask: np.ndarray) -> ScoredSplit:
    scores = {name: values[mask] for name, values in scored.scores.items()}
    users = user_numbers(list(map(str, scored.users[mask])))
    return replace(scored, labels=scored.labels[mask], scores=scores, weights=scored.weights[mask], users=users)
