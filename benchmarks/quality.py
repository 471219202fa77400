"""APA against one adapter on all samples (Retraining) on the paper's protocol: mean of several seeds.

    python -m benchmarks.quality --seeds=3 --rows=benchmarks/results/table1-movie

The rows are those that benchmarks/paper.py has written into --rows; nothing is computed or written there. The defaults
were chosen on validation rows, and benchmarks/search.py checks them again on development rows; the test split was
scored once per seed. Other --option=value arguments go to APA.
"""

import argparse
from pathlib import Path

import numpy as np
from tabulate import tabulate

from benchmarks.paper import PAPER as PAPERS
from recbole_apa import compare
from recbole_apa.cli.main import parse_arguments
from recbole_apa.comparison.presets import read_preset
from recbole_apa.comparison.run_methods import SAMPLES
from recbole_apa.core.files.whole import read_json
from recbole_apa.evaluation.metrics import auc, interval, number_of, resampled_aucs, users_with_both_labels
from recbole_apa.evaluation.report.users_note import users_note
from recbole_apa.evaluation.simple_rules import HISTORY_AND_ITEM, HISTORY_LIKE_RATE

PAPER = PAPERS["ml-100k"]
RULES = (HISTORY_LIKE_RATE, HISTORY_AND_ITEM)
RESAMPLES = 1000


def summarise(labels: np.ndarray, seeds: list[dict[str, np.ndarray]], users: np.ndarray | None = None) -> list[dict]:
    """One row per method: mean AUC over seeds, its bootstrap interval, and differences.

    Args:
        labels: (n,).
        seeds: method -> scores, (n,), for each seed.
        users: numbers of the users, (n,): intervals resample them; None resamples rows.
    """
    flat = {f"{name}/{i}": s for i, scores in enumerate(seeds) for name, s in scores.items()}
    resampled = resampled_aucs(labels, flat, RESAMPLES, 0, users)
    mean = {n: np.mean([resampled[f"{n}/{i}"] for i in range(len(seeds))], axis=0) for n in seeds[0]}
    rows = []
    for name in seeds[0]:
        values = [auc(labels, s[name]) for s in seeds]
        row = {"method": name, "auc": float(np.mean(values)), "by_seed": values, "interval": interval(mean[name])}
        for rule in RULES:
            row[f"minus {rule}"] = interval(mean[name] - mean[rule])
        if name in PAPER:
            row["paper"] = PAPER[name]
        rows.append(row)
    return rows


def table(rows: list[dict]) -> str:
    """The Markdown table."""

    def span(pair: tuple[float, float]) -> str:
        return f"{pair[0]:+.3f} to {pair[1]:+.3f}"

    body = [
        [
            r["method"],
            f"{r['auc']:.4f}",
            " ".join(f"{v:.4f}" for v in r["by_seed"]) if len(set(r["by_seed"])) > 1 else "",
            f"{r['interval'][0]:.3f} to {r['interval'][1]:.3f}",
            f"{r['paper']:.4f} ({r['auc'] - r['paper']:+.4f})" if "paper" in r else "",
            *("" if r["method"] in RULES else span(r[f"minus {rule}"]) for rule in RULES),
        ]
        for r in rows
    ]
    head = [
        "method",
        "test AUC",
        "by seed",
        "95 % interval",
        "paper, LLaMA-7B",
        "over HistoryLikeRate",
        "over +ItemMean",
    ]
    return tabulate(body, head, tablefmt="github", disable_numparse=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--by_rows", action="store_true", help="intervals resample rows, not users")
    given, further = parser.parse_known_args()
    options = {**read_preset("table1").options, **parse_arguments(further)}
    result = compare(RULES, "ml-100k", (), options, seeds=given.seeds, folder=given.rows, only_read=True)
    samples = read_json(given.rows / SAMPLES)
    labels, users = np.array(samples["label"]), np.array(samples["user"])
    seeds = sorted({row.seed for row in result.rows})[: given.seeds]
    scores = [{row.method: np.array(row.scores) for row in result.rows if row.seed == seed} for seed in seeds]
    print(table(summarise(labels, scores, None if given.by_rows else users)))
    n_both = users_with_both_labels(labels, users)
    print(users_note(len(labels), number_of(users), n_both, by_users=not given.by_rows))
    print("code of the rows: " + ", ".join(sorted({row.digests["code"][:10] for row in result.rows})))


if __name__ == "__main__":
    main()
