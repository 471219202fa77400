"""RecBole's ranking metrics (Recall@k, NDCG@k, MRR@k, ...) of lists with one liked item each."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from recbole.evaluator import Evaluator
from recbole.evaluator.collector import DataStruct

from recbole_apa.core.errors import SettingsError

if TYPE_CHECKING:
    from recbole.config import Config


def ranking_figures(config: "Config", ranks: np.ndarray) -> dict[str, float]:
    """The metrics that the configuration names, computed by RecBole's evaluator.

    Args:
        config: names ``metrics`` and ``topk``.
        ranks: the rank of the liked item in each list, 1 for the first, (n,).

    Raises:
        SettingsError: a metric uses more than the first k places.
    """
    evaluator = Evaluator(config)
    needs = {need for metric in evaluator.metric_class.values() for need in metric.metric_need}
    if needs != {"rec.topk"}:
        raise SettingsError(
            f"metrics: found {list(config['metrics'])}, expected metrics of the first k places: Recall, NDCG, MRR, "
            "Hit, Precision, MAP"
        )
    deepest = max(config["topk"])
    hits = torch.from_numpy(ranks[:, None] == np.arange(1, deepest + 1)[None]).int()  # (n, k)
    found = DataStruct()
    # RecBole's layout: which of the first k are liked, then how many are liked at all
    found.set("rec.topk", torch.cat([hits, torch.ones(len(ranks), 1, dtype=torch.int)], dim=1))
    return {name: float(value) for name, value in evaluator.evaluate(found).items()}
