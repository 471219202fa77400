"""What limits the small model? One change at a time on the paper's protocol, judged only on development rows.

    python -m benchmarks.search --stage=shard --out=search.jsonl [--only=default,epochs]
    python -m benchmarks.search --stage=apa --out=search.jsonl

The rows that the protocol tests on are first removed from the dataset (benchmarks/development.py). A line of JSON goes
to --out after each training, and what is already there is not trained again; the table is printed at the end.
"""

import argparse
import logging
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from tabulate import tabulate

from benchmarks.development import write_development_data
from benchmarks.protocol import Fitted, commit, fit
from benchmarks.resumed import go_on, kept_rows
from recbole_apa.adapters.aggregation import adaptive_weights, cosine, neighbor_errors
from recbole_apa.evaluation.metrics import auc, mean_log_loss
from recbole_apa.evaluation.simple_rules import HISTORY_LIKE_RATE, trivial_scores

ALL_LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

# one shard of 256 samples; name -> what differs from the defaults
ONE_SHARD: dict[str, dict] = {
    "default": {},
    "all linear layers": {"target_modules": ALL_LINEAR},
    "2 epochs": {"epochs": 2},
    "learning rate / 3": {"learning_rate": 0.001},
    "batch of 4": {"train_batch_size": 4},
    "target's answer only": {"supervise": "target"},
    "2 epochs, all linear": {"epochs": 2, "target_modules": ALL_LINEAR},
    "with genres": {"item_text": "{movie_title} ({release_year}), {class}"},
    "with a tally line": {"template": "list_count"},
    "loss over the vocabulary": {"answer_loss": "full"},
    "trunk of 22 layers": {"trunk_layers": 22},
    "no trunk": {"trunk_layers": 0},
    "TALLRec's wording": {"template": "tallrec"},
}
# the whole of APA on the paper's draws (1,024 training, 500 validation rows)
WHOLE: dict[str, dict] = {
    "default": {},
    "all linear layers": {"target_modules": ALL_LINEAR},
    "random partition": {"partition": "random"},
    "embedding of the history": {"embedding_pooling": "history"},
    "2 epochs": {"epochs": 2},
    "8,000 samples, 32 shards": {"train_samples": None, "n_shards": 32},
    "one adapter on all samples": {"n_shards": 1},
}
STAGES = {
    "shard": ({"train_samples": 256, "n_shards": 1, "valid_samples": 600, "test_samples": 600}, ONE_SHARD),
    "apa": ({"test_samples": 600}, WHOLE),
}
MOST_PASSES = 8  # with more adapters only the aggregated one is scored: 32 passes would take an hour


def development_scores(fitted: Fitted) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Labels, and scores for several ways to weight the adapters, on rows that no adapter and no memory saw."""
    part = fitted.data.test_set
    prompts = fitted.model.prompts(part.labelled)
    h = fitted.model.engine.embeddings(prompts)
    scores = {"APA(D)": fitted.model.aggregate(prompts, fitted.model.weights(prompts), "decomposition")}
    scores[HISTORY_LIKE_RATE] = torch.tensor(trivial_scores(part.samples, part.train_rows)[HISTORY_LIKE_RATE])
    rule = fitted.model.rule
    assert rule is not None
    if 1 < len(rule.active) <= MOST_PASSES:
        alone = fitted.model.engine.adapter_scores(prompts)
        similarity = cosine(h, rule.memory.embeddings)
        for tau in (0.0, 10.0, 1000.0):
            for n in (20, 100):
                error = neighbor_errors(similarity, rule.memory.errors, n)
                scores[f"K passes, tau {tau:g}, n {n}"] = (adaptive_weights(error, tau, rule.active) * alone).sum(1)
        equal = torch.full_like(alone, 1 / alone.shape[1])
        scores["APA(D), tau 0"] = fitted.model.aggregate(prompts, equal, "decomposition")
        scores |= {f"adapter {k}": alone[:, k] for k in range(alone.shape[1])}
    return np.array([s.label for s in part.samples]), {name: np.asarray(s) for name, s in scores.items()}


def measure(stage: str, name: str, options: dict) -> dict:
    """Development figures of one training."""
    start, measured_on = time.perf_counter(), commit()
    fitted = fit(options)
    labels, scores = development_scores(fitted)
    if stage == "shard":  # with one adapter the memory decides nothing: validation rows can be judged as well
        memory = fitted.model.rule.memory
        valid = fitted.data.valid_set
        order = np.argsort([s.sample_id for s in valid.samples], kind="stable")
        likes = trivial_scores(valid.samples, valid.train_rows)[HISTORY_LIKE_RATE][order]
        labels = np.concatenate([labels, memory.labels.numpy()])
        more = {"APA(D)": memory.scores[:, 0].numpy(), HISTORY_LIKE_RATE: likes}
        scores = {key: np.concatenate([scores[key], more[key]]) for key in more}
    return {
        "stage": stage,
        "change": name,
        "options": {k: v for k, v in options.items() if k != "data_path"},
        "commit": measured_on,
        "n_rows": len(labels),
        "auc": {key: auc(labels, s) for key, s in scores.items()},
        "logloss": mean_log_loss(labels, scores["APA(D)"]),
        "tau": fitted.trainer.record.tau,
        "n_neighbors": fitted.trainer.record.n_neighbors,
        "seconds": round(time.perf_counter() - start),
    }


def table(rows: list[dict]) -> str:
    """The Markdown table of one stage."""
    shown = [key for key in rows[0]["auc"] if not key.startswith("adapter ")]
    body = [
        [r["change"], f"{r['logloss']:.4f}", *(f"{r['auc'][key]:.4f}" if key in r["auc"] else "" for key in shown)]
        for r in rows
    ]
    named = ["AUC" if key == "APA(D)" and rows[0]["stage"] == "shard" else key for key in shown]
    return tabulate(body, ["change", "LogLoss", *named], tablefmt="github", disable_numparse=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", choices=sorted(STAGES), default="shard")
    parser.add_argument("--out", type=Path, default=Path("search.jsonl"))
    parser.add_argument("--only", default="", help="names that contain one of these, comma-separated")
    arguments = parser.parse_args()
    logging.disable(logging.INFO)
    base, changes = STAGES[arguments.stage]
    wanted = [w for w in arguments.only.split(",") if w]
    changes = {name: change for name, change in changes.items() if not wanted or any(w in name for w in wanted)}
    rows = [row for row in kept_rows(arguments.out) if row["stage"] == arguments.stage]
    with tempfile.TemporaryDirectory() as folder:
        place = {"data_path": str(write_development_data(Path(folder)))}
        rows = go_on(
            arguments.out,
            rows,
            changes,
            lambda name, change: measure(arguments.stage, name, {**base, **change, **place}),
        )
    print(table(rows))


if __name__ == "__main__":
    main()
