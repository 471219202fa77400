"""How time and peak memory grow with N, K, the batch and the length of the history, one process per point.

    python -m benchmarks.growth --out=benchmarks/results/growth.json
    python -m benchmarks.growth --small

A point is a whole training on the paper's protocol with 32 validation and 32 test samples, plus scoring the test
samples with APA(D). The memory is the process's peak RAM, including the loaded model.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tabulate import tabulate

from benchmarks.command import begin, command, keep
from recbole_apa import run
from recbole_apa.comparison.row import peak_memory
from recbole_apa.pipeline.evaluate import training_cost

FIXED: dict[str, Any] = {
    "protocol": "tallrec",
    "valid_samples": 32,
    "test_samples": 32,
    "variants": "none",
    "show_progress": False,
}
START: dict[str, Any] = {"train_samples": 64, "n_shards": 4, "train_batch_size": 8, "MAX_ITEM_LIST_LENGTH": 10}
AXES: dict[str, tuple[int, ...]] = {
    "train_samples": (64, 128, 256),
    "n_shards": (2, 4, 8, 16, 32),
    "train_batch_size": (4, 8, 16),
    "MAX_ITEM_LIST_LENGTH": (5, 10, 20),
}
SMALL: dict[str, tuple[int, ...]] = {"train_samples": (8, 16)}


def measure_point(options: dict[str, Any]) -> dict[str, float]:
    """Seconds of training, milliseconds per prediction, peak bytes."""
    with tempfile.TemporaryDirectory() as folder, peak_memory() as peak:
        made = run("APA", "ml-100k", config_dict={**FIXED, **options}, run_dir=Path(folder) / "run")
        tested = made.data.test_set
        start = time.perf_counter()
        prompts = made.model.prompts(tested.labelled)
        made.model.aggregate(prompts, made.model.weights(prompts))
        predicted = time.perf_counter() - start
    return {
        **training_cost(made.trainer),
        "prediction_ms": 1000 * predicted / len(prompts),
        "peak_bytes": peak[0],
        "n_adapter_bytes": sum(p.nbytes for p in made.model.engine.bank.parameters()),
        "tokens_per_prompt": sum(len(p.ids) for p in prompts) / len(prompts),
    }


def measure(axes: dict[str, tuple[int, ...]], threads: int) -> list[dict[str, Any]]:
    """One record for each value of each axis, with the other axes at their start."""
    rows = []
    for axis, values in axes.items():
        for value in values:
            options = {**START, axis: value}
            command = [
                sys.executable,
                "-m",
                "benchmarks.growth",
                "--point",
                json.dumps(options),
                f"--threads={threads}",
            ]
            answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
            rows.append({"axis": axis, "value": value, **json.loads(answer)})
            print(rows[-1], flush=True)
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """One line per point."""
    body = [
        [
            r["axis"],
            r["value"],
            f"{r['tokens_per_prompt']:.0f}",
            f"{r['seconds']:.1f}",
            f"{r['prediction_ms']:.0f}",
            f"{r['peak_bytes'] / 2**20:.0f}",
            f"{r['n_adapter_bytes'] / 2**20:.1f}",
        ]
        for r in rows
    ]
    head = ["axis", "value", "tokens a prompt", "training, s", "a prediction, ms", "peak, MiB", "adapters, MiB"]
    return tabulate(body, head, tablefmt="github", disable_numparse=True)


def main() -> None:
    parser = command(__doc__, threads=1)
    parser.add_argument("--point", help=argparse.SUPPRESS)
    given = begin(parser)
    if given.point:
        print(json.dumps(measure_point(json.loads(given.point))))
        return
    rows = measure(SMALL if given.small else AXES, given.threads)
    keep(given, {"fixed": FIXED, "start": START, "rows": rows})
    print(table(rows))


if __name__ == "__main__":
    main()
