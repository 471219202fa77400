"""What does the language model add to collaborative evidence? One change at a time, on development rows alone.

    python -m benchmarks.model_adds --out=FILE.jsonl --passes=DIR [--only="default;genres in lines"]

The validation and test rows of the default's split are removed from ml-100k first, and the rest is split again by the
same rule (benchmarks/development_rows.py). Each line of JSON is one run: evidence alone and with APA's logit, fitted on
the run's validation rows and judged on its test rows, with the difference and its interval over users. A run goes to
the file when it ends, and what is already there is not trained again; prompts that runs have in common are read once,
if their frozen passes may be kept in `--passes`; "CPU s" has the reading for the first of them alone. The table is
printed at the end.
"""

import argparse
import logging
import tempfile
import time
from pathlib import Path
from typing import Any

from tabulate import tabulate

from benchmarks.development_rows import write_training_period
from benchmarks.kept_passes import trained_run
from benchmarks.protocol import commit
from benchmarks.resumed import go_on, kept_rows
from recbole_apa.pipeline.evaluate import evaluate_state

BASE: dict[str, Any] = {"evidence": "counts", "test_samples": 1000, "variants": "chosen", "baselines": []}
BASE |= {"partition": "semantic", "shard_slices": 1}  # as when the first rows were measured
GENRES = "{movie_title} ({release_year}), {class}"
# name -> what differs from BASE
CHANGES: dict[str, dict[str, Any]] = {
    "default": {},
    "another seed": {"seed": 1},
    "genres in lines": {"item_text": GENRES},
    "genres in lines, another seed": {"item_text": GENRES, "seed": 1},
    "half the samples": {"train_samples": 512},
    "half the samples, another seed": {"train_samples": 512, "seed": 1},
    "one adapter": {"n_shards": 1},
    "3 lines of history": {"MAX_ITEM_LIST_LENGTH": 3},
    "3 lines of history, genres": {"MAX_ITEM_LIST_LENGTH": 3, "item_text": GENRES},
    "20 lines of history": {"MAX_ITEM_LIST_LENGTH": 20},
    "what the history's rate leaves": {"history_offset": True},
    "target's answer only": {"supervise": "target"},
    "4 times the samples, 16 shards": {"train_samples": 4096, "n_shards": 16},
    "4 times the samples, one adapter": {"train_samples": 4096, "n_shards": 1},
    "4 times the samples, one adapter, genres": {"train_samples": 4096, "n_shards": 1, "item_text": GENRES},
    "1,000 validation rows": {"valid_samples": 1000},
}
ADDED = ("auc", "logloss")


def measure(name: str, change: dict[str, Any], data_path: str, passes: Path) -> dict[str, Any]:
    """Development figures of one run."""
    start, measured_on = time.process_time(), commit()
    with trained_run("ml-100k", {**BASE, **change, "data_path": data_path, "show_progress": False}, passes) as made:
        figures = evaluate_state(made, show=False)
    bounds = {key: [figures[f"evidence.model_adds.{key}_users_{end}"] for end in ("low", "high")] for key in ADDED}
    return {
        "change": name,
        "options": {**BASE, **change},
        "commit": measured_on,
        "model": {key: figures[f"test.aggregated.decomposition.{key}"] for key in ADDED},
        "evidence": {key: figures[f"test.evidence.alone.{key}"] for key in ADDED},
        "both": {key: figures[f"test.evidence.with_model.{key}"] for key in ADDED},
        "adds": {key: figures[f"evidence.model_adds.{key}"] for key in ADDED},
        "bounds": bounds,
        "coefficient": figures["evidence.with_model.coefficients.model"],
        "processor_seconds": round(time.process_time() - start),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The Markdown table."""
    body = []
    for row in rows:
        figures = [f"{row[part][key]:.4f}" for part in ("model", "evidence") for key in ADDED]
        added = [f"{row['adds'][key]:+.4f} ({' to '.join(f'{x:+.4f}' for x in row['bounds'][key])})" for key in ADDED]
        body.append([row["change"], *figures, *added, f"{row['coefficient']:+.2f}", row.get("processor_seconds", "-")])
    head = ["change", "APA AUC", "APA LogLoss", "evidence AUC", "evidence LogLoss", "adds AUC", "adds LogLoss"]
    return tabulate(body, [*head, "coefficient", "CPU s"], tablefmt="github", disable_numparse=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", default="", help="names, semicolon-separated")
    parser.add_argument("--passes", type=Path, help="a folder that keeps frozen passes (default: of this call alone)")
    arguments = parser.parse_args()
    logging.disable(logging.INFO)
    wanted = [name for name in arguments.only.split(";") if name] or list(CHANGES)
    with tempfile.TemporaryDirectory() as folder:
        write_training_period(Path(folder))
        changes = {name: CHANGES[name] for name in wanted}
        passes = arguments.passes or Path(folder) / "passes"
        rows = go_on(
            arguments.out, kept_rows(arguments.out), changes, lambda name, change: measure(name, change, folder, passes)
        )
    print(table(rows))


if __name__ == "__main__":
    main()
