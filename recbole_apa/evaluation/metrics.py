"""AUC and LogLoss with bootstrap intervals, and AUC within users. Shapes: n samples, u users, m resamples.

Users are numbers from 0, in order of first appearance (:func:`user_numbers`), so that no figure depends on names.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import log_loss, roc_auc_score

CLIP = 1e-7
FEWEST_FOR_UAUC = 50  # users with both labels
FEWEST_CLUSTERS = 30  # users, for an interval by users without a warning
BLOCK_CELLS = 30_000  # resamples times rows that are counted at once; fits a core's cache


def auc(labels: np.ndarray, scores: np.ndarray) -> float | None:
    """Area under the ROC curve, (n,), (n,); None if all labels are the same."""
    return float(roc_auc_score(labels, scores)) if 0 < labels.sum() < len(labels) else None


def mean_log_loss(labels: np.ndarray, scores: np.ndarray) -> float:
    """-mean[y ln s + (1-y) ln(1-s)], natural logarithm, s clipped to [1e-7, 1 - 1e-7]."""
    clipped = np.clip(scores.astype(np.float64), CLIP, 1 - CLIP)
    return float(log_loss(labels, clipped, labels=[0, 1]))


def log_losses(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """LogLoss of each sample, clipped as in :func:`mean_log_loss`, (n,)."""
    clipped = np.clip(scores.astype(np.float64), CLIP, 1 - CLIP)
    return -np.where(labels == 1, np.log(clipped), np.log1p(-clipped))


def user_numbers(users: Sequence[str]) -> np.ndarray:
    """Users as numbers, in order of first appearance, (n,)."""
    number: dict[str, int] = {}
    return np.array([number.setdefault(user, len(number)) for user in users], dtype=np.int64)


def number_of(users: np.ndarray) -> int:
    """u, if the numbers are those of :func:`user_numbers`."""
    return int(users.max()) + 1 if len(users) else 0


def aucs_of_users(labels: np.ndarray, scores: np.ndarray, users: np.ndarray) -> np.ndarray:
    """AUC of each user's own samples, ties count half, (u,); NaN for users whose labels are all the same.

    Args:
        labels, scores: (n,).
        users: numbers of the users, (n,).
    """
    order = np.lexsort((scores, users))
    whose, yes, values = users[order], labels[order].astype(np.float64), scores[order]
    n_users = number_of(users)
    no = 1 - yes
    # blocks of one user's samples with the same score
    firsts = np.flatnonzero((np.diff(whose, prepend=-1) != 0) | (np.diff(values, prepend=np.nan) != 0))
    yes_of, no_of = (np.add.reduceat(part, firsts) if len(firsts) else part for part in (yes, no))
    n_yes, n_no = (np.bincount(whose, part, minlength=n_users) for part in (yes, no))
    before_user = np.concatenate([[0.0], np.cumsum(n_no)])[whose[firsts]]
    below = np.cumsum(no_of) - no_of - before_user
    won = np.bincount(whose[firsts], yes_of * (below + no_of / 2), minlength=n_users)
    pairs = n_yes * n_no
    return np.divide(won, pairs, out=np.full(n_users, np.nan), where=pairs > 0)


def uauc(labels: np.ndarray, scores: np.ndarray, users: np.ndarray) -> float | None:
    """Mean of the AUCs of all users with both labels, each counted once; None if they are fewer than
    :data:`FEWEST_FOR_UAUC`.

    UAUC as CoLLM reports it (Zhang et al., arXiv 2310.19488; ``uAUC_me`` in zyang1580/CoLLM,
    minigpt4/tasks/rec_base_task.py): users are not weighted by their samples.
    """
    known = _known(aucs_of_users(labels, scores, users))
    return float(known.mean()) if len(known) >= FEWEST_FOR_UAUC else None


def resampled_uaucs(aucs: np.ndarray, m: int, seed: int) -> np.ndarray:
    """Means over m bootstrap resamples of the users with both labels, (m,).

    Args:
        aucs: of :func:`aucs_of_users`, (u,).
    """
    known = _known(aucs)
    drawn = np.random.default_rng(seed).integers(len(known), size=(m, len(known)))
    means: np.ndarray = known[drawn].mean(1)
    return means


def _known(aucs: np.ndarray) -> np.ndarray:
    known: np.ndarray = aucs[~np.isnan(aucs)]
    return known


def users_with_both_labels(labels: np.ndarray, users: np.ndarray) -> int:
    """Number of users who have likes and dislikes among the samples, (n,), (n,)."""
    n, likes = np.bincount(users), np.bincount(users, labels)
    return int(((likes > 0) & (likes < n)).sum())


def resampled_aucs(
    labels: np.ndarray,
    scores: Mapping[str, np.ndarray],
    m: int,
    seed: int,
    users: np.ndarray | None = None,
    n_users: int | None = None,
) -> dict[str, np.ndarray]:
    """AUCs of all scores on the same m bootstrap resamples, (m,) each: differences are paired.

    NaN stands for resamples with only one label.

    Args:
        labels: (n,).
        scores: name -> (n,).
        users: numbers of the users, (n,): whole users are drawn, each with all its samples (cluster bootstrap). None
            draws samples.
        n_users: how many users there are to draw from, if some of them have no sample here: the same for several
            sets of samples of the same users, it draws the same users for each set.
    """
    out: dict[str, list[np.ndarray]] = {name: [np.empty(0)] for name in scores}
    rankings = {name: _Ranking.of(labels, values) for name, values in scores.items()}
    for times in _resamples(len(labels), m, seed, users, n_users):
        n_yes, n_drawn = labels @ times, times.sum(0)
        mixed = (n_yes > 0) & (n_yes < n_drawn)
        for name, ranking in rankings.items():
            aucs = np.full(len(mixed), np.nan)
            aucs[mixed] = ranking.aucs(times[:, mixed])
            out[name].append(aucs)
    return {name: np.concatenate(parts) for name, parts in out.items()}


def resampled_means(
    values: Mapping[str, np.ndarray], m: int, seed: int, users: np.ndarray | None = None, n_users: int | None = None
) -> dict[str, np.ndarray]:
    """Means of values, (n,) each, on the same m bootstrap resamples as :func:`resampled_aucs` draws, (m,) each."""
    out: dict[str, list[np.ndarray]] = {name: [np.empty(0)] for name in values}
    n = len(next(iter(values.values()), ()))
    for times in _resamples(n, m, seed, users, n_users):
        n_drawn = times.sum(0)
        for name, found in values.items():
            sums = found.astype(np.float64) @ times
            out[name].append(np.divide(sums, n_drawn, out=np.full(len(n_drawn), np.nan), where=n_drawn > 0))
    return {name: np.concatenate(parts) for name, parts in out.items()}


def _resamples(n: int, m: int, seed: int, users: np.ndarray | None, n_users: int | None) -> Iterator[np.ndarray]:
    """How often each of n samples occurs in each of m resamples, some resamples at a time: (n, some) each."""
    rng = np.random.default_rng(seed)
    n_drawn = n if users is None else n_users or number_of(users)
    block = max(1, BLOCK_CELLS // max(n, 1))
    for start in range(0, m, block):
        times = _times_drawn(rng.integers(n_drawn, size=(min(block, m - start), n_drawn)))
        yield times if users is None else times[users]


def interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of bootstrap values, without those that are NaN; NaN if nothing is left."""
    known = values[~np.isnan(values)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _times_drawn(rows: np.ndarray) -> np.ndarray:
    """How often each of n rows occurs in each resample: (m, n) row numbers -> (n, m) counts."""
    m, n = rows.shape
    return np.bincount((rows * m + np.arange(m)[:, None]).ravel(), minlength=m * n).reshape(n, m)


@dataclass(frozen=True)
class _Ranking:
    """Rows in order of their scores, lowest first."""

    order: np.ndarray
    labels: np.ndarray
    """The labels in that order, (n, 1)."""
    firsts: np.ndarray
    """The positions in that order at which a new score begins."""

    @classmethod
    def of(cls, labels: np.ndarray, scores: np.ndarray) -> "_Ranking":
        order = np.argsort(scores)
        return cls(order, labels[order, None], np.flatnonzero(np.diff(scores[order], prepend=np.nan) != 0))

    def aucs(self, times: np.ndarray) -> np.ndarray:
        """Mann-Whitney's U over the number of pairs for m resamples at once, ties count half; (n, m) counts -> (m,)."""
        drawn = times[self.order]
        yes = np.add.reduceat(drawn * self.labels, self.firsts)
        no = np.add.reduceat(drawn, self.firsts) - yes
        won = (yes * (np.cumsum(no, axis=0) - no / 2)).sum(0)
        return np.asarray(won / (yes.sum(0) * no.sum(0)), dtype=np.float64)
