"""Exact and approximate forgetting of one user, of 5 % of the users and of a stream of 20 single ratings, side by side.

    python -m benchmarks.forgetting --out=benchmarks/results

The experiments are those in properties/experiments/; rows that are already in --out are not computed again. Other
--option=value arguments go to APA.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from tabulate import tabulate

from recbole_apa import compare_forgetting
from recbole_apa.cli.main import parse_arguments
from recbole_apa.comparison.forget_task import ForgetRequest
from recbole_apa.comparison.presets import read_preset
from recbole_apa.comparison.report.forgetting import forgetting_rows
from recbole_apa.comparison.row import Row

EXPERIMENTS = {"one user": "forget_one_user", "5 % of the users": "forget_users", "20 ratings": "forget_stream"}
DISTANCES = {"JSD": ("js_divergence", ".4f"), "local residual": ("local_residual", ".2f")}
COSTS = {"AUC test": ("auc", ".4f"), "LogLoss test": ("logloss", ".3f"), "seconds": ("unlearn_seconds", ".0f")}


def side_by_side(rows: Mapping[str, Sequence[Row]], columns: Mapping[str, tuple[str, str]], spread: bool) -> str:
    """A Markdown table: one line per method, the columns for each experiment; means over seeds, with ``spread`` also
    standard deviations."""
    deviating = {figure for figure, _ in columns.values()} if spread else set()
    lines = [{name: cells for name, *cells in forgetting_rows(found, columns, deviating)} for found in rows.values()]
    body = [
        [name, *(of.get(name, [""] * len(columns))[i] for i in range(len(columns)) for of in lines)]
        for name in dict.fromkeys(name for of in lines for name in of)
    ]
    head = ["method", *(f"{title}, {experiment}" for title in columns for experiment in rows)]
    return tabulate(body, head, tablefmt="github", disable_numparse=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    given, further = parser.parse_known_args()
    rows = {}
    for title, experiment in EXPERIMENTS.items():
        kept = read_preset(experiment)
        request, options = ForgetRequest(**kept.forget), {**kept.options, **parse_arguments(further)}
        folder = given.out / experiment.replace("_", "-")
        rows[title] = compare_forgetting(
            kept.names, request, "ml-100k", (), options, seeds=given.seeds, folder=folder
        ).rows
    print(side_by_side(rows, DISTANCES, spread=True))
    print(side_by_side(rows, COSTS, spread=False))


if __name__ == "__main__":
    main()
