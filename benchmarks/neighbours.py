"""How two runs on one machine slow each other down: seconds of training one adapter, alone and two at once, with OpenMP
threads waiting as they do by default and as this package makes them wait.

    python -m benchmarks.neighbours --out=FILE
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from tabulate import tabulate

from benchmarks.command import begin, command, keep
from recbole_apa.core.files.whole import read_json

ROOT = Path(__file__).resolve().parent.parent
WAITS = {"OpenMP's own": {"GOMP_SPINCOUNT": "300000"}, "this package's": {}}
"""Environment of a run: libgomp's default number of spins before a waiting thread sleeps; what recbole_apa sets."""
OPTIONS = "--n_shards=1 --valid_samples=8 --test_samples=8 --variants=chosen --show_progress=False"


def seconds(n_at_once: int, wait: dict[str, str], threads: int, size: str) -> list[float]:
    """Seconds of training for each of several runs started together."""
    variables = {k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    variables |= {"OMP_NUM_THREADS": str(threads), **wait}
    with tempfile.TemporaryDirectory() as scratch:
        runs = [Path(scratch) / str(i) for i in range(n_at_once)]
        line = [
            sys.executable,
            "run_recbole_apa.py",
            "--model=APA",
            "--dataset=ml-100k",
            *OPTIONS.split(),
            *size.split(),
        ]
        processes = [
            subprocess.Popen(
                [*line, f"--run_dir={run}"],
                cwd=ROOT,
                env=variables,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for run in runs
        ]
        if any(process.wait() for process in processes):
            raise SystemExit(f"a run failed; try {' '.join(line)}")
        return [read_json(run / "shards" / "000" / "training.json")["train_seconds"] for run in runs]


def main() -> None:
    given = begin(command(__doc__))
    size = "--train_samples=8 --epochs=1" if given.small else "--train_samples=32 --epochs=3"
    record = {}
    for name, wait in WAITS.items():
        alone, together = (seconds(n, wait, given.threads, size) for n in (1, 2))
        ratio = float(np.mean(together)) / alone[0]
        record[name] = {"alone_seconds": alone[0], "two_at_once_seconds": together, "ratio": ratio}
    body = [
        [name, r["alone_seconds"], float(np.mean(r["two_at_once_seconds"])), r["ratio"]] for name, r in record.items()
    ]
    print(
        tabulate(body, ["how threads wait", "alone, s", "two at once, s", "ratio"], tablefmt="github", floatfmt=".2f")
    )
    keep(given, record)


if __name__ == "__main__":
    main()
