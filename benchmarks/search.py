"""What limits the small model? One change at a time on the paper's protocol, judged on validation data alone.

    python -m benchmarks.search --out=search.json [--only=lr,epochs]

The test split is never scored here. A line of JSON goes to --out after each training; the table comes at the end.
"""

import argparse
import json
import logging
import time
from pathlib import Path

import numpy as np
from tabulate import tabulate

from benchmarks.protocol import commit, fit
from recbole_apa.evaluation.metrics import auc, mean_log_loss
from recbole_apa.evaluation.trivial_rules import HISTORY_LIKE_RATE, trivial_scores

# name -> what differs from the defaults
VARIATIONS: dict[str, dict] = {
    "default": {},
    "wording: tallrec": {"template": "tallrec"},
    "wording: tally line": {"template": "list_count"},
    "item text: genres": {"item_text": "{movie_title} ({release_year}), {class}"},
    "answers: target only": {"supervise": "target"},
    "loss: full vocabulary": {"answer_loss": "full"},
    "learning rate / 3": {"learning_rate": 3e-4},
    "learning rate x 3": {"learning_rate": 3e-3},
    "epochs x 2": {"epochs": 4},
    "targets: q v": {"target_modules": ["q_proj", "v_proj"]},
    "trunk: 15 of 30 layers": {"trunk_layers": 15},
    "trunk: none": {"trunk_layers": 0},
    "partition: random": {"partition": "random"},
    "8,000 samples, 32 shards": {"train_samples": None, "n_shards": 32},
}


def measure(name: str, options: dict) -> dict:
    """Validation figures of one training."""
    start = time.perf_counter()
    fitted = fit(options)
    part = fitted.data[1]._dataset
    labels = np.array([s.label for s in part.samples])
    known = fitted.trainer.known_valid_scores
    alone = [auc(labels, known["alone"][:, k].numpy()) for k in range(known["alone"].shape[1])]
    rule = trivial_scores(part.samples, part.train_rows)[HISTORY_LIKE_RATE]
    return {
        "name": name,
        "options": options,
        "commit": commit(),
        "auc_d": auc(labels, known["decomposition"].numpy()),
        "logloss_d": mean_log_loss(labels, known["decomposition"].numpy()),
        "auc_prediction": auc(labels, known["prediction"].numpy()),
        "auc_alone_mean": float(np.mean([a for a in alone if a is not None])),
        "auc_history_like_rate": auc(labels, rule),
        "tau": fitted.trainer.record.tau,
        "n_neighbors": fitted.trainer.record.n_neighbors,
        "seconds": round(time.perf_counter() - start),
    }


def table(rows: list[dict]) -> str:
    """The Markdown table."""
    head = ["change", "APA(D) AUC", "LogLoss", "K passes AUC", "adapters alone", "tau", "n", "seconds"]
    keys = ["auc_d", "logloss_d", "auc_prediction", "auc_alone_mean"]
    body = [[r["name"], *(f"{r[k]:.4f}" for k in keys), f"{r['tau']:g}", r["n_neighbors"], r["seconds"]] for r in rows]
    return tabulate(body, head, tablefmt="github", disable_numparse=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("search.json"))
    parser.add_argument("--only", default="", help="names that contain one of these, comma-separated")
    arguments = parser.parse_args()
    logging.disable(logging.INFO)
    wanted = [w for w in arguments.only.split(",") if w]
    rows = []
    for name, options in VARIATIONS.items():
        if wanted and not any(w in name for w in wanted):
            continue
        rows.append(measure(name, options))
        with open(arguments.out, "a") as out:
            out.write(json.dumps(rows[-1]) + "\n")
        print(rows[-1], flush=True)
    print(f"share of likes in the history: {rows[0]['auc_history_like_rate']:.4f}")
    print(table(rows))


if __name__ == "__main__":
    main()
