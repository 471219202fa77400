"""Memory and the time of a prediction for many shards, one process for each K.

    python -m benchmarks.many_shards --out=benchmarks/results/many_shards.json
    python -m benchmarks.many_shards --small

Adapters and validation memory are random, prompts are random tokens; everything that a new prompt costs is included.
The reference of a ratio is one adapter in the same process, measured in turn. Memory is a process's own RAM after
predicting with APA(D), minus that of the process with the fewest shards.
"""

import argparse
import json
import subprocess
import sys
from typing import Any

import psutil
import torch
from tabulate import tabulate
from torch import Tensor

from benchmarks.command import begin, command, keep
from benchmarks.inference import an_engine
from benchmarks.random_state import random_rule
from benchmarks.timing import Contender, ratios, seconds_per_sample
from recbole_apa import APAConfig
from recbole_apa.adapters.mixture import MergeMode
from recbole_apa.backbone.engine import ScoringEngine
from recbole_apa.backbone.prompt_encoder import TokenizedPrompt

REFERENCE = "one adapter"
N_PROMPTS = 16


def measure_point(k: int, n_tokens: int, repetitions: int) -> dict[str, Any]:
    """Ratios to one adapter, seconds, and bytes."""
    config = APAConfig("APA", "ml-100k")
    g = torch.Generator().manual_seed(0)
    ids = torch.randint(1000, 20_000, (N_PROMPTS, n_tokens), generator=g).tolist()
    prompts = [TokenizedPrompt(tuple(row), (n_tokens - 1,), (), 0) for row in ids]

    def predicts(engine: ScoringEngine, mode: MergeMode) -> Contender:
        n = engine.bank.n_adapters
        rule = random_rule(n, engine.decoder.hidden_size)

        def run() -> Tensor:
            engine.cache.keep_only([])
            return engine.scores(prompts, rule(engine.embeddings(prompts)), mode)

        return Contender(run, len(prompts))

    many = an_engine(config, k)
    found = {"APA(D)": predicts(many, "decomposition"), "APA(ND)": predicts(many, "non_decomposition")}
    found["APA(D)"].run()
    held = psutil.Process().memory_full_info().uss
    one = predicts(an_engine(config, 1), "decomposition")
    seconds = seconds_per_sample({REFERENCE: one, **found}, repetitions, str(config["device"]))
    return {
        "k": k,
        "adapter_bytes": sum(p.nbytes for p in many.bank.parameters()),
        "held_bytes": held,
        "contenders": ratios(seconds, REFERENCE),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """One line for each K."""

    def cell(found: dict[str, float]) -> str:
        return f"{found['ratio']:.2f} ({found['ratio_low']:.2f}-{found['ratio_high']:.2f})"

    body = [
        [
            row["k"],
            f"{row['adapter_bytes'] / 2**20:.1f}",
            f"{(row['held_bytes'] - rows[0]['held_bytes']) / 2**20:.0f}",
            f"{1000 * row['contenders'][REFERENCE]['seconds_per_sample']:.0f}",
            *(cell(row["contenders"][name]) for name in ("APA(D)", "APA(ND)")),
        ]
        for row in rows
    ]
    head = ["K", "adapters, MiB", "process holds more, MiB", "one adapter, ms", "APA(D) to one", "APA(ND) to one"]
    return tabulate(body, head, tablefmt="github", disable_numparse=True)


def main() -> None:
    parser = command(__doc__, threads=1)
    parser.add_argument("--shards", default="1,4,16,64,128,256")
    parser.add_argument("--tokens", type=int, default=139, help="of a prompt; 139 is ml-100k's mean")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--point", type=int, help=argparse.SUPPRESS)
    given = begin(parser)
    if given.small:
        given.shards, given.tokens, given.repetitions = "1,3", 16, 1
    if given.point:
        print(json.dumps(measure_point(given.point, given.tokens, given.repetitions)))
        return
    rows = []
    for k in given.shards.split(","):
        words = [f"--point={k}", f"--tokens={given.tokens}", f"--repetitions={given.repetitions}"]
        program = [sys.executable, "-m", "benchmarks.many_shards", *words, f"--threads={given.threads}"]
        done = subprocess.run(program, check=True, capture_output=True, text=True)
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        print(rows[-1], flush=True)
    keep(given, {"tokens": given.tokens, "prompts": N_PROMPTS, "rows": rows})
    print(table(rows))


if __name__ == "__main__":
    main()
