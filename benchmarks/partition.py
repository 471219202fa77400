"""The semantic partition of many samples: seconds and the most RAM that the process held.

    python -m benchmarks.partition --samples=1_000_000 --shards=256 --out=FILE

Embeddings are made up: points around three times as many centres as there are shards.
"""

import resource
import time

import torch
from torch import Tensor

from benchmarks.command import begin, command, keep
from recbole_apa.core.seeding import digest_of
from recbole_apa.partition import SemanticPartitioner


def made_up_embeddings(n: int, width: int, n_centres: int, seed: int = 0) -> Tensor:
    """(n, d), float32."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(n_centres, width, generator=generator)
    points = torch.randn(n, width, generator=generator)
    for part in points.split(2**16):
        part += centres[torch.randint(0, n_centres, (len(part),), generator=generator)]
    return points


def main() -> None:
    parser = command(__doc__, threads=1)
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--shards", type=int, default=256)
    parser.add_argument("--width", type=int, default=576, help="of an embedding; SmolLM2-135M's is 576")
    given = begin(parser)
    n, k, width = (500, 8, 16) if given.small else (given.samples, given.shards, given.width)
    embeddings = made_up_embeddings(n, width, 3 * k)
    ids = [f"sample {i}" for i in range(n)]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    start = time.perf_counter()
    partition = SemanticPartitioner()(ids, embeddings, k, -(-n // k), 2020)
    seconds = time.perf_counter() - start
    record = {
        "samples": n,
        "shards": k,
        "width": width,
        "seconds": seconds,
        "embeddings_bytes": embeddings.numel() * 4,
        "peak_bytes_before": before,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "largest_shard": max(partition.sizes()),
        "digest": digest_of(*sorted(f"{name} {shard}" for name, shard in partition.shard_of.items())).hex(),
    }
    print(f"{n:,} samples of width {width}, {k} shards, {given.threads} thread(s): {seconds:.1f} s")
    print(f"peak RAM {record['peak_bytes'] / 1e9:.2f} GB, before the partition {before / 1e9:.2f} GB")
    keep(given, record)


if __name__ == "__main__":
    main()
