"""The table of a run: every row has the same users, the same targets, the same mask, and RecBole's own measures."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

import torch
from tabulate import tabulate
from torch import Tensor

from recbole_apa.core.system.threads import one_thread
from recbole_apa.next_item.counts import Scores, scores_of
from recbole_apa.next_item.data import NextItemData
from recbole_apa.next_item.heads import HeadSums, solve_head
from recbole_apa.next_item.heads.grid import as_numbers
from recbole_apa.next_item.options import MODEL, NextItemOptions
from recbole_apa.next_item.ranking import RankedSplit, recbole_figures, split_of
from recbole_apa.next_item.sequences import UserSequence
from recbole_apa.next_item.state import NextItemState, SplitStates

if TYPE_CHECKING:
    from recbole.config import Config

Scorer = Callable[[RankedSplit], Tensor]
"""Scores of all items for the users of a split, (b, m)."""
HEADS, WHOLE, POPULAR = "heads alone", "one head on everything", "times chosen"
SPLITS = ("valid", "test")


def figures_of(options: NextItemOptions, data: NextItemData, rows: Mapping[str, Scorer]) -> dict[str, dict[str, float]]:
    """Row -> figures of both splits, e.g. ``{"APANext": {"test.ndcg@10": 0.08}}``."""
    splits = [split_of(data, name) for name in SPLITS]
    out: dict[str, dict[str, float]] = {}
    for title, score in rows.items():
        out[title] = {}
        for split in splits:
            found = recbole_figures(score(split), split, measures(options)) if len(split.targets) else {}
            out[title] |= {f"{split.name}.{name}": value for name, value in found.items()}
    return out


def measures(options: NextItemOptions) -> "Config":
    """What RecBole's Collector and Evaluator read of a ``Config``."""
    told: dict[str, Any] = {
        "metrics": list(options.metrics),
        "topk": list(options.topk),
        "eval_args": {"mode": {"valid": "full", "test": "full"}},
        "device": torch.device("cpu"),
        "metric_decimal_place": 6,
    }
    return cast("Config", told)


def own_rows(state: NextItemState, data: NextItemData, ridge: float) -> dict[str, Scorer]:
    """What the run serves, and what shows where that comes from."""
    counts = None if state.learnt.counts is None else scores_of(state.learnt.counts)
    rows: dict[str, Scorer] = {MODEL: lambda split: _served(state, split, counts)}
    if state.fusion is not None:
        rows[HEADS] = lambda split: state.head_scores(_users(split), _states(state, split))
    rows[WHOLE] = lambda split: _one_head(state, split, ridge)
    rows[POPULAR] = lambda split: _popular(data).expand(len(split.targets), -1)
    return {title: _alone(score) for title, score in rows.items()}


def _alone(score: Scorer) -> Scorer:
    def scored(split: RankedSplit) -> Tensor:
        with one_thread():
            return score(split)

    return scored


def _users(split: RankedSplit) -> list[str]:
    return [sequence.user for sequence in split.sequences]


def _states(state: NextItemState, split: RankedSplit) -> Tensor:
    known: SplitStates = getattr(state.learnt, split.name)
    assert list(known.users) == _users(split)
    return known.states


def _served(state: NextItemState, split: RankedSplit, counts: Scores | None) -> Tensor:
    return state.scores(_users(split), _states(state, split), split.histories, counts)


def _one_head(state: NextItemState, split: RankedSplit, ridge: float) -> Tensor:
    """A head on the sum of all shards: what dividing users costs is the difference from it."""
    sums = state.learnt.sums
    whole = HeadSums.zero(*sums[0].cross.shape)
    for part in sums:
        whole = whole.plus(part)
    return as_numbers(_states(state, split)) @ solve_head(whole, ridge).T


def _popular(data: NextItemData) -> Tensor:
    """How often each item is in the training period, (m,)."""
    seen = torch.zeros(len(data.catalogue), dtype=torch.float64)
    for sequence in data.sequences:
        trained: UserSequence = sequence
        columns = torch.tensor(data.catalogue.columns(trained.trained), dtype=torch.int64)
        seen.index_add_(0, columns, torch.ones(len(columns), dtype=torch.float64))
    return seen


def told_of_repeats(data: NextItemData) -> str:
    """Of targets that their users had before: what the mask does with them, for people; empty without such."""
    parts = []
    for name, title in (("test", "test"), ("valid", "validation")):
        split = split_of(data, name)
        pairs = zip(split.targets.tolist(), split.histories, strict=True)
        n_repeats = sum(target in history for target, history in pairs)
        parts += [f"{n_repeats} of {len(split.targets)} {title} targets"] if n_repeats else []
    if not parts:
        return ""
    return (
        f"{' and '.join(parts)} are items that their users had before: of these users' past the mask lets the target "
        "alone through, so that the figures of all rows have hits that no list of recommendations can have"
    )


def table_of(figures: Mapping[str, Mapping[str, float]], seconds: Mapping[str, float]) -> str:
    """The figures for a terminal: test figures, and validation NDCG."""
    names = list(dict.fromkeys(name for row in figures.values() for name in row if name.startswith("test.")))
    valid = [name for row in figures.values() for name in row if name.startswith("valid.ndcg")][:1]
    head = [
        "",
        *(name.removeprefix("test.").replace("ndcg", "NDCG") for name in names),
        *valid,
        *(["seconds"] if seconds else []),
    ]
    lines = [
        [
            title,
            *(_shown(row.get(name)) for name in (*names, *valid)),
            *([_seconds(seconds.get(title))] if seconds else []),
        ]
        for title, row in figures.items()
    ]
    return tabulate(lines, head, disable_numparse=True)


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
