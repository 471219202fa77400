"""AUC of the rows that a comparison under the paper's protocol has kept so far, with intervals over users.

    python -m benchmarks.kept_intervals --dataset=book-crossing --data_path=/tmp/book \
        --rows=benchmarks/results/table1-book
    python -m benchmarks.kept_intervals --dataset=ml-100k --rows=benchmarks/results/weights-movie --reference="APA(D)"
    python -m benchmarks.kept_intervals --dataset=book-crossing --data_path=DIR      # the share of likes alone

For a comparison that was stopped: it has neither its table nor the labels of its samples. These are read from the data,
and beside the rows stands the share of likes in each history. Of the rows' first seed.
"""

import argparse
from pathlib import Path

import numpy as np
from tabulate import tabulate

from recbole_apa import APAConfig
from recbole_apa.comparison.row import DONE, REFERENCE, ROWS
from recbole_apa.core.files.whole import read_json
from recbole_apa.evaluation.metrics import auc, interval, number_of, resampled_aucs, user_numbers
from recbole_apa.evaluation.simple_rules import HISTORY_LIKE_RATE, trivial_scores
from recbole_apa.pipeline.build_data import build_data

RESAMPLES = 1000


def kept_scores(folder: Path) -> dict[str, np.ndarray]:
    """Method -> its scores of the test samples, (n,)."""
    rows = [read_json(path) for path in sorted((folder / ROWS).glob("*.json"))]
    done = [row for row in rows if row["status"] == DONE]
    first = min(row["seed"] for row in done)
    return {row["method"]: np.array(row["scores"]) for row in done if row["seed"] == first}


def table(labels: np.ndarray, users: np.ndarray, scores: dict[str, np.ndarray], reference: str) -> list[list[str]]:
    """A line for each method: AUC, and its difference from the reference if that is there, paired, with intervals."""
    resampled = resampled_aucs(labels, scores, RESAMPLES, 0, users)
    lines = [[name, f"{auc(labels, found):.4f}", span(resampled[name], "")] for name, found in scores.items()]
    if reference in scores:
        own = auc(labels, scores[reference])
        for line, (name, found) in zip(lines, scores.items(), strict=True):
            line += [f"{auc(labels, found) - own:+.4f}", span(resampled[name] - resampled[reference])]
    return lines


def span(values: np.ndarray, sign: str = "+") -> str:
    """The 95 % interval.

    Args:
        sign: ``+`` shows that of a difference.
    """
    low, high = interval(values)
    return f"{low:{sign}.3f} to {high:{sign}.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--data_path", help="without it RecBole's own folder")
    parser.add_argument("--rows", type=Path, help="the folder of a comparison")
    parser.add_argument("--reference", default=REFERENCE, help="the row that others are compared with")
    given = parser.parse_args()
    options = {"protocol": "tallrec", "evidence": "none"} | ({"data_path": given.data_path} if given.data_path else {})
    data = build_data(APAConfig("APA", given.dataset, config_dict=options))
    samples = data.test_set.samples
    rules = trivial_scores(samples, data.train_set.train_rows)
    kept = kept_scores(given.rows) if given.rows else {}
    scores = {**kept, HISTORY_LIKE_RATE: np.array(rules[HISTORY_LIKE_RATE])}
    labels = np.array([sample.label for sample in samples])
    users = user_numbers([sample.user_id for sample in samples])
    print(f"{len(labels)} test samples of {number_of(users)} users, {int((labels == 0).sum())} not liked")
    head = ["method", "AUC", "95 % interval", f"minus {given.reference}", "95 % interval"]
    lines = table(labels, users, scores, given.reference)
    print(tabulate(lines, head[: len(lines[0])], tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main()
