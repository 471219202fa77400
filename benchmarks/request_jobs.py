"""Measurements of ``benchmarks.requests_at_size`` that are made inside of Python; it imports nothing heavy by itself.

python -m benchmarks.request_jobs start FOLDER
python -m benchmarks.request_jobs stream FOLDER N
"""

import json
import random
import sys
import time
from pathlib import Path
from typing import Any

NAME = "made"
SEED = 1
OPTIONS = {
    "train_samples": 32,
    "valid_samples": 8,
    "test_samples": 8,
    "n_shards": 4,
    "epochs": 1,
    "seed": SEED,
    "show_progress": False,
    "load_col": {"inter": ["user_id", "item_id", "rating", "timestamp"], "item": ["item_id", "title"]},
}
RUN = "run"
"""Where the run is, beside the data."""


def users_of_samples(run: Path) -> set[str]:
    """Users that a sample of the run belongs to: the first part of the ids in ``lineage.json``."""
    lineage: dict[str, dict[str, str]] = json.loads((run / "lineage.json").read_text(encoding="utf-8"))
    return {sample.split(":")[0] for samples in lineage.values() for sample in samples}


def users_of_data(folder: Path) -> list[str]:
    """All users of the made file."""
    with open(folder / NAME / f"{NAME}.inter", encoding="utf-8") as file:
        next(file)
        return sorted({line.split("\t", 1)[0] for line in file}, key=int)


def untouched_user(folder: Path) -> str:
    """The user with the smallest number of those in no sample: the same before and after it is forgotten."""
    return min(set(users_of_data(folder)) - users_of_samples(folder / RUN), key=int)


def start(folder: Path) -> dict[str, Any]:
    """Reading, filters, split and draw of the training, with their own seconds; the imports are counted apart."""
    begun = time.perf_counter()
    from recbole_apa import APAConfig
    from recbole_apa.pipeline.build_data import build_data

    imported = time.perf_counter()
    options = {**OPTIONS, "data_path": str(folder)}
    n_samples = len(build_data(APAConfig("APA", NAME, config_dict=options), told=False).train_set.samples)
    return {
        "import_seconds": imported - begun,
        "data_seconds": time.perf_counter() - imported,
        "n_train_samples": n_samples,
    }


def stream(folder: Path, n_requests: int) -> dict[str, Any]:
    """Users drawn by the seed, forgotten one after another in one process; the run is opened by every call.

    Returns:
        for each call its seconds, how many of them went into training adapters, and the number of those.
    """
    from recbole_apa import unlearn

    forgotten = untouched_user(folder)  # by the part "forget"
    users = [user for user in users_of_data(folder) if user != forgotten]
    drawn = random.Random(SEED).sample(users, min(n_requests, len(users)))
    seconds, training, shards = [], [], []
    for user in drawn:
        begun = time.perf_counter()
        done = unlearn(folder / RUN, users=[user], config_dict={"data_path": str(folder)})
        seconds.append(time.perf_counter() - begun)
        training.append(sum(outcome.seconds for outcome in done.outcomes))
        shards.append(sum(len(outcome.plan.shards) for outcome in done.outcomes))
    return {"request_seconds": seconds, "training_seconds": training, "shards": shards}


def main(job: str, folder: str, *numbers: str) -> None:
    """Do one, and print its figures as the last line of standard output."""
    done = start(Path(folder)) if job == "start" else stream(Path(folder), int(numbers[0]))
    print(json.dumps(done))


if __name__ == "__main__":
    main(*sys.argv[1:])
