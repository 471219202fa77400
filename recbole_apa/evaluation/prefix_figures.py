"""Figures of what a run would serve if all shards had been trained on their first slices alone; without torch."""

import numpy as np

from recbole_apa.evaluation.metrics import auc, interval, mean_log_loss, resampled_aucs
from recbole_apa.evaluation.scored_split import BY_USERS, RESAMPLES, ScoredSplit

PREFIXES = "prefixes"
"""What keys of these figures begin with: ``prefixes.03.served.auc``, for three slices."""
SERVED, MODEL = "served", "model"
"""Names of scores: those of predictions, and those of the language model alone."""
N_TRAINED = "n_trained"
"""In the key of the number of training samples in these slices."""
_WHOLE = "whole"


def prefix_figures(
    n_slices: int, scored: ScoredSplit, whole: np.ndarray | None, seed: int, by_users: bool = True
) -> dict[str, float]:
    """Figures on the test samples under flat keys: AUC and LogLoss, and by how much the AUC of what is served differs
    from that of all slices, with a paired 95 % interval. Undefined figures are left out.

    Args:
        n_slices: how many slices are served.
        scored: the test samples, with scores :data:`SERVED` and :data:`MODEL`.
        whole: what is served of all slices, (n,); None for all slices themselves.
        by_users: whether the interval resamples users, else rows.
    """
    key, labels, out = f"{PREFIXES}.{n_slices:02d}", scored.labels, dict[str, float]()
    for name, values in scored.scores.items():
        out[f"{key}.{name}.logloss"] = mean_log_loss(labels, values)
        if (value := auc(labels, values)) is not None:
            out[f"{key}.{name}.auc"] = value
    if whole is None or f"{key}.{SERVED}.auc" not in out:
        return out
    both = {SERVED: scored.scores[SERVED], _WHOLE: whole}
    drawn = resampled_aucs(labels, both, RESAMPLES, seed, scored.users if by_users else None)
    gain, by, of_all = f"{key}.{SERVED}.auc_gain", BY_USERS if by_users else "", auc(labels, whole)
    assert of_all is not None
    out[gain] = out[f"{key}.{SERVED}.auc"] - of_all
    out[f"{gain}{by}_low"], out[f"{gain}{by}_high"] = interval(drawn[SERVED] - drawn[_WHOLE])
    return out
