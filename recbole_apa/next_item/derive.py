"""From sums to a state: the same way after a training and after a request, so that both give the same bits."""

import torch
from torch import Tensor

from recbole_apa.core.errors import DataError
from recbole_apa.core.system.threads import one_thread
from recbole_apa.next_item.counts import Fusion, fit_fusion, scores_of
from recbole_apa.next_item.data import NextItemData
from recbole_apa.next_item.heads import Heads, ShardWeights, StateGrid, choose_weights, solve_head
from recbole_apa.next_item.heads.mixture import NEIGHBORS, TAUS
from recbole_apa.next_item.ranking import RankedSplit, ranks_of, split_of
from recbole_apa.next_item.settings import NextItemSettings
from recbole_apa.next_item.state import Learnt, NextItemState, head_term

NO_ROWS = (
    "no training row is left: expected a user with at least four items, and a MAX_ITEM_LIST_LENGTH that shows three of "
    "them"
)


def derive(
    grid: StateGrid, learnt: Learnt, data: NextItemData, settings: NextItemSettings, solved: dict[int, Tensor]
) -> NextItemState:
    """Heads, their errors on the validation rows, the weights' constants and the fusion.

    Args:
        solved: heads of shards whose sums are those that they were solved from.

    Raises:
        DataError: no training row is left.
    """
    if not any(sums.n_rows for sums in learnt.sums):
        raise DataError(NO_ROWS)
    with one_thread():  # products on several threads round in other ways
        return _derive(grid, learnt, data, settings, solved)


def _derive(
    grid: StateGrid, learnt: Learnt, data: NextItemData, settings: NextItemSettings, solved: dict[int, Tensor]
) -> NextItemState:
    each = [solved[k] if k in solved else solve_head(sums, settings.head_ridge) for k, sums in enumerate(learnt.sums)]
    heads = Heads(torch.stack(each))
    split = split_of(data, "valid")
    states, allowed = learnt.valid.states, split.allowed
    scores = heads.each(states)
    errors = torch.stack([1 - 1 / ranks_of(own, allowed, split.targets) for own in scores], 1)
    tau, n_neighbors = choose_weights(
        states,
        scores,
        errors,
        lambda merged: ranks_of(merged, allowed, split.targets),
        heads.active,
        _grid(settings),
    )
    weights = ShardWeights(states, errors, heads.active, tau, n_neighbors)
    fusion = _fusion(learnt, heads.merged(states, weights(states, torch.arange(len(states)))), split)
    return NextItemState(grid, learnt, heads, errors, tau, n_neighbors, fusion)


def _grid(settings: NextItemSettings) -> list[tuple[float, int]]:
    """What is tried: tau and n. With tau 0 all heads count the same, whatever n."""
    taus = TAUS if settings.tau == "auto" else (float(settings.tau),)
    neighbors = NEIGHBORS if settings.n_neighbors == "auto" else (int(settings.n_neighbors),)
    return [(tau, n) for n in neighbors for tau in taus if tau > 0 or n == min(neighbors)]


def _fusion(learnt: Learnt, merged: Tensor, split: RankedSplit) -> Fusion | None:
    if learnt.counts is None:
        return None
    terms = torch.cat([head_term(merged)[None], scores_of(learnt.counts).terms(split.histories)])
    return fit_fusion(terms, split.allowed, split.targets)
