"""What requests drawn by hash cost, on average, beside two ways of training again; and how many shards they reach.

    python -m benchmarks.drawn_requests --out=benchmarks/results/drawn_requests.json
    python -m benchmarks.drawn_requests --small

On the paper's protocol (ml-100k). Interactions and items are drawn among those that the training prompts show, users
among those with training samples; each kind begins with a newly trained run, whose requests follow one another, all in
one process with frozen activations in RAM; times are of training (adapters, memory), without loading and evaluation.
Two references, timed in the same way:

one model        one adapter on all training samples, without a memory: the paper's reference
all anew         all K adapters and all K columns of the memory: everything that the run holds

"counted" is the mean number of shards over up to 1,000 requests of a kind; nothing is trained for it, so that
`--count_only` also does the 8,000 samples of the protocol in half an hour, most of it reading their prompts.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from benchmarks.command import begin, command, keep
from benchmarks.unlearning import retrain_all, trained
from recbole_apa import APAConfig, unlearn
from recbole_apa.comparison.requests import MOST_DRAWN, shards_hit
from recbole_apa.comparison.row import KINDS
from recbole_apa.core.seeding import hash_order
from recbole_apa.data.samples import Sample
from recbole_apa.model.embed_samples import embed_training_samples
from recbole_apa.model.fit_context import FitContext
from recbole_apa.model.make_partition import make_partition
from recbole_apa.pipeline.build import RunResult, build

ONE_MODEL = {"n_shards": 1, "weight_rule": "average", "valid_samples": 0}


def drawn_names(reached: dict[str, set[int]], kind: str, n: int) -> list[str]:
    """Names of the first n requests of a kind, by hash; an interaction is ``user:item``."""
    names = sorted(reached)
    return [names[i] for i in hash_order(names, 0, "drawn requests", kind)[:n]]


def counted(samples: Sequence[Sample], shard_of: Mapping[str, int]) -> dict[str, dict[str, float]]:
    """By kind: requests drawn, and how many shards one reaches on average."""
    out = {}
    for kind in KINDS:
        reached = shards_hit(samples, shard_of, kind)
        drawn = drawn_names(reached, kind, MOST_DRAWN)
        out[kind] = {"requests": len(drawn), "shards_hit": float(np.mean([len(reached[name]) for name in drawn]))}
    return out


def forget_drawn(made: RunResult, kind: str, n: int) -> list[dict[str, Any]]:
    """Seconds and shards of n requests, one after another."""
    samples, partition = made.data.train_set.samples, made.trainer.partition
    assert partition is not None
    out = []
    for name in drawn_names(shards_hit(samples, partition.shard_of, kind), kind, n):
        asked = [tuple(name.split(":", 1))] if kind == "interactions" else [name]
        outcome = unlearn(made, **{kind: asked}).outcomes[0]  # type: ignore[arg-type]
        made = outcome.result
        out.append({"seconds": outcome.seconds, "shards_hit": len(outcome.plan.shards)})
        print(json.dumps({"kind": kind, **out[-1]}), flush=True)
    return out


def measure(options: dict[str, Any], n: int, folder: Path) -> dict[str, Any]:
    """Both references and all requests."""
    one = trained(folder / "one", {**options, **ONE_MODEL})
    record: dict[str, Any] = {"one_model_seconds": retrain_all(one, folder / "one-again", warm=True)[0]}
    print(json.dumps(record), flush=True)
    full, record["requests"] = [], {}
    for kind in KINDS:
        made = trained(folder / kind, options)
        if "counted" not in record:
            assert made.trainer.partition is not None
            record["counted"] = counted(made.data.train_set.samples, made.trainer.partition.shard_of)
        full.append(retrain_all(made, folder / f"{kind}-again", warm=True)[0])
        made.trainer.load(made.trainer.store)
        record["requests"][kind] = forget_drawn(made, kind, n)
    return {**record, "all_anew_seconds": full}


def count(options: dict[str, Any]) -> dict[str, Any]:
    """Shards reached, after reading the training prompts and dividing them; nothing is trained."""
    fixed = {"protocol": "tallrec", "show_progress": False, "trunk_cache_gib": 0}
    model, data = build(APAConfig("APA", "ml-100k", config_dict={**fixed, **options}))
    fit = FitContext(model)
    partition = make_partition(fit, data.train_set, embed_training_samples(fit, data.train_set))
    return {"counted": counted(data.train_set.samples, partition.shard_of)}


def table(record: dict[str, Any]) -> str:
    """One line for each kind."""
    body = []
    for kind in KINDS:
        line = [kind, f"{record['counted'][kind]['shards_hit']:.2f} ({record['counted'][kind]['requests']})"]
        found = record.get("requests", {}).get(kind)
        if found:
            seconds = float(np.mean([r["seconds"] for r in found]))
            line += [
                str(len(found)),
                f"{np.mean([r['shards_hit'] for r in found]):.2f}",
                f"{seconds:.1f}",
                f"{record['one_model_seconds'] / seconds:.2f}",
                f"{np.mean(record['all_anew_seconds']) / seconds:.2f}",
            ]
        body.append(line)
    head = ["requests for", "shards hit, counted (of requests)", "carried out", "shards hit", "a request, s"]
    head += ["one model / request", "all anew / request"]
    return tabulate(body, head[: len(body[0])], tablefmt="github", disable_numparse=True)


def main() -> None:
    parser = command(__doc__, threads=1)
    parser.add_argument("--n_shards", type=int, default=4)
    parser.add_argument("--requests", type=int, default=3, help="of each kind")
    parser.add_argument("--train_samples", type=int, default=256)
    parser.add_argument("--valid_samples", type=int, default=125)
    parser.add_argument("--count_only", action=argparse.BooleanOptionalAction, default=False)
    given = begin(parser)
    if given.small:
        given.n_shards, given.requests, given.train_samples, given.valid_samples = 2, 1, 16, 4
    options: dict[str, Any] = {k: getattr(given, k) for k in ("n_shards", "train_samples", "valid_samples")}
    options["test_samples"] = 20
    with tempfile.TemporaryDirectory() as folder:
        record = count(options) if given.count_only else measure(options, given.requests, Path(folder))
    keep(given, {**options, **record})
    print(table(record))
    if "one_model_seconds" in record:
        full = ", ".join(f"{s:.1f}" for s in record["all_anew_seconds"])
        print(f"one model: {record['one_model_seconds']:.1f} s; all anew: {full} s")


if __name__ == "__main__":
    main()
