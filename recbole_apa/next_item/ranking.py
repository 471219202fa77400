"""Ranks over the whole catalogue, and RecBole's own figures of them; one history mask for every row of a comparison.

RecBole masks the history of general models and never that of sequential ones, which alone doubles figures where nobody
chooses an item twice. Here every row has the same mask: all items that the user had before the target.

Shapes: b users, m items of the catalogue.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from recbole_apa.core.errors import SettingsError
from recbole_apa.next_item.data import NextItemData
from recbole_apa.next_item.sequences import UserSequence

if TYPE_CHECKING:
    from recbole.config import Config

METRICS = frozenset({"recall", "mrr", "ndcg", "hit", "map", "precision"})
"""RecBole's metrics that need nothing but the ranking."""


@dataclass(frozen=True)
class RankedSplit:
    """The validation or test rows: one target for each user who has one."""

    name: str
    sequences: tuple[UserSequence, ...]
    histories: tuple[tuple[int, ...], ...]
    """Columns of all items before the target, oldest first."""
    targets: Tensor
    """Columns, (b,), int64."""
    n_items: int

    @property
    def allowed(self) -> Tensor:
        """Items that may be ranked: those that the user did not have before, and the target; bool, (b, m)."""
        out = torch.ones(len(self.histories), self.n_items, dtype=torch.bool)
        for row, history in enumerate(self.histories):
            out[row, list(history)] = False
        out[torch.arange(len(self.targets)), self.targets] = True
        return out

    def masked(self, scores: Tensor) -> Tensor:
        """Scores (b, m) with -inf for what may not be ranked."""
        return scores.masked_fill(~self.allowed, float("-inf"))

    def ranks(self, scores: Tensor) -> Tensor:
        """The rank of each target, 1 for the best, (b,), float64; ties go to the earlier column."""
        return ranks_of(scores, self.allowed, self.targets)


def ranks_of(scores: Tensor, allowed: Tensor, targets: Tensor) -> Tensor:
    """As :meth:`RankedSplit.ranks`."""
    own = scores.gather(1, targets[:, None])
    before = torch.arange(scores.shape[1]) < targets[:, None]
    above = (scores > own) | ((scores == own) & before)
    return 1 + (above & allowed).sum(1).double()


def split_of(data: NextItemData, name: str) -> RankedSplit:
    """The rows of a split.

    Args:
        name: ``valid`` or ``test``.
    """
    n_after = {"valid": 2, "test": 1}[name]
    users = tuple(s for s in data.sequences if s.n_held_out >= n_after)
    columns = [data.columns(sequence) for sequence in users]
    histories = tuple(tuple(own[:-n_after]) for own in columns)
    targets = torch.tensor([own[-n_after] for own in columns], dtype=torch.int64)
    return RankedSplit(name, users, histories, targets, len(data.catalogue))


def recbole_figures(scores: Tensor, split: RankedSplit, config: "Config") -> dict[str, float]:
    """RecBole's Collector and Evaluator on a full ranking, under RecBole's names (``ndcg@10``).

    Args:
        scores: of all items, (b, m); the mask is applied here.
    """
    from recbole.config import Config
    from recbole.data.interaction import Interaction
    from recbole.evaluator import Collector, Evaluator

    if not len(split.targets):
        return {}
    # names that numpy dropped and RecBole's metrics use; a finished run is evaluated without a Config
    Config.compatibility_settings(None)
    collector = Collector(config)
    rows = torch.arange(len(split.targets))
    collector.eval_batch_collect(split.masked(scores).float(), Interaction({}), rows, split.targets)
    found = Evaluator(config).evaluate(collector.get_data_struct())
    return {name: float(value) for name, value in found.items()}


def refuse_topk(topk: Sequence[int], n_items: int) -> None:
    """
    Raises:
        SettingsError: more items are to be ranked than there are.
    """
    if max(topk) > n_items:
        raise SettingsError(f"topk: found {max(topk)}, expected at most {n_items}, the number of items")


def refuse_metrics(metrics: Sequence[str]) -> None:
    """
    Raises:
        SettingsError: a metric that needs more than the ranking of one target.
    """
    others = sorted(name for name in metrics if name.lower() not in METRICS)
    if others:
        raise SettingsError(f"metrics: found {', '.join(others)}, expected some of {', '.join(sorted(METRICS))}")
