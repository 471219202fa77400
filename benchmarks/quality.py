"""APA against one adapter on all samples (Retraining) on the paper's protocol: mean of several seeds.

    python -m benchmarks.quality --seeds=1,2,3 --out=quality.json

The defaults were chosen on validation rows, benchmarks/search.py looks at them again on development rows; the test
split is scored here, once per seed. Scores go to OUT.scores.jsonl seed by seed, and a seed that stands there is not
trained again.
"""

import argparse
import json
import logging
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


def test_scores(options: dict, mergers: tuple[str, ...] = MERGED) -> tuple[np.ndarray, dict[str, np.ndarray], dict]:
    """Labels, scores of the mergers and the trivial rules on the test samples, and what the attention chose."""
    # `prediction` needs no pass of its own over the validation samples; both mergers are scored here
    fitted = fit({**options, "aggregation": "prediction"})
    part = fitted.data[2]._dataset
    prompts = fitted.model.prompts(part.labelled)
    weights = fitted.model.weights(prompts)
    scores = {how: fitted.model.aggregate(prompts, weights, how).numpy() for how in mergers}
    scores |= trivial_scores(part.samples, part.train_rows)
    chosen = {"tau": fitted.trainer.record.tau, "n_neighbors": fitted.trainer.record.n_neighbors}
    return np.array([s.label for s in part.samples]), scores, chosen


def measure(seed: int) -> dict:
    """Test scores of Retraining and APA with one seed."""
    labels, one, _ = test_scores({"seed": seed, "n_shards": 1}, MERGED[:1])
    _, apa, chosen = test_scores({"seed": seed})
    merged = {"APA(D)": apa["decomposition"], "APA(ND)": apa["non_decomposition"]}
    scores = {"Retraining": one["decomposition"], **merged, **{name: apa[name] for name in RULES}}
    rounded = {name: [round(float(v), 6) for v in values] for name, values in scores.items()}
    return {"seed": seed, "commit": commit(), **chosen, "labels": labels.tolist(), "scores": rounded}


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
    kept = arguments.out.with_suffix(".scores.jsonl")
    known = [json.loads(line) for line in kept.read_text().splitlines()] if kept.is_file() else []
    found = []
    for seed in map(int, arguments.seeds.split(",")):
        line = next((k for k in known if k["seed"] == seed), None) or measure(seed)
        if line not in known:
            with open(kept, "a") as out:
                out.write(json.dumps(line) + "\n")
        found.append({name: np.array(values) for name, values in line["scores"].items()})
        labels, measured_on = np.array(line["labels"]), line["commit"]
        print(seed, {n: round(auc(labels, s) or 0, 4) for n, s in found[-1].items()}, flush=True)
    rows = summarise(labels, found)
    arguments.out.write_text(json.dumps({"commit": measured_on, "rows": rows}, indent=1) + "\n")
    print(f"commit {measured_on}")
    print(table(rows))


if __name__ == "__main__":
    main()
