"""What a request costs in a run whose shards are cut into slices: in full, at once, and caught up later.

    python -m benchmarks.slices --out=benchmarks/results/slices.json
    python -m benchmarks.slices --n_shards=8 --partition=semantic --shard_slices=1 --keep_states=true
    python -m benchmarks.slices --prefixes --out=benchmarks/results/slices_prefixes.json
    python -m benchmarks.slices --small

Requests (whole users, single interactions) are drawn by hash among those that touch a training sample. Each is carried
out on a copy of one trained run, by commands in processes of their own, from the command's start to its end: as one
request, and as `--at_once` followed by `--catch_up`. Beside them stand the training of the run, and of one model
without shards. "apart" leaves out what making figures took, as the run records it. Means over all requests; one after
another, nothing else should run. `--prefixes` makes no request: it trains the run and prints its figures by slices
served (the option `prefix_figures`).
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from benchmarks.command import begin, command, keep
from benchmarks.drawn_requests import ONE_MODEL, drawn_names
from recbole_apa.comparison.requests import shards_hit
from recbole_apa.core.files.whole import read_json
from recbole_apa.evaluation.prefix_figures import PREFIXES
from recbole_apa.evaluation.report.prefix_table import PREFIX_HEADERS, prefix_rows
from recbole_apa.pipeline.build import open_run
from recbole_apa.runs.store import RunStore

KINDS = ("users", "interactions")
WAYS = ("in full", "at once", "catch up")
KEPT = {"false": False, "validation": "validation", "true": True}
"""Values of the option ``keep_states``."""
ROOT = Path(__file__).parents[1]


def carried_out(arguments: Sequence[str], run: Path) -> dict[str, Any]:
    """Run a command and time it, in all and without the figures that it made; and what it says of slices."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, str(ROOT / "run_recbole_apa.py"), *arguments, "--show_progress=False", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
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
        "apart": seconds - figures,
        "training": outcomes[0].get("seconds"),
        "slices": (outcomes[0].get("slices") or {}).get("trained"),
    }


def flags(options: Mapping[str, Any]) -> list[str]:
    """Options as a command takes them: words as they are, all else as JSON."""
    return [f"--{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in options.items()]


def measure(given: argparse.Namespace, options: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Both references, and all requests in each way."""
    named = flags(options)
    start = ["--model=APA", f"--dataset={given.dataset}"]
    base, one = folder / "run", folder / "one"
    record: dict[str, Any] = {"run": carried_out([*start, f"--run_dir={base}", *named], base)}
    single = flags({**ONE_MODEL, "shard_slices": 1})
    kept = [word for word in named if word.split("=")[0] not in {w.split("=")[0] for w in single}]
    record["one model"] = carried_out([*start, f"--run_dir={one}", *kept, *single], one)
    points = (base / "shards").glob("*/points/*/*")
    record["points_bytes"] = sum(path.stat().st_size for path in points)
    opened = open_run(RunStore(base))
    partition, samples = opened.trainer.partition, opened.data.train_set.samples
    assert partition is not None
    record["requests"] = {}
    for kind in KINDS:
        found = []
        for name in drawn_names(shards_hit(samples, partition.shard_of, kind), kind, given.requests):
            found.append(each_way(base, folder / "copy", f"--forget_{kind}={name}"))
            print(json.dumps({"kind": kind, **found[-1]}), flush=True)
        record["requests"][kind] = found
    return record


def each_way(base: Path, copy: Path, asked: str) -> dict[str, dict[str, Any]]:
    """One request on copies of a run: in full; and at once, then caught up."""
    out = {}
    for commands in ([("in full", [asked])], [("at once", [asked, "--at_once"]), ("catch up", ["--catch_up"])]):
        shutil.copytree(base, copy)
        for way, words in commands:
            out[way] = carried_out([f"--run={copy}", *words], copy)
        shutil.rmtree(copy)
    return out


def table(record: Mapping[str, Any]) -> str:
    """A line for each kind of request and way."""
    body = []
    for kind, found in record["requests"].items():
        for way in WAYS:
            mean = {name: float(np.mean([one[way][name] for one in found])) for name in ("seconds", "apart")}
            slices = [one[way]["slices"] for one in found if one[way]["slices"] is not None]
            ratios = [mean["apart"] / record[name]["apart"] for name in ("run", "one model")]
            ratios.append(mean["seconds"] / record["run"]["seconds"])
            line = [kind, way, str(len(found)), f"{np.mean(slices):.1f}" if slices else "-"]
            body.append([*line, f"{mean['apart']:.1f}", *(f"{x:.3f}" for x in ratios[:2]), f"{mean['seconds']:.1f}"])
            body[-1].append(f"{ratios[2]:.3f}")
    head = ["requests for", "way", "number", "slices trained", "s, figures apart", "of the run", "of one model"]
    return tabulate(body, [*head, "s, figures too", "of the run"], tablefmt="github", disable_numparse=True)


def main() -> None:
    parser = command(__doc__, threads=1)
    parser.add_argument("--dataset", default="ml-100k")
    parser.add_argument("--requests", type=int, default=30, help="of each kind")
    parser.add_argument("--n_shards", type=int, default=4)
    parser.add_argument("--shard_slices", type=int, default=8)
    parser.add_argument("--partition", default="semantic_user")
    parser.add_argument("--keep_states", choices=KEPT, default="validation", help="on both sides")
    parser.add_argument("--prefixes", action="store_true", help="AUC by slices served, no request")
    parser.add_argument("--config", default="{}", help="further options, as JSON")
    given = begin(parser)
    options = {name: getattr(given, name) for name in ("n_shards", "shard_slices", "partition")}
    options["keep_states"] = KEPT[given.keep_states]
    options |= json.loads(given.config)
    if given.small:
        given.requests = 1
        options |= {"train_samples": 24, "valid_samples": 8, "test_samples": 20, "n_shards": 2, "shard_slices": 3}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
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
    print(f"restart points: {record['points_bytes'] / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
