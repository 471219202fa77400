"""What a request costs in a run whose shards are cut into slices: in full, at once, and caught up later.

    python -m benchmarks.slices --out=benchmarks/results/slices.json
    python -m benchmarks.slices --n_shards=8 --partition=semantic --shard_slices=1 --keep_states=true
    python -m benchmarks.slices --prefixes --out=benchmarks/results/slices_prefixes.json
    python -m benchmarks.slices --folder=DIR --requests=6     # again with more requests: what DIR has is not done again
    python -m benchmarks.slices --small

Requests (whole users, single interactions) are drawn by hash among those that touch a training sample. Each is carried
out on a copy of one trained run, by commands in processes of their own, from the command's start to its end: as one
request, and as `--at_once` followed by `--catch_up`. Beside them stand the training of the run, and of one model
without shards. "apart" leaves out what making figures took, as the run records it. Means over all requests; one after
another, nothing else should run. The share of the training samples that a request trains again is counted besides,
over these requests and over up to 1,000. `--prefixes` makes no request: it trains the run and prints its figures by
slices served (the option `prefix_figures`).
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tabulate import tabulate

from benchmarks.command import begin, command, keep
from benchmarks.drawn_requests import ONE_MODEL, drawn_names
from benchmarks.protocol import commit
from benchmarks.resumed import go_on, kept_rows
from recbole_apa.comparison.requests import MOST_DRAWN, TrainedSamples
from recbole_apa.core.files.whole import read_json
from recbole_apa.core.places import Place
from recbole_apa.evaluation.prefix_figures import PREFIXES
from recbole_apa.evaluation.report.prefix_table import PREFIX_HEADERS, prefix_rows
from recbole_apa.pipeline.build import RunResult, open_run
from recbole_apa.runs.store import RunStore

KINDS = ("users", "interactions")
RECORDS = "records.jsonl"
WAYS = ("in full", "at once", "catch up")
KEPT = {"false": False, "validation": "validation", "true": True}
"""Values of the option ``keep_states``."""
ROOT = Path(__file__).parents[1]


def carried_out(arguments: Sequence[str], run: Path) -> dict[str, Any]:
    """Run a command and time it, in all and without the figures that it made; and what it says of slices."""
    start, spent = time.perf_counter(), processor_seconds()
    done = subprocess.run(
        [sys.executable, str(ROOT / "run_recbole_apa.py"), *arguments, "--show_progress=False", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(torch.get_num_threads())},
        check=True,
        text=True,
    )
    seconds = time.perf_counter() - start
    metrics = run / "metrics.json"
    figures = read_json(metrics).get("evaluate_seconds", 0.0) if metrics.is_file() else 0.0
    told = json.loads(done.stdout).get("unlearn") or {}
    outcomes = told.get("outcomes") or [{}]
    return {
        "seconds": seconds,
        "processor": processor_seconds() - spent,
        "apart": seconds - figures,
        "training": outcomes[0].get("seconds"),
        "slices": (outcomes[0].get("slices") or {}).get("trained"),
    }


def processor_seconds() -> float:
    """Of all commands that have ended."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def flags(options: Mapping[str, Any]) -> list[str]:
    """Options as a command takes them: words as they are, all else as JSON."""
    return [f"--{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in options.items()]


def measure(given: argparse.Namespace, options: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Both references, and all requests in each way; what the folder has is taken from there."""
    rows = kept_rows(folder / RECORDS)
    of_others = [row["options"] for row in rows if row["options"] != options]
    if of_others:
        raise SystemExit(f"{folder} has records of {of_others[0]}; expected {dict(options)}: give another folder")
    named = flags(options)
    single = flags({**ONE_MODEL, "shard_slices": 1})
    kept = [word for word in named if word.split("=")[0] not in {w.split("=")[0] for w in single}]
    trainings = {"run": {"words": named}, "one model": {"words": [*kept, *single]}}
    rows = go_on(
        folder / RECORDS,
        rows,
        trainings,
        lambda name, change: noted(name, options, trained(given, folder / name, change)),
    )
    base = folder / "run"
    opened = open_run(RunStore(base))
    shares = {kind: TrainedShares.of(opened, kind) for kind in KINDS}
    turns = [
        (kind, name)
        for names in zip(*(shares[kind].names(given.requests) for kind in KINDS), strict=True)
        for kind, name in zip(KINDS, names, strict=True)
    ]
    requests = {f"{kind} {name}": {"kind": kind, "asked": f"--forget_{kind}={name}"} for kind, name in turns}
    rows = go_on(
        folder / RECORDS,
        rows,
        requests,
        lambda name, change: noted(
            name, options, each_way(base, folder / "copy", change["asked"], not given.no_catch_up)
        ),
    )
    found = {row["change"]: row for row in rows}
    points = (base / "shards").glob("*/points/*/*")
    return {
        **{name: found[name]["cost"] for name in trainings},
        "points_bytes": sum(path.stat().st_size for path in points),
        "requests": {kind: [found[f"{of} {name}"]["cost"] for of, name in turns if of == kind] for kind in KINDS},
        "trained again": {kind: shares[kind].means(given.requests) for kind in KINDS},
    }


def noted(name: str, options: Mapping[str, Any], cost: Mapping[str, Any]) -> dict[str, Any]:
    """A record of the folder."""
    return {"change": name, "commit": commit(), "options": dict(options), "cost": cost}


def trained(given: argparse.Namespace, run: Path, change: Mapping[str, Any]) -> dict[str, Any]:
    """A training from its beginning: one that was stopped left a folder, which would be gone on with."""
    shutil.rmtree(run, ignore_errors=True)
    return carried_out(["--model=APA", f"--dataset={given.dataset}", f"--run_dir={run}", *change["words"]], run)


@dataclass(frozen=True)
class TrainedShares:
    """What part of a run's training samples a request of one kind trains again."""

    trained: TrainedSamples
    reached: Mapping[str, Mapping[int, Place]]
    kind: str

    @classmethod
    def of(cls, made: RunResult, kind: str) -> "TrainedShares":
        samples = TrainedSamples.of(made)
        return cls(samples, samples.reached(kind), kind)

    def names(self, n: int) -> list[str]:
        """The first n that are drawn by hash."""
        return drawn_names(self.reached, self.kind, n)

    def means(self, n: int) -> dict[str, float]:
        """Over the first n that are drawn, and over the first 1,000."""
        many = [self.trained.n_again(self.reached[name]) for name in self.names(MOST_DRAWN)]
        all_samples = len(self.trained.samples)
        few = many[:n]
        return {"these": float(np.mean(few)) / all_samples, "1,000": float(np.mean(many)) / all_samples}


def each_way(base: Path, copy: Path, asked: str, catches_up: bool = True) -> dict[str, dict[str, Any]]:
    """One request on copies of a run: in full; and at once, then caught up."""
    out = {}
    shutil.rmtree(copy, ignore_errors=True)
    for commands in ([("in full", [asked])], [("at once", [asked, "--at_once"]), ("catch up", ["--catch_up"])]):
        shutil.copytree(base, copy)
        for way, words in commands[: 2 if catches_up else 1]:
            out[way] = carried_out([f"--run={copy}", *words], copy)
        shutil.rmtree(copy)
    return out


def processor_apart(cost: Mapping[str, Any]) -> float:
    """Seconds of the processor without figures: these are taken off by their share of the clock, as a command uses one
    thread. Other jobs make the clock run on, and not this."""
    return float(cost["processor"] * cost["apart"] / cost["seconds"])


def table(record: Mapping[str, Any]) -> str:
    """A line for each kind of request and way."""
    body = []
    for kind, found in record["requests"].items():
        for way in (way for way in WAYS if way in found[0]):
            costs = [one[way] for one in found]
            slices = [cost["slices"] for cost in costs if cost["slices"] is not None]
            line = [kind, way, str(len(found)), f"{np.mean(slices):.1f}" if slices else "-"]
            for names, seconds in (
                (("run", "one model"), lambda cost: cost["apart"]),
                (("run", "one model"), processor_apart),
                (("run",), lambda cost: cost["seconds"]),
            ):
                mean = float(np.mean([seconds(cost) for cost in costs]))
                line += [f"{mean:.1f}", *(f"{mean / seconds(record[name]):.3f}" for name in names)]
            body.append(line)
    of = ["of the run", "of one model"]
    head = ["requests for", "way", "number", "slices trained", "s, figures apart", *of, "of the processor", *of]
    return tabulate(body, [*head, "s, figures too", of[0]], tablefmt="github", disable_numparse=True)


def main() -> None:
    parser = command(__doc__, threads=1)
    parser.add_argument("--dataset", default="ml-100k")
    parser.add_argument("--requests", type=int, default=30, help="of each kind")
    parser.add_argument("--n_shards", type=int, default=4)
    parser.add_argument("--shard_slices", type=int, default=8)
    parser.add_argument("--partition", default="semantic_user")
    parser.add_argument("--keep_states", choices=KEPT, default="validation", help="on both sides")
    parser.add_argument("--folder", type=Path, help="keeps runs and records, so that a measurement goes on")
    parser.add_argument("--no_catch_up", action="store_true", help="leaves out what comes after a request at once")
    parser.add_argument("--prefixes", action="store_true", help="AUC by slices served, no request")
    parser.add_argument("--config", default="{}", help="further options, as JSON")
    given = begin(parser)
    options = {name: getattr(given, name) for name in ("n_shards", "shard_slices", "partition")}
    options["keep_states"] = KEPT[given.keep_states]
    options |= json.loads(given.config)
    if given.small:
        given.requests = 1
        options |= {"train_samples": 24, "valid_samples": 8, "test_samples": 20, "n_shards": 2, "shard_slices": 3}
    with ExitStack() as stack:
        folder = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        if given.prefixes:
            named = flags({**options, "prefix_figures": True})
            carried_out(["--model=APA", f"--dataset={given.dataset}", f"--run_dir={folder / 'run'}", *named], folder)
            metrics = read_json(folder / "run" / "metrics.json")
            keep(given, {**options, "prefixes": {k: v for k, v in metrics.items() if k.startswith(PREFIXES)}})
            print(tabulate(prefix_rows(metrics), PREFIX_HEADERS, tablefmt="github", disable_numparse=True))
            return
        record = measure(given, options, folder)
    keep(given, {**options, **record})
    print(table(record))
    for kind, share in record["trained again"].items():
        print(f"requests for {kind} train {share['these']:.3f} of the samples again, {share['1,000']:.3f} over 1,000")
    print(f"restart points: {record['points_bytes'] / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
