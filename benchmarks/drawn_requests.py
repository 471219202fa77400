"""What requests drawn by hash cost, on average, beside two ways of training again; and how many shards they reach.

    python -m benchmarks.drawn_requests --out=benchmarks/results/drawn_requests.json
    python -m benchmarks.drawn_requests --small
    python -m benchmarks.drawn_requests --run=DIR                            # a run that has forgotten nothing
    python -m benchmarks.drawn_requests --count_only --partition=random --train_samples=0 --n_shards=32

On the paper's protocol (ml-100k). Interactions and items are drawn among those that the training prompts show, users
among those with training samples; each kind begins with a newly trained run, whose requests follow one another, all in
one process with frozen activations in RAM; times are of training (adapters, memory), without loading and evaluation.
Two references, timed in the same way:

one model        one adapter on all training samples, without a memory: the paper's reference
all anew         all K adapters and all K columns of the memory: everything that the run holds

"counted" is the mean number of shards over up to 1,000 requests of a kind; nothing is trained for it. `--run` counts in
a finished run, and estimates seconds by those of its training, without reading prompts on either side: those of one
model are the sum of all shards'. `--count_only` divides samples anew (0: all that there are), for which `semantic`
reads every prompt; `random` reads none.
"""

import argparse
import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tabulate import tabulate

from benchmarks.command import begin, command, keep
from benchmarks.unlearning import retrain_all, trained
from recbole_apa import APAConfig, unlearn
from recbole_apa.comparison.requests import MOST_DRAWN, TrainedSamples, drawn_figures, shards_hit
from recbole_apa.comparison.row import KINDS
from recbole_apa.core.seeding import hash_order
from recbole_apa.data.samples import Sample
from recbole_apa.evidence import key_ring
from recbole_apa.model.embed_samples import embed_training_samples
from recbole_apa.model.fit_context import FitContext
from recbole_apa.model.make_partition import make_partition
from recbole_apa.partition import PARTITIONERS
from recbole_apa.pipeline.build import RunResult, build
from recbole_apa.pipeline.build_data import build_data
from recbole_apa.runs.store import RunStore

ONE_MODEL = {"n_shards": 1, "weight_rule": "average", "valid_samples": 0}


def drawn_names(reached: Iterable[str], kind: str, n: int) -> list[str]:
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
    """Shards reached, after dividing the training samples; nothing is trained."""
    fixed = {"protocol": "tallrec", "show_progress": False, "trunk_cache_gib": 0}
    config = APAConfig("APA", "ml-100k", config_dict={**fixed, **options})
    if options["partition"] == "random":
        samples = build_data(config).train_set.samples
        ids, k = [s.sample_id for s in samples], options["n_shards"]
        found = PARTITIONERS.find("random").made_with(None)(ids, torch.zeros(len(ids), 1), k, -(-len(ids) // k), 0)
        return {"n_samples": len(samples), "counted": counted(samples, found.shard_of)}
    model, data = build(config)
    fit = FitContext(model)
    partition = make_partition(fit, data.train_set, embed_training_samples(fit, data.train_set))
    return {"n_samples": len(data.train_set), "counted": counted(data.train_set.samples, partition.shard_of)}


def count_of_run(folder: Path) -> dict[str, Any]:
    """Shards reached in a finished run, and estimates of a request's seconds by those of the run's training."""
    store = RunStore(folder)
    manifest, partition = store.manifest(), store.load_partition()
    assert partition is not None and not manifest["forgotten"]
    options = manifest["options"]
    samples = build_data(APAConfig("APA", options["dataset"], config_dict=options)).train_set.samples
    cost, places = manifest["full_training"], store.places(store.load_pieces(), key_ring())
    placed = TrainedSamples(samples, partition.shard_of, partition.n_shards, places)
    record: dict[str, Any] = {"n_samples": len(samples), "n_shards": partition.n_shards}
    shards = sum(cost["shard_seconds"])  # one adapter learns from as many samples as all of them
    record |= {"one_model_seconds": shards, "all_anew_seconds": [shards + cost["memory_seconds"]]}
    record["counted"] = counted(samples, partition.shard_of)
    found = drawn_figures(placed, cost)
    record["estimated"] = {kind: found[f"drawn_{kind}_seconds"] for kind in KINDS}
    return record


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
        if "estimated" in record:
            seconds = record["estimated"][kind]
            ratios = (record["one_model_seconds"] / seconds, record["all_anew_seconds"][0] / seconds)
            line += [f"{seconds:.1f}", *(f"{ratio:.2f}" for ratio in ratios)]
        body.append(line)
    if "estimated" in record:
        head = ["requests for", "shards hit (of requests)", "a request, s, estimated"]
        head += ["one model (estimated) / request", "all anew / request"]
        return tabulate(body, head, tablefmt="github", disable_numparse=True)
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
    parser.add_argument("--partition", default="semantic")
    parser.add_argument("--backbone", default="smollm2-135m")
    parser.add_argument("--run", type=Path, help="count in this finished run")
    given = begin(parser)
    if given.small:
        given.n_shards, given.requests, given.train_samples, given.valid_samples = 2, 1, 16, 4
    names = ("n_shards", "train_samples", "valid_samples", "partition", "backbone")
    options: dict[str, Any] = {k: getattr(given, k) for k in names}
    options |= {"test_samples": 20, "train_samples": given.train_samples or None}
    with tempfile.TemporaryDirectory() as folder:
        if given.run:
            options, record = {"run": given.run.name}, count_of_run(given.run)
        else:
            record = count(options) if given.count_only else measure(options, given.requests, Path(folder))
    keep(given, {**options, **record})
    print(table(record))
    if "requests" in record:
        full = ", ".join(f"{s:.1f}" for s in record["all_anew_seconds"])
        print(f"one model: {record['one_model_seconds']:.1f} s; all anew: {full} s")


if __name__ == "__main__":
    main()
