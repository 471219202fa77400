"""APA against one adapter on all samples (Retraining) on the paper's protocol: mean of several seeds.

    python -m benchmarks.quality --seeds=1,2,3 --out=quality.json

Every choice was made on validation data (benchmarks/search.py); the test split is scored once per seed, here.
"""

import argparse
import json
import logging
import time
from pathlib import Path

import numpy as np
from tabulate import tabulate

from benchmarks.protocol import commit, fit
from recbole_apa.evaluation.metrics import auc, interval, resampled_aucs
from recbole_apa.evaluation.trivial_rules import HISTORY_AND_ITEM, HISTORY_LIKE_RATE, trivial_scores

PAPER = {"Retraining": 0.7428, "APA(D)": 0.7259, "APA(ND)": 0.7256}
RULES = (HISTORY_LIKE_RATE, HISTORY_AND_ITEM)
MERGED = ("decomposition", "non_decomposition")
RESAMPLES = 1000


def test_scores(options: dict) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Labels, and scores of both mergers and the trivial rules on the test samples."""
    # `prediction` needs no pass of its own over the validation samples; both mergers are scored here
    fitted = fit({**options, "aggregation": "prediction"})
    part = fitted.data[2]._dataset
    prompts = fitted.model.prompts(part.labelled)
    weights = fitted.model.weights(prompts)
    scores = {how: fitted.model.aggregate(prompts, weights, how).numpy() for how in MERGED}
    scores |= trivial_scores(part.samples, part.train_rows)
    return np.array([s.label for s in part.samples]), scores


def measure(seed: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Test scores of Retraining and APA with one seed."""
    labels, one = test_scores({"seed": seed, "n_shards": 1})
    _, apa = test_scores({"seed": seed})
    merged = {"APA(D)": apa["decomposition"], "APA(ND)": apa["non_decomposition"]}
    return labels, {"Retraining": one["decomposition"], **merged, **{name: apa[name] for name in RULES}}


def summarise(labels: np.ndarray, seeds: list[dict[str, np.ndarray]]) -> list[dict]:
    """One row a method: mean AUC over seeds, its bootstrap interval over test rows, and distances."""
    flat = {f"{name}/{i}": s for i, scores in enumerate(seeds) for name, s in scores.items()}
    resampled = resampled_aucs(labels, flat, RESAMPLES, seed=0)
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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--out", type=Path, default=Path("quality.json"))
    arguments = parser.parse_args()
    logging.disable(logging.INFO)
    start, measured_on = time.perf_counter(), commit()
    found = []
    for seed in map(int, arguments.seeds.split(",")):
        labels, scores = measure(seed)
        found.append(scores)
        print(seed, {n: round(auc(labels, s) or 0, 4) for n, s in scores.items()}, flush=True)
    rows = summarise(labels, found)
    record = {"commit": measured_on, "seconds": round(time.perf_counter() - start), "rows": rows}
    arguments.out.write_text(json.dumps(record, indent=1) + "\n")
    print(f"commit {record['commit']}, {record['seconds']} s")
    print(table(rows))


if __name__ == "__main__":
    main()
