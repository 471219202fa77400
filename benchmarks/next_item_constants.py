"""How the constants of APANext were chosen: by the validation rows of a finished run, never by test rows.

    python -m benchmarks.next_item_constants --run=saved/APANext-ml-100k-...

Solves heads again from the run's sums for several penalties, and looks at several penalties of EASE, numbers of recent
items and of places between a pair of items. The states of the validation rows are kept in the run: no pass is made.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from tabulate import tabulate
from torch import Tensor

from benchmarks.command import begin, command, keep
from recbole_apa.next_item.counts import ItemCounts, fit_fusion, similar, sums
from recbole_apa.next_item.counts.similar import CountScores
from recbole_apa.next_item.heads import Heads, solve_head
from recbole_apa.next_item.ranking import RankedSplit, split_of
from recbole_apa.next_item.run.opened import NextItemRun, open_state
from recbole_apa.next_item.run.store import NextItemStore
from recbole_apa.next_item.state import head_term

RIDGES = (0.03, 0.1, 0.3, 1.0, 3.0)
PENALTIES, RECENT, GAPS = (150.0, 600.0, 1200.0), (10, 20), (6, 10, 20)


def main() -> None:
    """Print and keep the tables."""
    parser = command(__doc__, threads=1)
    parser.add_argument("--run", type=Path, required=True)
    given = begin(parser)
    run = open_state(NextItemStore(given.run))
    split = split_of(run.data, "valid")
    heads, counts = list(of_heads(run, split)), list(of_counts(run, split))
    print(tabulate(heads, ["head_ridge", "NDCG@10, merged alike"], floatfmt=".4f"))
    print(tabulate(counts, ["places", "EASE", "recent", "log loss", "NDCG@10"], floatfmt=".4f"))
    keep(given, {"heads": heads, "counts": counts})


def of_heads(run: NextItemRun, split: RankedSplit) -> Iterator[list[float]]:
    """Each penalty's NDCG@10 of heads that count the same."""
    learnt = run.state.learnt
    for ridge in RIDGES:
        heads = Heads(torch.stack([solve_head(part, ridge) for part in learnt.sums]))
        equal = torch.full((len(split.targets), len(learnt.sums)), 1 / len(learnt.sums), dtype=torch.float64)
        yield [ridge, ndcg(heads.merged(learnt.valid.states, equal), split)]


def of_counts(run: NextItemRun, split: RankedSplit) -> Iterator[list[float]]:
    """The fusion's log loss and NDCG@10 for each combination."""
    users = [sequence.user for sequence in split.sequences]
    heads = head_term(run.state.head_scores(users, run.state.learnt.valid.states))
    trained = [run.data.catalogue.columns(sequence.trained) for sequence in run.data.sequences]
    usual = sums.GAP_WEIGHTS, similar.EASE_PENALTY, similar.N_RECENT
    try:
        for gaps in GAPS:
            weights = usual[0][:gaps]
            sums.GAP_WEIGHTS = similar.GAP_WEIGHTS = weights  # type: ignore[assignment]
            counts = ItemCounts.of(trained, split.n_items)
            for penalty in PENALTIES:
                similar.EASE_PENALTY = penalty
                known = CountScores.of(counts)
                for recent in RECENT if gaps == GAPS[-1] else RECENT[:1]:
                    similar.N_RECENT = recent
                    terms = torch.cat([heads[None], replace(known).terms(split.histories)])
                    fusion = fit_fusion(terms, split.allowed, split.targets)
                    yield [gaps, penalty, recent, fusion.log_loss, ndcg(fusion(terms), split)]
    finally:
        sums.GAP_WEIGHTS = similar.GAP_WEIGHTS = usual[0]
        similar.EASE_PENALTY, similar.N_RECENT = usual[1:]


def ndcg(scores: Tensor, split: RankedSplit) -> float:
    """NDCG@10 of one target a row."""
    ranks = split.ranks(scores)
    return float(((ranks <= 10) / torch.log2(1 + ranks)).mean())


if __name__ == "__main__":
    main()
