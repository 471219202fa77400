"""How much of a run a request trains again, by partition, number of shards and number of slices; nothing is trained.

    python -m benchmarks.shards_reached --out=benchmarks/results/shards_reached.json
    python -m benchmarks.shards_reached --train_samples=null --partitions=random        # all samples; reads no prompt

Samples and split of a default run on ml-100k; every prompt is read once for the embeddings (``random`` needs none). Up
to 1,000 requests of each kind are drawn by hash: interactions and items among those that the training prompts show,
users among those with training samples. A request is given the shards that it reaches, each restarted before the first
slice that it reaches. Who is in which slice is decided by a hash of the user's name, so slices differ in size: the
smallest, the largest, and how many are empty. Other ``--option=value`` arguments go to APA.
"""

import argparse
import json
import logging
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tabulate import tabulate
from torch import Tensor

from benchmarks.protocol import commit
from recbole_apa import APAConfig
from recbole_apa.cli.main import parse_arguments
from recbole_apa.comparison.requests import MOST_DRAWN, TrainedSamples
from recbole_apa.comparison.row import KINDS
from recbole_apa.core.places import Places, Slices
from recbole_apa.core.seeding import hash_order
from recbole_apa.data.samples import Sample
from recbole_apa.model.embed_samples import embed_training_samples
from recbole_apa.model.fit_context import FitContext
from recbole_apa.partition import PARTITIONERS
from recbole_apa.pipeline.build import build
from recbole_apa.pipeline.build_data import build_data

SHARDS, SLICES = (4, 8, 32), (1, 8)


def read(partitions: Sequence[str], options: dict[str, Any]) -> tuple[Sequence[Sample], Tensor]:
    """The training samples and their embeddings, (n, d); zeros, if only ``random`` is asked for."""
    config = APAConfig("APA", "ml-100k", config_dict={"show_progress": False, "trunk_cache_gib": 0, **options})
    if set(partitions) == {"random"}:
        samples = build_data(config).train_set.samples
        return samples, torch.zeros(len(samples), 1)
    model, data = build(config)
    return data.train_set.samples, embed_training_samples(FitContext(model), data.train_set)


def rows(
    samples: Sequence[Sample], embeddings: Tensor, partitions: Sequence[str], seed: int
) -> Iterator[dict[str, Any]]:
    """For each partition, K, L and kind: shards reached and the share of samples trained again, on average."""
    ids = [sample.sample_id for sample in samples]
    for name, n_shards in product(partitions, SHARDS):
        partitioner = PARTITIONERS.find(name).made_with(None)
        shard_of = partitioner(ids, embeddings, n_shards, -(-len(ids) // n_shards), seed).shard_of
        for n_slices in SLICES:
            trained = TrainedSamples(samples, shard_of, n_shards, Places(slices=Slices(n_slices, seed)))
            found = {kind: averages(trained, kind) for kind in KINDS}
            sizes = slice_sizes(trained, n_slices)
            yield {"partition": name, "n_shards": n_shards, "shard_slices": n_slices, "of": found, "sizes": sizes}


def slice_sizes(trained: TrainedSamples, n_slices: int) -> dict[str, int]:
    """Of all slices of all shards: the fewest and the most samples, and how many have none."""
    filled = [n for of_shard in trained.sizes.values() for n in of_shard.values()]
    empty = trained.n_shards * n_slices - len(filled)
    return {"least": 0 if empty else min(filled), "most": max(filled), "empty": empty}


def averages(trained: TrainedSamples, kind: str) -> dict[str, float]:
    """Over the drawn requests of one kind."""
    reached = trained.reached(kind)
    names = sorted(reached)
    drawn = [reached[names[i]] for i in hash_order(names, 0, "drawn requests", kind)[:MOST_DRAWN]]
    again = [trained.n_again(first) / len(trained.samples) for first in drawn]
    return {
        "requests": len(drawn),
        "shards": float(np.mean([len(first) for first in drawn])),
        "again": float(np.mean(again)),
        "again_deviation": float(np.std(again, ddof=1)),
    }


def table(found: Sequence[dict[str, Any]]) -> str:
    """A line for each partition, K and L: shards reached, and the share that is trained again."""
    head = ["partition", "K", "L", *(f"{kind}: shards, share" for kind in KINDS), "samples of a slice", "empty"]
    body = [
        [
            row["partition"],
            str(row["n_shards"]),
            str(row["shard_slices"]),
            *(f"{row['of'][kind]['shards']:.2f}, {row['of'][kind]['again']:.3f}" for kind in KINDS),
            f"{row['sizes']['least']} to {row['sizes']['most']}",
            str(row["sizes"]["empty"]),
        ]
        for row in found
    ]
    return tabulate(body, head, tablefmt="github", disable_numparse=True)


def main() -> None:
    """Print and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--partitions", default="semantic,semantic_user,random")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    given, further = parser.parse_known_args()
    logging.disable(logging.INFO)
    torch.set_num_threads(given.threads)
    options = parse_arguments(further)
    partitions = given.partitions.split(",")
    samples, embeddings = read(partitions, options)
    found = list(rows(samples, embeddings, partitions, int(options.get("seed", 2020))))
    if given.out:
        record = {"commit": commit(), "options": options, "n_samples": len(samples), "rows": found}
        given.out.write_text(json.dumps(record, indent=1) + "\n")
    print(f"{len(samples)} training samples of {len({s.user_id for s in samples})} users")
    print(table(found))


if __name__ == "__main__":
    main()
