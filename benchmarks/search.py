"""What limits the small model? One change at a time on the paper's protocol, judged on validation data alone.

    python -m benchmarks.search --stage=shard --out=search.json [--only=default,epochs]
    python -m benchmarks.search --stage=apa

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

ALL_LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

# one shard of 256 samples, all 1,000 validation rows; name -> what differs from the defaults
ONE_SHARD: dict[str, dict] = {
    "default": {},
    "learning rate / 3": {"learning_rate": 0.001},
    "learning rate x 3": {"learning_rate": 0.009},
    "2 epochs": {"epochs": 2},
    "all linear layers": {"target_modules": ALL_LINEAR},
    "target's answer only": {"supervise": "target"},
    "loss over the vocabulary": {"answer_loss": "full"},
    "with genres": {"item_text": "{movie_title} ({release_year}), {class}"},
    "with a tally line": {"template": "list_count"},
    "TALLRec's wording": {"template": "tallrec"},
    "trunk of 22 layers": {"trunk_layers": 22},
    "trunk of 22, all linear": {"trunk_layers": 22, "target_modules": ALL_LINEAR},
    "no trunk": {"trunk_layers": 0},
}
# the whole of APA on the paper's draws (1,024 training, 500 validation rows)
WHOLE: dict[str, dict] = {
    "default": {},
    "random partition": {"partition": "random"},
    "2 epochs": {"epochs": 2},
    "all linear layers": {"target_modules": ALL_LINEAR},
    "8,000 samples, 32 shards": {"train_samples": None, "n_shards": 32},
}
STAGES = {
    "shard": ({"train_samples": 256, "n_shards": 1, "valid_samples": None, "aggregation": "prediction"}, ONE_SHARD),
    "apa": ({}, WHOLE),
}


def measure(stage: str, name: str, options: dict) -> dict:
    """Validation figures of one training."""
    start, measured_on = time.perf_counter(), commit()
    fitted = fit(options)
    part = fitted.data[1]._dataset
    labels = np.array([s.label for s in part.samples])
    known = fitted.trainer.known_valid_scores
    alone = [auc(labels, known["alone"][:, k].numpy()) or 0.0 for k in range(known["alone"].shape[1])]
    chosen = known[fitted.model.settings.aggregation.aggregation].numpy()
    rule = trivial_scores(part.samples, part.train_rows)[HISTORY_LIKE_RATE]
    return {
        "stage": stage,
        "change": name,
        "options": options,
        "commit": measured_on,
        "valid_auc": auc(labels, chosen),
        "valid_logloss": mean_log_loss(labels, chosen),
        "valid_auc_k_passes": auc(labels, known["prediction"].numpy()),
        "valid_auc_alone_mean": float(np.mean(alone)),
        "valid_auc_history_like_rate": auc(labels, rule),
        "tau": fitted.trainer.record.tau,
        "n_neighbors": fitted.trainer.record.n_neighbors,
        "seconds": round(time.perf_counter() - start),
    }


def table(rows: list[dict]) -> str:
    """The Markdown table of one stage."""
    keys = ["valid_auc", "valid_logloss", "valid_auc_k_passes", "valid_auc_alone_mean"]
    body = [[r["change"], *(f"{r[k]:.4f}" for k in keys), f"{r['tau']:g}", r["seconds"]] for r in rows]
    head = ["change", "valid AUC", "LogLoss", "K passes AUC", "adapters alone", "tau", "seconds"]
    rule = f"share of likes in the history: {rows[0]['valid_auc_history_like_rate']:.4f}"
    return f"{rows[0]['stage']} ({rule})\n" + tabulate(body, head, tablefmt="github", disable_numparse=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stage", choices=sorted(STAGES), default="shard")
    parser.add_argument("--out", type=Path, default=Path("search.json"))
    parser.add_argument("--only", default="", help="names that contain one of these, comma-separated")
    arguments = parser.parse_args()
    logging.disable(logging.INFO)
    base, changes = STAGES[arguments.stage]
    wanted = [w for w in arguments.only.split(",") if w]
    rows = []
    for name, change in changes.items():
        if not wanted or any(w in name for w in wanted):
            rows.append(measure(arguments.stage, name, {**base, **change}))
            with open(arguments.out, "a") as out:
                out.write(json.dumps(rows[-1]) + "\n")
            print(rows[-1], flush=True)
    print(table(rows))


if __name__ == "__main__":
    main()
