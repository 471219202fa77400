"""What collaborative statistics and a user's past say about a target: one number each, float64.

Every term of a target depends on that target and on the statistics alone, in every bit: not on which other targets it
is computed together with. Shapes: n targets, r rows of their pasts together.
"""

from dataclasses import dataclass

import numpy as np

from recbole_apa.collaborative.contents import CONTENT, NOTHING, Contents
from recbole_apa.collaborative.item_sums import ItemSums
from recbole_apa.collaborative.options import TermOptions
from recbole_apa.collaborative.pair_sums import Pairs, PairSums
from recbole_apa.collaborative.pasts import Pasts
from recbole_apa.collaborative.rows import LABEL_UNIT

ITEM, BIAS, RECENT_BIAS, RATE, RECENT_RATE = "item_mean", "bias", "recent_bias", "rate", "recent_rate"
NEIGHBORS = "neighbors"
WITHOUT_CONTENT = (ITEM, BIAS, RECENT_BIAS, RECENT_RATE, NEIGHBORS)
DEFAULT_TERMS = (*WITHOUT_CONTENT, CONTENT)
"""What is combined unless told otherwise."""
_CLIP = 1e-7


@dataclass(frozen=True)
class Terms:
    """Columns of features by name, each (n,)."""

    columns: dict[str, np.ndarray]

    def table(self, names: tuple[str, ...] | None = None) -> np.ndarray:
        """Some columns beside each other, or all, (n, f)."""
        return np.stack([self.columns[name] for name in names or tuple(self.columns)], axis=1)


def term_names(contents: Contents) -> tuple[str, ...]:
    """The terms that are combined."""
    return (*WITHOUT_CONTENT, *contents.terms)


def looked_at(pasts: Pasts, options: TermOptions) -> Pasts:
    """The rows of pasts that terms are derived from."""
    return pasts.last(options.past) if options.past else pasts


def pairs_of(pasts: Pasts) -> tuple[Pairs, np.ndarray]:
    """The pairs of a target's item and one of its past, and the number of each row's pair, (r,)."""
    return Pairs.of(pasts.items[pasts.owners], pasts.past_items)


def collaborative_terms(
    pasts: Pasts, items: ItemSums, pairs: PairSums, options: TermOptions, contents: Contents = NOTHING
) -> Terms:
    """All terms of some targets.

    How far rows of a past lie above their items' means is a user's bias on average; what is left of each is a residual,
    which neighbours and content carry over to the target.

    Args:
        pairs: sums for at least :func:`pairs_of` these targets.
        contents: what is public about items.

    Raises:
        KeyError: a pair is missing.
    """
    mean, means = items.mean(), items.means(options.item_strength)
    above, bias = _above_means(pasts, items, options)
    residuals = above - bias[pasts.owners]
    shown = log_odds if items.unit == LABEL_UNIT else np.asarray
    columns = {
        ITEM: shown(means[pasts.items]),
        BIAS: bias,
        RECENT_BIAS: rate(pasts, above, 0.0, options.bias_strength, options.recency),
        RATE: shown(rate(pasts, pasts.past_values, mean, options.user_strength)),
        RECENT_RATE: shown(rate(pasts, pasts.past_values, mean, options.user_strength, options.recency)),
    }
    columns[NEIGHBORS] = weighted_mean(
        pasts, _neighbor_weights(pasts, items, pairs, options), residuals, options.neighbor_strength
    )
    for name, close in contents.closeness(pasts.items[pasts.owners], pasts.past_items, options):
        columns[name] = weighted_mean(pasts, close, residuals, options.content_strength)
    return Terms(columns)


def strongest(pasts: Pasts, items: ItemSums, pairs: PairSums, options: TermOptions) -> np.ndarray:
    """How many steps back the row of a past is that speaks most for its target by :data:`NEIGHBORS`, (n,), int64; of
    equal ones the latest, 0 if none speaks for it.

    Args:
        pairs: as in :func:`collaborative_terms`.
    """
    above, bias = _above_means(pasts, items, options)
    adds = _neighbor_weights(pasts, items, pairs, options) * (above - bias[pasts.owners])
    out = np.zeros(len(pasts), dtype=np.int64)
    owners, steps = pasts.owners, pasts.steps
    order = np.lexsort((-steps, adds, owners))
    order = order[adds[order] > 0]
    out[owners[order]] = steps[order]  # the last of each past has the most
    return out


def _above_means(pasts: Pasts, items: ItemSums, options: TermOptions) -> tuple[np.ndarray, np.ndarray]:
    """How far each row of the pasts lies above its item's mean, (r,), and each past's bias, (n,)."""
    above = pasts.past_values - items.means(options.item_strength)[pasts.past_items]
    return above, rate(pasts, above, 0.0, options.bias_strength)


def _neighbor_weights(pasts: Pasts, items: ItemSums, pairs: PairSums, options: TermOptions) -> np.ndarray:
    """How much each row of the pasts counts for :data:`NEIGHBORS`, (r,): 0 but for the most alike of its past."""
    wanted, which = pairs_of(pasts)
    alike = pairs.only(wanted).similarities(items, options.pair_shrinkage)[which]
    return np.where(nearest_of(pasts, alike, options.neighbors), alike, 0.0)


def log_odds(shares: np.ndarray) -> np.ndarray:
    """ln(s / (1 - s)), with s clipped to [1e-7, 1 - 1e-7]: where all labels are equal, shares are 0 or 1."""
    clipped = np.clip(shares, _CLIP, 1 - _CLIP)
    return np.log(clipped) - np.log1p(-clipped)


def rate(pasts: Pasts, values: np.ndarray, prior: float, strength: float, decay: float = 1.0) -> np.ndarray:
    """Mean value of each past, (n,), where a row k steps before the target has the weight ``decay``^(k-1).

    Args:
        values: (r,).
        prior: ``strength`` rows of this value are added to each past.
    """
    weights = decay ** (pasts.steps - 1.0)
    return (_sums(pasts, weights * values) + strength * prior) / (_sums(pasts, weights) + strength)


def weighted_mean(pasts: Pasts, weights: np.ndarray, values: np.ndarray, strength: float) -> np.ndarray:
    """Sum of weight times value over each past, by the sum of absolute weights and ``strength``, (n,).

    Args:
        weights: (r,).
        values: (r,).
    """
    return _sums(pasts, weights * values) / (_sums(pasts, np.abs(weights)) + strength)


def nearest_of(pasts: Pasts, similarities: np.ndarray, n: int) -> np.ndarray:
    """Whether a row is among the ``n`` most alike of its past, bool, (r,); of equal ones the latest."""
    owners, steps = pasts.owners, pasts.steps
    order = np.lexsort((steps, -similarities, owners))
    rank = np.empty(len(order), dtype=np.int64)
    starts = np.cumsum(pasts.lengths) - pasts.lengths
    rank[order] = np.arange(len(order)) - starts[owners]
    return rank < n


def _sums(pasts: Pasts, values: np.ndarray) -> np.ndarray:
    """The sum over each past, added in order, (n,): the same bits whatever other pasts there are."""
    return np.bincount(pasts.owners, weights=values, minlength=len(pasts))
