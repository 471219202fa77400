"""Rules that a spreadsheet could apply. A model that does not beat them has learnt nothing beyond them."""

from collections.abc import Sequence

import numpy as np

from recbole_apa.data.samples import Sample
from recbole_apa.data.tallies import Tallies

Rows = Sequence[tuple[str, int]] | Tallies

HISTORY_LIKE_RATE = "HistoryLikeRate"
ITEM_MEAN = "ItemMean"
HISTORY_AND_ITEM = "HistoryLikeRate+ItemMean"
RULES = (HISTORY_LIKE_RATE, ITEM_MEAN, HISTORY_AND_ITEM)


def history_like_rate(samples: Sequence[Sample], default: float) -> np.ndarray:
    """Share of likes in each history, (n,); ``default`` for an empty one."""
    return np.array([np.mean([e.label for e in s.history]) if s.history else default for s in samples])


def item_mean(samples: Sequence[Sample], train_rows: Rows, default: float) -> np.ndarray:
    """Mean training label of each target item, (n,); ``default`` for items without training rows."""
    told = Tallies.of(train_rows)
    wanted = {s.item_id for s in samples}
    code_of = {name: code for code, name in enumerate(told.names) if name in wanted}
    codes = [code_of.get(s.item_id, -1) for s in samples]
    return np.array([told.likes[k] / told.n[k] if k >= 0 and told.n[k] else default for k in codes])


def rule_scores(name: str, samples: Sequence[Sample], train_rows: Rows) -> np.ndarray:
    """Scores in [0, 1] by one of ``RULES``, (n,).

    Args:
        train_rows: item and label of every training target, whether drawn for the model or not; or their counts.
    """
    train_rows = Tallies.of(train_rows)
    default = train_rows.mean()
    if name == HISTORY_LIKE_RATE:
        return history_like_rate(samples, default)
    items = item_mean(samples, train_rows, default)
    return items if name == ITEM_MEAN else (history_like_rate(samples, default) + items) / 2


def trivial_scores(samples: Sequence[Sample], train_rows: Rows) -> dict[str, np.ndarray]:
    """Scores of the two rules shown in every table, (n,) each; arguments as in :func:`rule_scores`."""
    return {name: rule_scores(name, samples, train_rows) for name in (HISTORY_LIKE_RATE, HISTORY_AND_ITEM)}
