"""Table 1 of the paper (AUC), ours next to theirs.

    python -m benchmarks.paper --dataset=ml-100k --out=benchmarks/results/table1-movie
    python -m benchmarks.paper --dataset=book-crossing --data_path=DIR --out=benchmarks/results/table1-book

Rows that are already in --out are not computed again; if all are there, nothing is written. Other --option=value
arguments go to APA.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr
from tabulate import tabulate

from recbole_apa import compare
from recbole_apa.cli.main import parse_arguments
from recbole_apa.comparison.presets import read_preset
from recbole_apa.comparison.row import DONE, REFERENCE, Row
from recbole_apa.comparison.run_methods import Comparison
from recbole_apa.core.errors import RunError

# Hu et al., Table 1, LLaMA-7B; one number each
PAPER = {
    "ml-100k": {
        "Retraining": 0.7428,
        "SISA": 0.7035,
        "GraphEraser": 0.6903,
        "RecEraser": 0.6937,
        "APA(D)": 0.7259,
        "APA(ND)": 0.7256,
    },
    "book-crossing": {
        "Retraining": 0.6738,
        "SISA": 0.6728,
        "GraphEraser": 0.6684,
        "RecEraser": 0.6732,
        "APA(D)": 0.6829,
        "APA(ND)": 0.6846,
    },
}


def beside_the_paper(rows: list[Row], paper: dict[str, float]) -> list[list[str]]:
    """Method, ours (mean over seeds), theirs, and both differences from Retraining."""
    ours = {
        name: float(np.mean([row.figures["auc"] for row in rows if row.method == name and row.status == DONE]))
        for name in paper
        if any(row.method == name and row.status == DONE for row in rows)
    }
    return [
        [
            name,
            f"{ours[name]:.4f}",
            f"{paper[name]:.4f}",
            f"{ours[name] - ours[REFERENCE]:+.4f}",
            f"{paper[name] - paper[REFERENCE]:+.4f}",
        ]
        for name in ours
    ]


def agreement(rows: list[Row], names: Sequence[str]) -> list[list[str]]:
    """Rank correlation of two methods' answers on the test samples, mean over seeds: one line per method."""
    kept = {(row.method, row.seed): row.scores for row in rows if row.status == DONE}
    seeds = sorted({seed for _, seed in kept})
    there = [name for name in names if all((name, seed) in kept for seed in seeds)]

    def correlation(one: str, other: str) -> float:
        return float(np.mean([spearmanr(kept[one, seed], kept[other, seed]).statistic for seed in seeds]))

    return [[one, *(f"{correlation(one, other):.3f}" for other in there)] for one in there]


def read_or_measured(names: Sequence[str], dataset: str, options: dict, seeds: int, folder: Path) -> Comparison:
    """A comparison whose rows are only read if all of them are in the folder; else they are measured into it."""
    try:
        return compare(names, dataset, (), options, seeds=seeds, folder=folder, only_read=True)
    except RunError:
        return compare(names, dataset, (), options, seeds=seeds, folder=folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", choices=sorted(PAPER), default="ml-100k")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    given, further = parser.parse_known_args()
    kept = read_preset("table1")
    options = {**kept.options, **parse_arguments(further)}
    result = read_or_measured(kept.names, given.dataset, options, given.seeds, given.out)
    print(result.table)
    head = ["method", "ours", "paper", "minus Retraining, ours", "minus Retraining, paper"]
    table = beside_the_paper(result.rows, PAPER[given.dataset])
    print(tabulate(table, head, tablefmt="github", disable_numparse=True))
    lines = agreement(result.rows, list(PAPER[given.dataset]))
    names = ["rank correlation of the answers", *(line[0] for line in lines)]
    print(tabulate(lines, names, tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main()
