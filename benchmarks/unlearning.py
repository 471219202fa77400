"""What forgetting costs: one request compared with full retraining, a stream of requests, and many at once.

    python -m benchmarks.unlearning --part=cost --shards=4,8 --out=unlearning_cost.json
    python -m benchmarks.unlearning --part=stream --requests=20 --out=unlearning_stream.json

On the paper's protocol (ml-100k, 1,024 training and 500 validation samples); --train_samples and --valid_samples make
it smaller. Everything runs in one process, one after another; times are of training (frozen passes, adapters, memory),
without loading and evaluation. "warm": frozen activations are in RAM, as in a process that serves the model; "cold":
none are; "disk": none are, but the run has them on disk (`keep_states`). Full retraining is timed in the same way, from
cold for "disk". --tallrec adds retraining by a TALLRec-style script (benchmarks/training.py).
"""

import argparse
import json
import logging
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from benchmarks.protocol import commit
from benchmarks.training import train_theirs
from recbole_apa import run, unlearn
from recbole_apa.comparison.requests import Pair, single_shard_requests
from recbole_apa.core.seeding import hash_order
from recbole_apa.model.trainer import APATrainer
from recbole_apa.pipeline.build import RunResult
from recbole_apa.pipeline.evaluate import evaluate_state, training_cost
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.outcome import Outcome

FIXED = {"protocol": "tallrec", "show_progress": False, "variants": "chosen"}


def trained(folder: Path, options: dict[str, Any]) -> RunResult:
    """A first training on the paper's protocol."""
    return run("APA", "ml-100k", config_dict={**FIXED, **options}, run_dir=folder)


def retrain_all(made: RunResult, folder: Path, warm: bool) -> tuple[float, APATrainer]:
    """Seconds of training everything from scratch on the run's data, and the trainer."""
    if not warm:
        made.model.engine.keep_only([])
    trainer = APATrainer(made.config, made.model, RunStore(folder))
    trainer.fit(made.data[0], made.data[1])
    return training_cost(trainer)["seconds"], trainer


def retrain_tallrec_style(made: RunResult) -> float:
    """Seconds of training one adapter on the run's samples by transformers' Trainer."""
    part = made.data.train_set
    with tempfile.TemporaryDirectory() as folder:
        prompts, labels = made.model.prompts(part.labelled), [s.label for s in part.samples]
        return train_theirs(made.model, prompts, labels, Path(folder))[0]


def forget_one(made: RunResult, pair: Pair, states: str) -> tuple[float, Outcome]:
    """Seconds of one request, including reading activations from disk, and its outcome."""
    start = time.perf_counter()
    if states != "warm":
        made.model.engine.keep_only([])
    if states == "disk":
        made.trainer.load_activations(*made.data[:2])
    read = time.perf_counter() - start
    outcome = unlearn(made, interactions=[pair]).outcomes[0]
    return read + outcome.seconds, outcome


def measure_cost(
    options: dict[str, Any], shards: list[int], repetitions: int, states: list[str], folder: Path, tallrec: bool
) -> list[dict[str, Any]]:
    """One request in one shard and full retraining, interleaved, in one process."""
    rows = []
    for n_shards in shards:
        asked = {**options, "n_shards": n_shards, "keep_states": "disk" in states}
        made = trained(folder / f"k{n_shards}", asked)
        requests = single_shard_requests(made)
        for repetition in range(repetitions):
            for kind in states:
                seconds, outcome = forget_one(made, requests.pop(0), kind)
                made = outcome.result
                full, _ = retrain_all(made, folder / f"full{n_shards}-{repetition}-{kind}", kind == "warm")
                rows.append(
                    {
                        "n_shards": n_shards,
                        "frozen_states": kind,
                        "shards_hit": len(outcome.plan.shards),
                        "samples_affected": len(outcome.plan.affected),
                        "one_request_seconds": seconds,
                        "full_retraining_seconds": full,
                        "ratio": full / seconds,
                    }
                )
                if tallrec:
                    rows[-1]["tallrec_style_seconds"] = retrain_tallrec_style(made)
                made.trainer.load(made.trainer.store)
                print(rows[-1], flush=True)
    return rows


def cost_table(rows: list[dict[str, Any]]) -> str:
    """Median and range of each kind."""
    body, with_theirs = [], "tallrec_style_seconds" in rows[0]
    for n_shards, kind in sorted({(r["n_shards"], r["frozen_states"]) for r in rows}):
        found = [r for r in rows if (r["n_shards"], r["frozen_states"]) == (n_shards, kind)]
        ratios = [r["ratio"] for r in found]
        body.append(
            [
                n_shards,
                kind,
                f"{np.median([r['one_request_seconds'] for r in found]):.1f}",
                f"{np.median([r['full_retraining_seconds'] for r in found]):.1f}",
                f"{np.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
                f"{0.95 * n_shards:.2f}",
                *([f"{np.median([r['tallrec_style_seconds'] for r in found]):.1f}"] if with_theirs else []),
            ]
        )
    head = ["K", "frozen states", "one request, s", "full retraining, s", "ratio, median (range)", "0.95 K"]
    if with_theirs:
        head.append("TALLRec-style, s")
    return tabulate(body, head, tablefmt="github", disable_numparse=True)


def measure_stream(options: dict[str, Any], n_requests: int, folder: Path) -> dict[str, Any]:
    """Forget single ratings one after another in order of time, then the same at once, then 5 % of the users."""
    made = trained(folder / "stream", options)
    pairs = in_order_of_time(made, n_requests)
    quarters = {round(q * n_requests / 4) for q in (1, 2, 3, 4)}
    seconds, hit, curve = [], [], []
    for n, pair in enumerate(pairs, start=1):
        outcome = unlearn(made, interactions=[pair]).outcomes[0]
        made = outcome.result
        seconds.append(outcome.seconds)
        hit.append(len(outcome.plan.shards))
        print({"request": n, "seconds": outcome.seconds, "shards_hit": hit[-1]}, flush=True)
        if n in quarters:
            curve.append({"requests": n, **_beside_reference(made, folder / f"reference{n}")})
            print(curve[-1], flush=True)
    fresh = trained(folder / "batch", options)
    at_once = unlearn(fresh, interactions=pairs).outcomes[0]
    users = sorted({s.user_id for s in fresh.data.train_set.samples})
    chosen = [users[i] for i in hash_order(users, 0, "users")[: max(1, round(0.05 * len(users)))]]
    many = trained(folder / "users", options)
    of_users = unlearn(many, users=chosen).outcomes[0]
    return {
        "seconds_by_request": seconds,
        "shards_hit_by_request": hit,
        "seconds_median": float(np.median(seconds)),
        "seconds_95th_percentile": float(np.quantile(seconds, 0.95)),
        "seconds_sum": sum(seconds),
        "at_once_seconds": at_once.seconds,
        "at_once_shards_hit": len(at_once.plan.shards),
        "five_percent_of_users": {
            "n_users": len(chosen),
            "seconds": of_users.seconds,
            "shards_hit": len(of_users.plan.shards),
            "test": _test_auc(of_users.result.metrics),
        },
        "full_retraining_seconds": at_once.full_seconds,
        "curve": curve,
    }


def in_order_of_time(made: RunResult, n: int) -> list[Pair]:
    """Ratings that are targets of training samples, drawn by hash, then sorted by time."""
    part = made.data.train_set
    rows = {part.interactions.row_id(r): r for r in range(len(part.interactions))}
    samples = sorted(part.samples, key=lambda s: s.sample_id)
    drawn = [samples[i] for i in hash_order([s.sample_id for s in samples], 0, "stream")[:n]]
    drawn.sort(key=lambda s: (part.interactions.times[rows[s.sample_id]], s.sample_id))
    return [(s.user_id, s.item_id) for s in drawn]


def _beside_reference(made: RunResult, folder: Path) -> dict[str, Any]:
    """Test AUC of the unlearned run, and of one trained from scratch with the same assignment to shards."""
    reference = RunStore(folder)
    trainer = APATrainer(made.config, made.model, reference)
    reference.begin(trainer.identity(made.data.train_set, reference.salt), {})
    reference.save_partition(made.trainer.store.load_partition())
    start = time.perf_counter()
    trainer.fit(made.data[0], made.data[1])
    result = RunResult({}, None, made.config, made.model, trainer, made.data)
    figures = evaluate_state(result, False)
    out = {"auc": _test_auc(made.metrics), "auc_reference": _test_auc(figures)}
    made.trainer.load(made.trainer.store)
    return {**out, "reference_seconds": time.perf_counter() - start}


def _test_auc(metrics: dict[str, float]) -> float | None:
    return metrics.get("test.aggregated.decomposition.auc")


def stream_table(found: dict[str, Any]) -> str:
    """The stream's figures, and the curve."""
    n = len(found["seconds_by_request"])
    body = [
        [
            f"one request of {n}, median",
            f"{found['seconds_median']:.1f}",
            f"{np.mean(found['shards_hit_by_request']):.2f}",
        ],
        [f"one request of {n}, 95th percentile", f"{found['seconds_95th_percentile']:.1f}", ""],
        [f"all {n} one after another", f"{found['seconds_sum']:.1f}", str(sum(found["shards_hit_by_request"]))],
        [f"the same {n} at once", f"{found['at_once_seconds']:.1f}", str(found["at_once_shards_hit"])],
        [
            f"5 % of the users ({found['five_percent_of_users']['n_users']}) at once",
            f"{found['five_percent_of_users']['seconds']:.1f}",
            str(found["five_percent_of_users"]["shards_hit"]),
        ],
        ["full training", f"{found['full_retraining_seconds']:.1f}", ""],
    ]
    curve = [[c["requests"], f"{c['auc']:.4f}", f"{c['auc_reference']:.4f}"] for c in found["curve"]]
    return "\n\n".join(
        (
            tabulate(body, ["", "seconds", "shards trained"], tablefmt="github", disable_numparse=True),
            tabulate(
                curve, ["requests served", "test AUC", "trained from scratch"], tablefmt="github", disable_numparse=True
            ),
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("cost", "stream"), default="cost")
    parser.add_argument("--shards", default="4,8")
    parser.add_argument("--repetitions", type=int, default=1)
    parser.add_argument(
        "--states", default="warm,cold", help="frozen activations: warm (in RAM), cold (computed again), disk"
    )
    parser.add_argument("--tallrec", action="store_true", help="also full retraining by transformers' Trainer")
    parser.add_argument("--requests", type=int, default=20)
    parser.add_argument("--train_samples", type=int, default=1024)
    parser.add_argument("--valid_samples", type=int, default=500)
    parser.add_argument("--test_samples", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path("unlearning.json"))
    given = parser.parse_args()
    logging.disable(logging.INFO)
    options = {name: getattr(given, name) for name in ("train_samples", "valid_samples", "test_samples")}
    record: dict[str, Any] = {"part": given.part, "commit": commit(), **options}
    table: Callable[[Any], str]
    with tempfile.TemporaryDirectory() as name:
        if given.part == "cost":
            states = given.states.split(",")
            shards = [int(k) for k in given.shards.split(",")]
            rows = measure_cost(options, shards, given.repetitions, states, Path(name), given.tallrec)
            record["rows"], table = rows, cost_table
        else:
            record["rows"], table = measure_stream(options, given.requests, Path(name)), stream_table
    given.out.write_text(json.dumps(record, indent=1) + "\n")
    print(f"commit {record['commit']}, {options}")
    print(table(record["rows"]))


if __name__ == "__main__":
    main()
